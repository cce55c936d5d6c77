"""Objectives: bits plus lambda times a distortion that turns from human to machine along the preference axis."""

from __future__ import annotations

from dataclasses import dataclass

import pytorch_msssim
import torch
from torch import Tensor

from ugicm_train.config import MS_SSIM_UNIT, QUALITY_LEVELS, TrainConfig, rate_lambda
from ugicm_train.model.codec import Coded
from ugicm_train.supervision import supervised_distance
from ugicm_train.teachers import Teacher

REFERENCE_LAMBDA = 0.005
TEACHER_UNIT = 200.0
"""A teacher distance of 0.5 weighs as much as a squared error of 100 (in 8-bit steps)."""
LEAST_CROP_LOSS = 0.01
"""Crops of a smaller loss than this, a hundredth of the usual one, count as if they had it when crops are balanced."""


@dataclass
class Loss:
    """`total` (scalar) to minimise, the terms that a log line shows, and the parts of the total.

    A picture of preference beta counts with 1 - beta towards the human and with beta towards the machine parts:
    total = human_rate + machine_rate + human + machine.
    """

    total: Tensor
    terms: dict[str, Tensor]
    human_rate: Tensor
    machine_rate: Tensor
    human: Tensor
    machine: Tensor


def squared_error(view: Tensor, x: Tensor) -> Tensor:
    """Mean squared error per picture in 8-bit steps squared: (N,3,H,W) twice -> (N,)."""
    # a sum, whose gradient needs no tensor of its own as that of a mean does
    return (view - x).square().sum((1, 2, 3)) * (255**2 / x[0].numel())


def structure_error(view: Tensor, x: Tensor) -> Tensor:
    """1 - MS-SSIM (Wang 2003, mean over R, G and B) per picture: (N,3,H,W) twice, sides of more than 160 pixels -> (N,)."""
    with torch.autocast(x.device.type, enabled=False):  # variances are differences of nearly equal numbers: not for bf16
        pair = [picture.float().contiguous(memory_format=torch.channels_last) for picture in (view, x)]
        return 1 - pytorch_msssim.ms_ssim(*pair, data_range=1.0, size_average=False)


def training_loss(
    config: TrainConfig,
    coded: Coded,
    x: Tensor,
    level: Tensor,
    preference: Tensor,
    teacher: Teacher | None,
    boxes: Tensor | None = None,
) -> Loss:
    """Mean over the batch of (bpp + lambda * distortion) / sqrt(lambda / 0.005); `boxes` (N,4) as in `Batch`, none if absent.

    The division keeps the highest rates from owning the gradient. Every crop then counts with the power -`crop_balance` of
    its own loss, a weight without gradient; the term `loss` shows the mean without these weights.
    """
    pixels = x.shape[2] * x.shape[3]
    bpp = (coded.latent_bits + coded.hyper_bits) / pixels
    error = squared_error(coded.view, x)
    human = error
    terms = {"bpp": bpp.mean(), "mse": error.mean()}
    if config.human_ms_ssim:
        structure = structure_error(coded.view, x)
        human = error.lerp(MS_SSIM_UNIT * structure, config.human_ms_ssim)
        terms["ms-ssim"] = 1 - structure.mean()
    machine = distortion = human
    if config.needs_teacher:
        assert teacher is not None
        boxes = torch.zeros(len(x), 4) if boxes is None else boxes
        distance = supervised_distance(config, teacher, coded.view, x, preference, boxes)
        growth = 1 + config.machine_mse_growth * level / (QUALITY_LEVELS - 1)
        machine = config.machine_mse * growth * human + config.machine_teacher * TEACHER_UNIT * distance
        distortion = (1 - preference) * human + preference * machine
        terms["teacher"] = distance.sum() / (preference > 0).sum().clamp(min=1)
    weight = rate_lambda(level.to(error.dtype), config.lambda_min, config.lambda_max)
    norm = (weight / REFERENCE_LAMBDA).sqrt()
    crop_loss = (bpp + weight * distortion) / norm
    share = crop_loss.detach().clamp_min(LEAST_CROP_LOSS) ** -config.crop_balance
    total = (share * crop_loss).mean()
    share = share / norm
    return Loss(
        total,
        {"loss": crop_loss.mean()} | terms,
        human_rate=(share * (1 - preference) * bpp).mean(),
        machine_rate=(share * preference * bpp).mean(),
        human=(share * (1 - preference) * weight * human).mean(),
        machine=(share * preference * weight * machine).mean(),
    )
