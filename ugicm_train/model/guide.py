"""The guide: a small network whose maps differ between two pictures as what a recognition network sees of them does.

An effort for networks follows the gradient of what they see (docs/refinement.md). A teacher could give it, but a teacher is large,
and its weights are not ours to ship. The guide is distilled from one (Hinton et al., "Distilling the knowledge in a neural
network", arXiv 1503.02531): from the 8x8 patches that the codec works on it predicts the teacher's first feature maps of
the picture at half its size. Deeper maps cannot be had from so few layers, and detectors want the first ones anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ugicm_train.model.codec import PIXELS
from ugicm_train.model.layers import Downsample, Pointwise, ResidualBlock


@dataclass(frozen=True)
class GuideConfig:
    """Layout of a guide; entry k of each belongs to the map at 1/(8 * 2**k) of the picture's size."""

    channels: tuple[int, ...] = (24, 32, 64)
    """Channels of the maps, as those of the teacher (the first of MobileNetV2)."""
    widths: tuple[int, ...] = (96, 96, 128)
    """Channels inside."""
    blocks: tuple[int, ...] = (3, 3, 3)
    """Residual blocks."""

    def __post_init__(self) -> None:
        if not 0 < len(self.channels) == len(self.widths) == len(self.blocks):
            raise ValueError("a guide needs as many channels as widths and blocks, and one of each at least")
        if min(*self.channels, *self.widths, *self.blocks) < 1:
            raise ValueError("channels, widths and blocks of a guide are at least 1")


class Guide(nn.Module):
    """Pictures as 8x8 patches (N,192,H/8,W/8) in [0,1] -> maps (N,C,H/8,W/8), (N,C,H/16,W/16), ..., the sides multiples of theirs."""

    def __init__(self, config: GuideConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = Pointwise(PIXELS, widths[0])
        self.downs = nn.ModuleList(Downsample(a, b) for a, b in pairwise(widths))
        self.stages = nn.ModuleList(
            nn.Sequential(*[ResidualBlock(width) for _ in range(count)])
            for width, count in zip(widths, config.blocks, strict=True)
        )
        self.heads = nn.ModuleList(Pointwise(a, b) for a, b in zip(widths, config.channels, strict=True))

    def forward(self, patches: Tensor) -> list[Tensor]:
        x = self.stem(patches - 0.5)
        maps = []
        for number, (stage, head) in enumerate(zip(self.stages, self.heads, strict=True)):
            x = stage(self.downs[number - 1](x) if number else x)
            maps.append(head(x))
        return maps


def guide_distance(maps: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean over the maps of their squared distance per position: maps (N,C,h,w) twice -> (N,)."""
    return torch.stack([squared_length(a - b) for a, b in zip(maps, wanted, strict=True)]).mean(0)


def squared_length(x: Tensor) -> Tensor:
    """Mean over the positions of the squared length: (N,C,h,w) -> (N,)."""
    return x.float().square().sum(1).mean((1, 2))
