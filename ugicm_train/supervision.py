"""What the teacher looks at: whole crops, random parts of them, and the objects in them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ugicm_train.config import TrainConfig
from ugicm_train.teachers import Panel, Teacher

TEACHER_SCALES = (0.75, 0.5, 0.375)
"""The teacher sees a step's pictures shrunk by one of these factors, because networks mostly look at shrunk pictures."""
LOCAL_SIDES = (0.25, 0.375, 0.5, 0.75)
"""A step's local parts have one of these sides, as a fraction of the crop's."""
INSTANCE_SIDE = 0.5
"""Objects are resized to this side, as a fraction of the crop's, so that a batch of them fits together."""


def _chance(count: int) -> int:
    return int(torch.randint(count, ()))


def _between(teacher: Teacher, pair: Sequence[Tensor]) -> Tensor:
    view, x = pair
    return teacher.distance(view, x)


def local_parts(pictures: Sequence[Tensor]) -> list[Tensor]:
    """The same random square of each (N,3,S,S) in `pictures`, another one for every n -> (N,3,s,s) each."""
    count, _, height, width = pictures[0].shape
    side = int(min(height, width) * LOCAL_SIDES[_chance(len(LOCAL_SIDES))])
    corners = [(_chance(height - side + 1), _chance(width - side + 1)) for _ in range(count)]
    return [
        torch.stack([p[:, y : y + side, x : x + side] for p, (y, x) in zip(picture, corners)]) for picture in pictures
    ]


def instance_parts(pictures: Sequence[Tensor], boxes: Tensor) -> list[Tensor]:
    """The box (x0, y0, x1, y1 in pixels) of each (N,3,S,S) in `pictures`, resized (antialiased) -> (N,3,s,s) each."""
    side = max(32, int(pictures[0].shape[2] * INSTANCE_SIDE))
    found = []
    for picture in pictures:
        parts = [p[None, :, y0:y1, x0:x1] for p, (x0, y0, x1, y1) in zip(picture, boxes.int().tolist())]
        found.append(torch.cat([F.interpolate(p, (side, side), mode="bilinear", antialias=True) for p in parts]))
    return found


def supervised_distance(
    config: TrainConfig, teacher: Teacher, view: Tensor, x: Tensor, preference: Tensor, boxes: Tensor
) -> Tensor:
    """Teacher distance (N,) of the pictures whose preference (N,) is above 0, and 0 for the others, which do not ask.

    A weighted mean over whole crop, random part and object; a crop without an object (`boxes` (N,4) all 0) is judged by
    the others. Of several teachers one, drawn at random, is asked.
    """
    if isinstance(teacher, Panel):
        teacher = teacher.drawn()
    scale = TEACHER_SCALES[_chance(len(TEACHER_SCALES))]
    asked = torch.nonzero(preference > 0).flatten()
    distance = torch.zeros(len(x), device=x.device)
    if len(asked) == 0:
        return distance
    pair = (view[asked], x[asked])
    total = torch.zeros(len(asked), device=x.device)
    weight = torch.zeros(len(asked), device=x.device)
    if config.global_weight > 0:
        total = total + config.global_weight * teacher.distance(*pair, scale)
        weight += config.global_weight
    if config.local_weight > 0:
        total = total + config.local_weight * _between(teacher, local_parts(pair))
        weight += config.local_weight
    owned = boxes[asked.cpu()]
    having = torch.nonzero(owned[:, 2] > owned[:, 0]).flatten()
    if config.instance_weight > 0 and len(having):
        chosen = having.to(x.device)
        parts = instance_parts([picture[chosen] for picture in pair], owned[having])
        total = total.index_add(0, chosen, config.instance_weight * _between(teacher, parts))
        weight[chosen] += config.instance_weight
    return distance.index_put((asked,), total / weight.clamp_min(1e-12))
