"""Training of a guide: distil what a teacher sees in originals and in a codec's views of them, and how these differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ugicm_train.config import QUALITY_LEVELS, Distillation, TrainConfig
from ugicm_train.data import CropSource
from ugicm_train.guide_file import GuideError
from ugicm_train.model.codec import PATCH, Codec
from ugicm_train.model.guide import Guide, GuideConfig, squared_length
from ugicm_train.model.layers import ResidualBlock
from ugicm_train.optimizers import make_optimizers, set_learning_rate
from ugicm_train.teachers.base import FeatureTeacher, resized

WARMUP = 50
DECAY_FROM = 0.2
LARGEST_NORM = 1.0
LOG_EVERY = 100


def wanted_maps(teacher: FeatureTeacher, x: Tensor, count: int) -> list[Tensor]:
    """What a guide predicts for pictures (N,3,H,W): the first `count` of the teacher's maps at half size that are at most H/8 high.

    Every position has the direction of its feature vector, longer where the vector is longer than on average: the mean
    squared distance of two such maps is `normalised_distance` but for its term of lengths.
    """
    seen = [
        m.float()
        for m in teacher.look(resized(x, x.shape[2] // 2, x.shape[3] // 2)).maps
        if m.shape[2] * PATCH <= x.shape[2]
    ]
    maps = []
    for value in seen[:count]:
        length = (value.square().sum(1, keepdim=True) + 1e-8).sqrt()
        maps.append(value / length * (length / length.mean((1, 2, 3), keepdim=True)).sqrt())
    return maps


def distillation_loss(maps: list[Tensor], wanted: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """(loss, share of the squared differences that each map misses) of the maps (2N,C,h,w) of N originals and then their N views.

    The mean over the maps of what is missed of the maps themselves and, relative to its size in every picture, of the
    difference between original and view, which is all that an encoder follows.
    """
    loss, missed = torch.zeros((), device=maps[0].device), []
    for found, target in zip(maps, wanted, strict=True):
        original, view = found.chunk(2)
        target_original, target_view = target.chunk(2)
        difference = target_view - target_original
        miss = (squared_length(view - original - difference) / squared_length(difference).clamp_min(1e-6)).mean()
        loss = loss + squared_length(found - target).mean() + miss
        missed.append(miss.detach())
    return loss / len(maps), missed


def distil(
    settings: Distillation,
    config: GuideConfig,
    teacher: FeatureTeacher,
    codec: Codec,
    source: CropSource,
    progress: Callable[[int, list[float]], None] = lambda step, missed: None,
) -> Guide:
    """A trained guide in evaluation mode; GuideError if the teacher's maps are not those of `config`.

    progress: called every hundred steps with the steps done and the shares missed since the last call.
    """
    torch.manual_seed(settings.seed)
    guide = Guide(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    _check_maps(
        config,
        wanted_maps(teacher, torch.zeros(1, 3, settings.crop, settings.crop), len(config.channels)),
        settings.crop,
    )
    for block in guide.modules():
        if isinstance(block, ResidualBlock):
            block.start_near_identity()
    rates = TrainConfig(
        steps=settings.steps, learning_rate=settings.learning_rate, warmup=WARMUP, decay_from=DECAY_FROM
    )
    optimizers = make_optimizers(guide, "muon", settings.learning_rate)
    sums: list[list[float]] = []
    for step in range(settings.steps):
        set_learning_rate(optimizers, rates.learning_rate_at(step))
        rng = np.random.default_rng((settings.seed, step))
        x = source.crops(rng, settings.batch, settings.crop).contiguous(memory_format=torch.channels_last)
        level = torch.from_numpy(rng.integers(QUALITY_LEVELS, size=len(x)))
        preference = torch.from_numpy(rng.integers(2, size=len(x)).astype(np.float32))
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                both = torch.cat([x, codec(x, level, preference).view.clamp(0, 1)])
                wanted = wanted_maps(teacher, both, len(config.channels))
            loss, missed = distillation_loss(guide(F.pixel_unshuffle(both, PATCH)), wanted)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(guide.parameters(), LARGEST_NORM)
        for optimizer in optimizers:
            optimizer.step()
        sums.append([float(share) for share in missed])
        if len(sums) == LOG_EVERY or step + 1 == settings.steps:
            progress(step + 1, np.mean(sums, axis=0).tolist())
            sums.clear()
    return guide.eval()


def _check_maps(config: GuideConfig, maps: list[Tensor], crop: int) -> None:
    wanted = [(channels, crop // PATCH >> k) for k, channels in enumerate(config.channels)]
    found = [(value.shape[1], value.shape[2]) for value in maps]
    if found != wanted:
        raise GuideError(
            f"the teacher's maps of half a {crop}-pixel crop have (channels, side) {found}; the guide predicts {wanted}"
        )
