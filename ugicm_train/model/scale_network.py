"""The scale network z_hat -> scale index and its exact integer arithmetic, simulated so that it can be trained.

Only this network may influence how bits are parsed, so at run time it is integer code (`ugicm_coder`). Here every weight is
`W / 2^shift` with W in [-127, 127] and every activation an integer in 0..255: sums of such numbers are exact in float32
while they stay below 2^24, hence the forward pass *is* the integer computation and gradients pass straight through.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ugicm_train.model.entropy import LOG_STEP, SCALE_COUNT, clamp_recoverable, round_ste
from ugicm_train.model.layers import QualityTable, between_levels

WEIGHT_MAX = 127
ACTIVATION_MAX = 255
ACTIVATION_STEP = 32
"""An activation of 1.0 is the integer 32, so that 0..255 spans 0..8."""
SHIFT_MAX = 14
HYPER_MAX = 127
SHUFFLE = 4


@dataclass(frozen=True)
class IntegerLayer:
    """One layer as the integer code needs it: weight int8 (out, in) or (out, 9), bias int32 (out,), shift uint8 (out,)."""

    depthwise: bool
    weight: Tensor
    bias: Tensor
    shift: Tensor


class IntegerConv(nn.Module):
    """1x1 or depthwise 3x3 convolution with int8 weights and a power-of-two step per output channel.

    `gain` is the fixed factor between the real-valued weight and the weight between the integer activations.
    """

    def __init__(self, inputs: int, outputs: int, depthwise: bool, gain: float, bias_gain: float) -> None:
        super().__init__()
        self.depthwise = depthwise
        self.groups = outputs if depthwise else 1
        self.gain, self.bias_gain = gain, bias_gain
        side = 3 if depthwise else 1
        reference = nn.Conv2d(inputs, outputs, side, groups=self.groups)
        assert reference.bias is not None
        self.weight, self.bias = reference.weight, reference.bias

    def shift(self) -> Tensor:
        """Largest shift per output channel (float tensor of integers) that keeps the weights within int8."""
        peak = (self.weight.detach().float() * self.gain).abs().amax(dim=(1, 2, 3)).clamp_min(1e-12)
        return torch.floor(torch.log2(WEIGHT_MAX / peak)).clamp(0, SHIFT_MAX)

    def integers(self) -> tuple[Tensor, Tensor, Tensor]:
        """(weight, bias, 2^shift): rounded integers as float tensors, with straight-through gradients."""
        step = torch.exp2(self.shift())
        weight = round_ste(self.weight.float() * self.gain * step[:, None, None, None])
        weight = weight.clamp(-WEIGHT_MAX, WEIGHT_MAX)
        return weight, round_ste(self.bias.float() * self.bias_gain * step), step

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """Rounded outputs before the clip; `extra` (N, out), integers, is added to the bias."""
        weight, bias, step = self.integers()
        total = F.conv2d(x, weight, bias, padding=1 if self.depthwise else 0, groups=self.groups)
        if extra is not None:
            total = total + extra[:, :, None, None]
        return round_ste(total / step[None, :, None, None])

    def export(self) -> IntegerLayer:
        """The layer's integers."""
        weight, bias, step = self.integers()
        return IntegerLayer(
            self.depthwise,
            weight.detach().flatten(1).round().to(torch.int8),
            bias.detach().round().to(torch.int32),
            torch.log2(step).round().to(torch.uint8),
        )


class ScaleNetwork(nn.Module):
    """(z (N,Z,h,w) integers as float, level (N,)) -> real-valued tensor of scale indexes 0..63, (N,M,4h,4w)."""

    def __init__(self, hyper: int, hidden: int, fine: int, latent: int, levels: int, knots: int) -> None:
        super().__init__()
        unit = float(ACTIVATION_STEP)
        index_gain = 1.0 / LOG_STEP
        self.enter = IntegerConv(hyper, hidden, False, unit, unit)
        self.spread = IntegerConv(hidden, hidden, True, 1.0, unit)
        self.refine = IntegerConv(hidden, fine * SHUFFLE**2, False, 1.0, unit)
        self.smooth = IntegerConv(fine, fine, True, 1.0, unit)
        self.leave = IntegerConv(fine, latent, False, index_gain / unit, index_gain)
        self.quality = QualityTable(levels, knots, latent)
        """Index offset per level and latent channel, in natural-log units of the scale."""

    def forward(self, z: Tensor, level: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            a = z.float().clamp(-HYPER_MAX, HYPER_MAX)
            for layer in (self.enter, self.spread):
                a = layer(a).clamp(0, ACTIVATION_MAX)
            a = F.pixel_shuffle(self.refine(a).clamp(0, ACTIVATION_MAX), SHUFFLE)
            a = self.smooth(a).clamp(0, ACTIVATION_MAX)
            index = self.leave(a, between_levels(self._quality_bias, level))
            return clamp_recoverable(index, 0, SCALE_COUNT - 1)

    def _quality_bias(self, level: Tensor) -> Tensor:
        """What the last layer's bias gains at whole levels (N,): integers (N, M) as floats, with straight-through gradients."""
        return round_ste(self.quality(level).float() / LOG_STEP * torch.exp2(self.leave.shift()))

    @torch.no_grad()
    def export(self) -> tuple[list[IntegerLayer], Tensor]:
        """The five layers in order and the quality bias int32 (levels, M) of the last one."""
        layers = [self.enter, self.spread, self.refine, self.smooth, self.leave]
        _, _, step = self.leave.integers()
        bias = torch.floor(self.quality.table().float() / LOG_STEP * step + 0.5)
        return [layer.export() for layer in layers], bias.to(torch.int32)
