"""Building blocks at one resolution: pointwise convolution, residual block, conditioning of the block."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from ugicm_coder import QUALITY_STEPS

from ugicm_train.model.entropy import round_ste

SLOPE = 0.01


class Pointwise(nn.Module):
    """1x1 convolution whose weight is a plain (out, in) matrix, so that matrix optimisers can see it as one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        reference = nn.Linear(inputs, outputs)
        self.weight = reference.weight
        self.bias = reference.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight[:, :, None, None], self.bias)


class SpatialBlock(nn.Module):
    """1x1, activation, depthwise 3x3, 1x1 as a residual; (N,C,H,W) -> (N,C,H,W).

    With `condition` > 0 a (N, condition) vector sets a scale and a shift per channel before the activation
    (the PCDM of UG-ICM, arXiv 2501.04579; a feature-wise linear modulation). With `preference` > 0 a second vector
    (N, preference) adds to both, linearly: where it is zero the block is the one without it.
    """

    def __init__(self, channels: int, condition: int = 0, preference: int = 0) -> None:
        super().__init__()
        self.mix_in = Pointwise(channels, channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.mix_out = Pointwise(channels, channels)
        self.modulation = nn.Linear(condition, 2 * channels) if condition else None
        if self.modulation is not None:
            nn.init.normal_(self.modulation.weight, std=0.01)
            nn.init.zeros_(self.modulation.bias)
        self.preference_modulation = nn.Linear(preference, 2 * channels, bias=False) if preference else None
        if self.preference_modulation is not None:
            nn.init.normal_(self.preference_modulation.weight, std=0.02)

    def forward(self, x: Tensor, condition: Tensor | None = None, preference: Tensor | None = None) -> Tensor:
        hidden = self.mix_in(x)
        if self.modulation is not None:
            terms = self.modulation(condition)
            if self.preference_modulation is not None:
                terms = terms + self.preference_modulation(preference)
            scale, shift = terms[:, :, None, None].chunk(2, dim=1)
            hidden = hidden * (1 + scale) + shift
        return x + self.mix_out(self.depthwise(F.leaky_relu(hidden, SLOPE)))

    def start_near_identity(self) -> None:
        """Make the block start as a small change of its input."""
        _shrink(self.mix_out)


class ResidualBlock(SpatialBlock):
    """A spatial block followed by a 1x1-expand-1x1 residual; (N,C,H,W) -> (N,C,H,W). `hidden` 0: twice the channels."""

    def __init__(self, channels: int, condition: int = 0, preference: int = 0, hidden: int = 0) -> None:
        super().__init__(channels, condition, preference)
        hidden = hidden or 2 * channels
        self.expand = Pointwise(channels, hidden)
        self.contract = Pointwise(hidden, channels)

    def forward(self, x: Tensor, condition: Tensor | None = None, preference: Tensor | None = None) -> Tensor:
        x = super().forward(x, condition, preference)
        return x + self.contract(F.leaky_relu(self.expand(x), SLOPE))

    def start_near_identity(self) -> None:
        super().start_near_identity()
        _shrink(self.contract)


@torch.no_grad()
def _shrink(last: Pointwise, factor: float = 0.01) -> None:
    """Scale the last 1x1 of a residual branch."""
    last.weight.mul_(factor)
    last.bias.zero_()


class Upsample(nn.Module):
    """1x1 convolution and pixel shuffle: (N,C,H,W) -> (N,out,2H,2W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.expand = Pointwise(inputs, 4 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.expand(x), 2)


class Downsample(nn.Module):
    """2x2 convolution of stride 2 as pixel unshuffle and 1x1: (N,C,H,W) -> (N,out,H/2,W/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.reduce = Pointwise(4 * inputs, outputs)
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        weight = self.reduce.weight.reshape(-1, self.inputs, 2, 2)
        return F.conv2d(x, weight, self.reduce.bias, stride=2)


class QualityTable(nn.Module):
    """A trained vector per quality level, interpolated between `knots` rows: level (N,) -> (N, width).

    Levels are integers, or floats that are multiples of 1/8: 0..levels-1.
    """

    mixing: Tensor

    def __init__(self, levels: int, knots: int, width: int, start: Tensor | None = None) -> None:
        """`start` (knots,) or (knots, width): the initial rows, zeros if absent."""
        super().__init__()
        rows = torch.zeros(knots, width)
        if start is not None:
            rows += start.reshape(knots, -1)
        self.rows = nn.Parameter(rows)
        last = QUALITY_STEPS * (levels - 1)
        position = torch.arange(last + 1, dtype=torch.float64) * (knots - 1) / last
        distance = (position[:, None] - torch.arange(knots)[None]).abs()
        self.register_buffer("mixing", (1 - distance).clamp(min=0).float(), persistent=False)

    def table(self) -> Tensor:
        """(levels, width) vectors of every whole level."""
        return self._mix(self.mixing[::QUALITY_STEPS])

    def forward(self, level: Tensor) -> Tensor:
        return self._mix(self.mixing[(level * QUALITY_STEPS).long()])

    def _mix(self, weights: Tensor) -> Tensor:
        """Weighted rows; a sum instead of a matrix product keeps autocast from rounding gains to bfloat16."""
        return (weights[:, :, None] * self.rows).sum(1)


def between_levels(whole: Callable[[Tensor], Tensor], level: Tensor) -> Tensor:
    """Integers (N, width) that `whole` gives for whole levels (N,), mixed and rounded half up between them, as the integer code does.

    Straight-through gradients. Whole levels, integers or floats, get exactly what `whole` gives.
    """
    if not level.is_floating_point():
        return whole(level)
    low = level.floor()
    share = (level - low)[:, None]
    return round_ste(whole(low) * (1 - share) + whole(level.ceil()) * share)
