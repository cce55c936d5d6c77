"""Leaky ReLU as ReLU and a few linear channels, so that eight bits hold both of its sides.

leaky(u) = (1 - s) relu(u) + s u. Most of what leaves a leaky ReLU is small and negative, less than half a step of the tensor it is
quantised with, and vanishes; its sum over the channels does not, and costs more rate than all other errors of the analysis. So
the hidden channels are rectified, and the linear part s C (W x + b), C and W the layers after and before, is carried by `RANK` further
channels, shifted to be positive: the principal directions of s C W x on the pictures that ranges are measured on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ugicm_train.model.layers import SLOPE, ResidualBlock, SpatialBlock

RANK = 64
ROWS = 256
"""Positions per picture that the directions are found on."""
MARGIN = 1.25
"""How much wider than on those positions the linear channels may swing."""


class RectifiedBlock(ResidualBlock):
    """A `ResidualBlock` with ReLU in its second branch."""

    def forward(self, x: Tensor, condition: Tensor | None = None, preference: Tensor | None = None) -> Tensor:
        x = SpatialBlock.forward(self, x, condition, preference)
        return x + self.contract(functional.relu(self.expand(x)))


@torch.no_grad()
def rectify(blocks: Iterable[ResidualBlock], run: Callable[[], None]) -> None:
    """Change equalised blocks in place to rectified ones; `run` passes pictures through them."""
    seen: dict[ResidualBlock, list[Tensor]] = {block: [] for block in blocks}
    hooks = [block.expand.register_forward_pre_hook(_collector(rows)) for block, rows in seen.items()]
    run()
    for hook in hooks:
        hook.remove()
    for block, rows in seen.items():
        _rectify(block, torch.cat(rows))


def _collector(rows: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def collect(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        flat = inputs[0].movedim(1, -1).flatten(0, -2)
        rows.append(flat[:: max(1, len(flat) // ROWS)].clone())

    return collect


def _rectify(block: ResidualBlock, rows: Tensor) -> None:
    """`rows` (n, channels): inputs of `block.expand`."""
    before, after, bias = block.expand.weight, block.contract.weight, block.expand.bias
    linear = SLOPE * after @ before
    moved = (rows @ linear.T).double()
    _, directions = torch.linalg.eigh(moved.T @ moved)  # in rising order of what they carry
    out = directions[:, -RANK:].float()
    swing = out.T @ linear
    reach = MARGIN * (rows @ swing.T).abs().amax(0).clamp_min(1e-9)
    peak = functional.relu(rows @ before.T + bias).max().clamp_min(1e-9) / 2  # the linear channels fill the range of the others
    block.contract.bias = _fixed(block.contract.bias + SLOPE * after @ bias - out @ reach)
    block.expand.weight = _fixed(torch.cat([before, swing * (peak / reach)[:, None]]))
    block.expand.bias = _fixed(torch.cat([bias, peak.expand(len(reach))]))
    block.contract.weight = _fixed(torch.cat([(1 - SLOPE) * after, out * (reach / peak)], dim=1))
    block.__class__ = RectifiedBlock


def _fixed(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)
