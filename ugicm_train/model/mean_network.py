"""The mean network: hyper mean and a four-step context over the latent, in float, inside the engines.

Step i codes a quarter of the latent: channel group g at the 2x2 position p with (g + i) % 4 == order(p), as in the quadtree
context of DCVC-DC (Li et al., CVPR 2023). It refines the mean only; scales never see context, so a float difference between
two machines can move a pixel by one step but never desynchronise the stream.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ugicm_train.model.layers import Pointwise, QualityTable, ResidualBlock, SpatialBlock, Upsample

STEPS = 4
POSITION_ORDER = ((0, 2), (3, 1))
"""Rank of each position of a 2x2 cell: diagonal neighbours follow each other."""


def step_masks(latent: int) -> Tensor:
    """(4, latent, 2, 2) masks of 0 and 1 that add up to one everywhere."""
    group = torch.arange(latent) // (latent // STEPS)
    order = torch.tensor(POSITION_ORDER)
    step = torch.arange(STEPS)
    return (((group[None, :] + step[:, None]) % STEPS)[:, :, None, None] == order).float()


class MeanNetwork(nn.Module):
    """z_hat (N,Z,h/4,w/4), quality and the symbols of each step -> means mu (N,M,h,w)."""

    masks: Tensor

    def __init__(self, hyper: int, latent: int, width: int, blocks: int, levels: int, knots: int) -> None:
        super().__init__()
        self.coarse = nn.Sequential(Upsample(hyper, hyper), ResidualBlock(hyper), Upsample(hyper, width))
        self.quality = QualityTable(levels, knots, width)
        self.first = Pointwise(width, latent)
        self.context = nn.ModuleList(
            nn.Sequential(
                Pointwise(width + latent, width),
                *[SpatialBlock(width) for _ in range(blocks)],
                Pointwise(width, latent),
            )
            for _ in range(STEPS - 1)
        )
        self.register_buffer("masks", step_masks(latent), persistent=False)

    def forward(self, z: Tensor, level: Tensor, code: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Return (y_hat, mu), both (N,M,h,w).

        `code(mu_i, mask)` returns the residual symbols (N,M,h,w) of a step given its means; only values under the mask count.
        """
        prior = self.coarse(z) + self.quality(level)[:, :, None, None]
        height, width = prior.shape[2:]
        masks = self.masks[:, :, None, :, None].expand(-1, -1, height // 2, -1, width // 2, -1)
        masks = masks.reshape(STEPS, -1, height, width).contiguous(memory_format=torch.channels_last)
        step_mean = self.first(prior)
        mu = step_mean * masks[0]
        y_hat = (code(step_mean, masks[0]) + step_mean) * masks[0]
        for step, refine in enumerate(self.context, start=1):
            step_mean = refine(torch.cat([prior, y_hat.to(prior.dtype)], dim=1))
            mask = masks[step]
            mu = mu + step_mean * mask
            y_hat = y_hat + (code(step_mean, mask) + step_mean) * mask
        return y_hat, mu
