"""Structure error: what MS-SSIM minds at a half and a quarter of the picture's size, as a sum over the picture, and its gradient.

MS-SSIM (Wang et al., Asilomar 2003) is a product over five scales of means over the whole picture. An effort wants a sum
of local terms, so that tiles agree with the whole, and a gradient that is written out, so that it becomes an engine
(docs/refinement.md). The two scales that weigh most carry nearly all of what it wins.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ugicm_train.config import MS_SSIM_UNIT
from ugicm_train.model.codec import PATCH

SCALE_WEIGHTS = (0.2856, 0.3001)
"""Exponents of MS-SSIM at a half and a quarter of the size."""
WINDOW, SIGMA = 11, 1.5
STABILITY = 0.03**2
"""MS-SSIM's second constant, for samples in [0, 1]."""
HALF = PATCH // 2


class Structure(nn.Module):
    """Views and pictures as 8x8 patches (N,192,H/8,W/8) in [0,1], H and W at least 44, N of both.

    The error of a view is the sum of 1 - cs over the windows of each scale and over R, G and B, each window counted with its
    scale's weight and the pixels that it stands for; cs is MS-SSIM's product of contrast and structure.
    """

    pool: Tensor
    window: Tensor

    def __init__(self, share: float) -> None:
        """`share` of the squared error gives way to this one, as with `--human-ms-ssim` of the training; ValueError outside 0..1."""
        if not 0 <= share <= 1:
            raise ValueError(f"the share of structure is {share}, expected 0..1")
        super().__init__()
        self.share = share
        sample = torch.arange(3 * PATCH**2).reshape(3, HALF, 2, HALF, 2).permute(0, 1, 3, 2, 4).reshape(3 * HALF**2, 4)
        self.register_buffer("pool", torch.zeros(len(sample), sample.numel()).scatter_(1, sample, 0.25))
        bell = torch.exp(-((torch.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
        self.register_buffer("window", bell / bell.sum())

    def mixed(self, view: Tensor, patches: Tensor) -> Tensor:
        """The error that an effort lowers, in units of the summed squared error: (N,)."""
        squared = (view - patches).square().sum((1, 2, 3))
        return (1 - self.share) * squared + self.share * MS_SSIM_UNIT / 255**2 * self(view, patches)

    def mixed_gradient(self, view: Tensor, patches: Tensor) -> Tensor:
        """Gradient of `mixed` with respect to the view."""
        own = self.gradient(view, patches)
        return 2 * (1 - self.share) * (view - patches) + self.share * MS_SSIM_UNIT / 255**2 * own

    def forward(self, view: Tensor, patches: Tensor) -> Tensor:
        """The structure error of each picture, (N,)."""
        x, y = self._half(view), self._half(patches)
        error = view.new_zeros(len(view))
        for number, weight in enumerate(SCALE_WEIGHTS, start=1):
            _, _, covariance, variance = self._moments(x, y)
            error = error + weight * 4**number * (1 - covariance / variance).sum((1, 2, 3))
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return error

    def gradient(self, view: Tensor, patches: Tensor) -> Tensor:
        """Gradient of the structure error with respect to the view."""
        x, y = self._half(view), self._half(patches)
        half = 4 * SCALE_WEIGHTS[0] * self._scale_gradient(x, y)
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        quarter = 16 * SCALE_WEIGHTS[1] * self._scale_gradient(x, y)
        half = half + F.interpolate(quarter, scale_factor=2.0, mode="nearest") / 4
        return F.conv2d(F.pixel_unshuffle(half, HALF), self.pool.t()[:, :, None, None])

    def _half(self, patches: Tensor) -> Tensor:
        """The picture at half its size, (N,3,H/2,W/2)."""
        return F.pixel_shuffle(F.conv2d(patches, self.pool[:, :, None, None]), HALF)

    def _moments(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means of x and y in each window, twice the covariance and the sum of the variances, both with the constant."""
        blurred = self._blur(torch.cat([x, y, x * y, x * x + y * y], dim=1), 12)
        mean_x, mean_y, product, squares = blurred.chunk(4, dim=1)
        covariance = 2 * (product - mean_x * mean_y) + STABILITY
        return mean_x, mean_y, covariance, squares - mean_x * mean_x - mean_y * mean_y + STABILITY

    def _scale_gradient(self, x: Tensor, y: Tensor) -> Tensor:
        """Gradient of the sum of 1 - cs over the windows with respect to x."""
        mean_x, mean_y, covariance, variance = self._moments(x, y)
        pull = 2 / variance
        push = pull * covariance / variance
        spread = self._blur(F.pad(torch.cat([pull, push, pull * mean_y - push * mean_x], dim=1), [WINDOW - 1] * 4), 9)
        by_y, by_x, constant = spread.chunk(3, dim=1)
        return by_x * x - by_y * y + constant

    def _blur(self, x: Tensor, channels: int) -> Tensor:
        """Windowed means of each channel, (N,C,h,w) -> (N,C,h-10,w-10)."""
        row = self.window.reshape(1, 1, 1, WINDOW).expand(channels, 1, 1, WINDOW)
        return F.conv2d(F.conv2d(x, row, groups=channels), row.transpose(2, 3), groups=channels)
