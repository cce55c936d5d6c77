"""Objectives: bits plus lambda times a distortion that turns from human to machine along the preference axis."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ugicm_train.config import QUALITY_LEVELS, TrainConfig, rate_lambda
from ugicm_train.model.codec import Coded
from ugicm_train.teacher import Teacher

REFERENCE_LAMBDA = 0.005
TEACHER_UNIT = 200.0
"""A teacher distance of 0.5 weighs as much as a squared error of 100 (in 8-bit steps)."""
TEACHER_SCALES = (1.0, 0.75, 0.5)
"""The teacher sees a step's pictures shrunk by one of these factors, because networks mostly look at shrunk pictures."""


@dataclass
class Loss:
    """`total` (scalar) to minimise, and the terms that a log line shows."""

    total: Tensor
    terms: dict[str, Tensor]


def squared_error(view: Tensor, x: Tensor) -> Tensor:
    """Mean squared error per picture in 8-bit steps squared: (N,3,H,W) twice -> (N,)."""
    return (view - x).square().mean((1, 2, 3)) * 255**2


def teacher_distance(teacher: Teacher, view: Tensor, x: Tensor, preference: Tensor) -> Tensor:
    """Teacher distance (N,) of the pictures whose preference (N,) is above 0, and 0 for the others, which do not ask."""
    scale = TEACHER_SCALES[int(torch.randint(len(TEACHER_SCALES), ()))]
    asked = torch.nonzero(preference > 0).flatten()
    distance = torch.zeros(len(x), device=x.device)
    if len(asked) == 0:
        return distance
    return distance.index_put((asked,), teacher.distance(view[asked], x[asked], scale))


def training_loss(
    config: TrainConfig, coded: Coded, x: Tensor, level: Tensor, preference: Tensor, teacher: Teacher | None
) -> Loss:
    """Mean over the batch of (bpp + lambda * distortion) / sqrt(lambda / 0.005).

    The division keeps the highest rates from owning the gradient.
    """
    pixels = x.shape[2] * x.shape[3]
    bpp = (coded.latent_bits + coded.hyper_bits) / pixels
    error = squared_error(coded.view, x)
    distortion = error
    terms = {"bpp": bpp.mean(), "mse": error.mean()}
    if config.needs_teacher:
        assert teacher is not None
        distance = teacher_distance(teacher, coded.view, x, preference)
        growth = 1 + config.machine_mse_growth * level / (QUALITY_LEVELS - 1)
        machine = config.machine_mse * growth * error + config.machine_teacher * TEACHER_UNIT * distance
        distortion = (1 - preference) * error + preference * machine
        terms["teacher"] = distance.sum() / (preference > 0).sum().clamp(min=1)
    weight = rate_lambda(level.to(error.dtype))
    total = ((bpp + weight * distortion) / (weight / REFERENCE_LAMBDA).sqrt()).mean()
    return Loss(total, {"loss": total} | terms)
