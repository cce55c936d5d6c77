"""Straight-through rounding and the rate of integer symbols of a known scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from ugicm_coder.tables import PARTS

SCALE_MIN, SCALE_MAX, SCALE_COUNT = 0.11, 64.0, 64
PROBABILITY_MIN = 1e-9
"""A symbol that is less likely counts as if it were not, about 30 bits."""
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
    return _SymbolBits.apply(*torch.broadcast_tensors(symbol.float(), scale))


class _SymbolBits(torch.autograd.Function):
    """`symbol_bits` with its derivatives written out and taken on the way, on a CPU for one entry of the first axis after the other.

    What one needs stays in the cache, where autograd would write and read again some forty tensors of the whole batch.
    """

    @staticmethod
    def forward(ctx, symbol: Tensor, scale: Tensor) -> Tensor:  # type: ignore[override]
        bits, by_symbol, by_scale = (torch.empty_like(symbol) for _ in range(3))
        whole = symbol, scale, bits, by_symbol, by_scale
        for one, wide, to_bits, to_symbol, to_scale in zip(*whole, strict=True) if symbol.device.type == "cpu" else [whole]:
            magnitude = one.abs()
            probability, density, moment = (torch.zeros_like(one) for _ in range(3))
            for part in PARTS:
                inverse = (part * wide).reciprocal_()
                upper, lower = (0.5 - magnitude).mul_(inverse), (-0.5 - magnitude).mul_(inverse)
                probability += torch.erfc(upper * -math.sqrt(0.5)).sub_(torch.erfc(lower * -math.sqrt(0.5)))
                at_upper, at_lower = ((x * x).mul_(-0.5).exp_() for x in (upper, lower))
                density += (at_lower - at_upper).mul_(inverse)
                moment += at_lower.mul_(lower).sub_(at_upper.mul_(upper))
            probability *= 0.5 / len(PARTS)
            likely = probability.clamp_min(PROBABILITY_MIN)
            torch.log2(likely, out=to_bits).neg_()
            # -1 / (probability ln 2) and the factors of a mean of Gaussian densities; no gradient where the clamp holds
            slope = likely.reciprocal_().mul_(-1 / (math.log(2) * len(PARTS) * math.sqrt(2 * math.pi)))
            slope.masked_fill_(probability < PROBABILITY_MIN, 0)
            torch.mul(density.mul_(one.sign()), slope, out=to_symbol)
            torch.mul(moment.div_(wide), slope, out=to_scale)
        ctx.save_for_backward(by_symbol, by_scale)
        return bits

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        by_symbol, by_scale = ctx.saved_tensors
        return gradient * by_symbol, gradient * by_scale
