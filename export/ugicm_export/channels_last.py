"""Analysis and synthesis with channels last, as the int8 engines run them: products of matrices, a stream that stays in float.

Node names in the exported graph follow the names of the modules here; `int8` chooses by them what is quantised.
The codec given to these views must have gone through `equalise`, which leaves the branches without final bias.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ugicm_export.rectify import RectifiedBlock
from ugicm_train.model.codec import Analysis, Codec, Synthesis
from ugicm_train.model.layers import SLOPE, Pointwise, ResidualBlock


def _first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


class Product(nn.Module):
    """x (N,h,w,in) times a matrix given as (out, in)."""

    matrix: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", weight.detach().T.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(x, self.matrix)


class Affine(nn.Module):
    """A product and a bias."""

    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.product = Product(weight)
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x) + self.bias


class Block(nn.Module):
    """`ResidualBlock` on (N,h,w,C)."""

    bias: Tensor

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.mix_in, self.mix_out = Product(block.mix_in.weight), Product(block.mix_out.weight)
        self.register_buffer("bias", block.mix_in.bias.detach().clone())
        self.modulation, self.preference_modulation = block.modulation, block.preference_modulation
        self.depthwise = block.depthwise
        width, wider = block.mix_in.weight.shape[0], block.expand.weight.shape[0]
        # As a convolution, for its bias and activation then stay in eight bits too.
        self.expand = nn.Conv2d(width, wider, 1)
        self.expand.weight = nn.Parameter(block.expand.weight.detach()[:, :, None, None])
        self.expand.bias = nn.Parameter(block.expand.bias.detach())
        self.rectify = nn.ReLU() if isinstance(block, RectifiedBlock) else nn.LeakyReLU(SLOPE)
        self.activate = nn.LeakyReLU(SLOPE)
        self.contract = Product(block.contract.weight)

    def forward(self, x: Tensor, condition: Tensor | None = None, preference: Tensor | None = None) -> Tensor:
        hidden = self.mix_in(x)
        if self.modulation is None:
            hidden = hidden + self.bias
        else:
            terms = self.modulation(condition)
            if self.preference_modulation is not None:
                terms = terms + self.preference_modulation(preference)
            scale, shift = terms[:, None, None].chunk(2, dim=-1)
            hidden = hidden * (1 + scale) + (shift + self.bias * (1 + scale))
        hidden = _last(self.depthwise(_first(self.activate(hidden))))
        x = x + self.mix_out(hidden)
        return x + self.contract(_last(self.rectify(self.expand(_first(x)))))


class Shrink(nn.Module):
    """`Downsample`: (N,h,w,C) -> (N,h/2,w/2,out)."""

    def __init__(self, reduce: Pointwise, inputs: int) -> None:
        super().__init__()
        cells = reduce.weight.detach().reshape(-1, inputs, 2, 2).permute(0, 2, 3, 1)
        self.affine = Affine(cells.reshape(-1, 4 * inputs), reduce.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        cells = x.reshape(batch, height // 2, 2, width // 2, 2 * channels).permute(0, 1, 3, 2, 4)
        return self.affine(cells.reshape(batch, height // 2, width // 2, 4 * channels))


class Grow(nn.Module):
    """`Upsample`: (N,h,w,C) -> (N,2h,2w,out)."""

    def __init__(self, expand: Pointwise) -> None:
        super().__init__()
        self.outputs = expand.weight.shape[0] // 4
        order = torch.arange(4 * self.outputs).reshape(self.outputs, 4).T.flatten()
        self.affine = Affine(expand.weight[order], expand.bias[order])

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, _ = x.shape
        cells = self.affine(x).reshape(batch, height, width, 2, 2 * self.outputs).permute(0, 1, 3, 2, 4)
        return cells.reshape(batch, 2 * height, 2 * width, self.outputs)


class AnalysisLast(nn.Module):
    """`Analysis`: patches (N,192,h,w) in [0,1] and a level -> y (N,M,h/2,w/2)."""

    def __init__(self, analysis: Analysis) -> None:
        super().__init__()
        self.condition, self.log_gain = analysis.condition, analysis.log_gain
        self.stem = Affine(analysis.stem.weight, analysis.stem.bias)
        self.blocks8 = nn.ModuleList(Block(block) for block in analysis.blocks8)  # type: ignore[arg-type]
        self.down = Shrink(analysis.down.reduce, analysis.stem.weight.shape[0])
        self.blocks16 = nn.ModuleList(Block(block) for block in analysis.blocks16)  # type: ignore[arg-type]
        self.leave = Affine(analysis.leave.weight, analysis.leave.bias)

    def forward(self, patches: Tensor, level: Tensor) -> Tensor:
        condition = self.condition(level)
        x = self.stem(_last(patches))
        for block in self.blocks8:
            x = block(x, condition)
        x = self.down(x)
        for block in self.blocks16:
            x = block(x)
        return _first(self.leave(x) * torch.exp(self.log_gain(level))[:, None, None])


class SynthesisLast(nn.Module):
    """`Synthesis.patches`: y_hat (N,M,h,w), level (N,), preference (V,) -> patches (V,192,2h,2w), unclipped; N is V or 1."""

    def __init__(self, synthesis: Synthesis) -> None:
        super().__init__()
        self.condition, self.preference = synthesis.condition, synthesis.preference
        self.log_gain = synthesis.log_gain
        self.enter = Affine(synthesis.enter.weight, synthesis.enter.bias)
        self.blocks16 = nn.ModuleList(Block(block) for block in synthesis.blocks16)  # type: ignore[arg-type]
        self.up = Grow(synthesis.up.expand)
        self.blocks8 = nn.ModuleList(Block(block) for block in synthesis.blocks8)  # type: ignore[arg-type]
        self.head = Affine(synthesis.head.weight, synthesis.head.bias)

    def forward(self, y_hat: Tensor, level: Tensor, preference: Tensor) -> Tensor:
        views = preference.shape[0]
        x = self.enter(_last(y_hat) * torch.exp(self.log_gain(level))[:, None, None])
        level = level.expand(views)
        condition, wanted = self.condition(level), self.preference(level, preference)
        if self.blocks16:
            x = x.expand(views, -1, -1, -1)
        for block in self.blocks16:
            x = block(x, condition, wanted)
        x = self.up(x)
        if not self.blocks16:
            x = x.expand(views, -1, -1, -1)
        for block in self.blocks8:
            x = block(x, condition, wanted)
        return _first(self.head(x))

    def patches(self, y_hat: Tensor, level: Tensor, preference: Tensor) -> Tensor:
        """What the codec calls."""
        return self(y_hat, level, preference)


def with_channels_last(codec: Codec) -> Codec:
    """An equalised `frozen` codec, changed in place: analysis and synthesis replaced by those of this file."""
    codec.analysis = AnalysisLast(codec.analysis)  # type: ignore[assignment]
    codec.synthesis = SynthesisLast(codec.synthesis)  # type: ignore[assignment]
    return codec
