"""Straight-through rounding and the rate of integer symbols of a known scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from ugicm_coder.tables import PARTS

SCALE_MIN, SCALE_MAX, SCALE_COUNT = 0.11, 64.0, 64
LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALE_COUNT - 1)


def round_ste(x: Tensor) -> Tensor:
    """Round half up as the integer code does; the gradient passes unchanged."""
    return x + (torch.floor(x + 0.5) - x).detach()


class _Clamp(torch.autograd.Function):
    """Clamp whose gradient still flows where it would move the value back inside."""

    @staticmethod
    def forward(ctx, x: Tensor, low: float, high: float) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        ctx.limits = (low, high)
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        (x,) = ctx.saved_tensors
        low, high = ctx.limits
        blocked = ((x < low) & (gradient > 0)) | ((x > high) & (gradient < 0))
        return gradient.masked_fill(blocked, 0.0), None, None


def clamp_recoverable(x: Tensor, low: float, high: float) -> Tensor:
    """`x.clamp(low, high)` whose gradient does not die outside when it points back inside."""
    return _Clamp.apply(x, low, high)


def index_to_scale(index: Tensor) -> Tensor:
    """Standard deviation of a scale index (real or integer): 64 values log-spaced from 0.11 to 64."""
    return SCALE_MIN * torch.exp(index.float() * LOG_STEP)


def scale_to_index(scale: Tensor) -> Tensor:
    """Real-valued scale index of a standard deviation."""
    return torch.log(scale / SCALE_MIN) / LOG_STEP


def symbol_bits(symbol: Tensor, scale: Tensor) -> Tensor:
    """Bits of `symbol` (integers, or integers plus uniform noise) of a scale, elementwise, as the tables of `ugicm_coder` have them.

    Ballé et al., "Variational image compression with a scale hyperprior", ICLR 2018, eq. 11, with two Gaussians instead of one.
    """
    magnitude = symbol.float().abs()
    probability = torch.zeros_like(magnitude)
    for part in PARTS:
        upper = torch.special.ndtr((0.5 - magnitude) / (part * scale))
        lower = torch.special.ndtr((-0.5 - magnitude) / (part * scale))
        probability = probability + (upper - lower) / len(PARTS)
    return -torch.log2(probability.clamp_min(1e-9))
