"""What each residual branch is worth: the rate it would cost to do without it, before any retraining."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ugicm_train.evaluate import Point, evaluate
from ugicm_train.model.codec import Codec
from ugicm_train.model.layers import Pointwise, ResidualBlock, SpatialBlock

SLOPE_STEP = 4
"""Levels between the two points that give the slope of log rate over PSNR."""


@dataclass(frozen=True)
class Branch:
    """A residual branch and its cost: `rate_change` (one per level) is the relative rate change at equal PSNR."""

    name: str
    parameters: int
    rate_change: tuple[float, ...]


def branches(codec: Codec) -> Iterator[tuple[str, Pointwise, int]]:
    """(name, last layer, parameters) of every residual branch: without its last layer a branch adds nothing."""
    for name, block in codec.named_modules():
        if not isinstance(block, SpatialBlock):
            continue
        spatial = (block.mix_in, block.depthwise, block.mix_out)
        yield f"{name} spatial", block.mix_out, sum(p.numel() for part in spatial for p in part.parameters())
        if isinstance(block, ResidualBlock):
            wide = (block.expand, block.contract)
            yield f"{name} expand", block.contract, sum(p.numel() for part in wide for p in part.parameters())


def _log_rate_slopes(
    codec: Codec, images: Sequence[np.ndarray], levels: Sequence[int], base: list[Point]
) -> list[float]:
    """d log(rate) / d PSNR of the codec itself around each level."""
    above = evaluate(codec, images, [level + SLOPE_STEP for level in levels])
    return [math.log(b.bpp / a.bpp) / (b.psnr - a.psnr) for a, b in zip(base, above)]


@torch.no_grad()
def ablate(codec: Codec, images: Sequence[np.ndarray], levels: Sequence[int]) -> Iterator[Branch]:
    """Switch off one branch after another, on `images` ((H,W,3) uint8) at `levels` (each at most 59), human view.

    The loss in PSNR is turned into rate along the codec's own rate-distortion curve.
    """
    base = evaluate(codec, images, levels)
    slopes = _log_rate_slopes(codec, images, levels, base)
    for name, _, parameters in branches(codec):
        without = copy.deepcopy(codec)
        last = next(layer for other, layer, _ in branches(without) if other == name)
        last.weight.zero_()
        assert last.bias is not None
        last.bias.zero_()
        points = evaluate(without, images, levels)
        change = [math.log(p.bpp / b.bpp) - s * (p.psnr - b.psnr) for p, b, s in zip(points, base, slopes)]
        yield Branch(name, parameters, tuple(math.expm1(value) for value in change))
