"""Start the network as a transform codec: Karhunen-Loève transforms of 8x8 and 16x16 patches of the training pictures."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ugicm_train.config import QUALITY_LEVELS, rate_lambda
from ugicm_train.model.codec import PATCH, PIXELS, Codec
from ugicm_train.model.entropy import SCALE_MIN
from ugicm_train.model.layers import SpatialBlock

FEATURE_GAIN = 4.0
"""Features are 4 times the KLT of pixels in [0,1], so that the strongest are of the order of 1."""
DISTORTION_SLOPE = 20.0
"""Quantiser step of level q is sqrt(20 / lambda(q)) in pixel steps: high-rate theory gives 26, less helps at low rates."""


def principal_axes(samples: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and the `count` strongest principal axes (D, count) of samples (n, D)."""
    samples = samples.double()
    mean = samples.mean(0)
    centred = samples - mean
    _, axes = torch.linalg.eigh(centred.T @ centred / len(samples))
    return mean.float(), axes.flip(1)[:, :count].float()


@torch.no_grad()
def start_from_klt(codec: Codec, patches: Tensor) -> None:
    """Set stem, down-sampling, up-sampling, head and gains of a fresh codec from patches (n,3,16,16) in [0,1]."""
    analysis, synthesis, config = codec.analysis, codec.synthesis, codec.config
    for module in codec.modules():
        if isinstance(module, SpatialBlock):
            module.start_near_identity()
    pixels = F.pixel_unshuffle(patches, PATCH)
    mean, axes = principal_axes(pixels.permute(0, 2, 3, 1).reshape(-1, PIXELS), config.channels8)
    kept = axes.shape[1]
    for layer in (analysis.stem, synthesis.head):
        layer.weight.zero_()
        layer.bias.zero_()
    analysis.stem.weight[:kept] = axes.T * FEATURE_GAIN
    analysis.stem.bias[:kept] = -(axes.T @ mean) * FEATURE_GAIN
    synthesis.head.weight[:, :kept] = axes / FEATURE_GAIN
    synthesis.head.bias.copy_(mean)

    cells = F.pixel_unshuffle(analysis.stem(pixels), 2).flatten(1)
    mean, axes = principal_axes(cells, config.channels16)
    analysis.down.reduce.weight.copy_(axes.T)
    analysis.down.reduce.bias.copy_(-(axes.T @ mean))
    synthesis.up.expand.weight.copy_(axes)
    synthesis.up.expand.bias.copy_(mean)
    for layer in (analysis.leave, synthesis.enter):
        layer.weight.copy_(torch.eye(*layer.weight.shape))
        layer.bias.zero_()
    _start_gains(codec, (cells @ axes)[:, : config.latent].std(0))


def _start_gains(codec: Codec, deviation: Tensor) -> None:
    """Quantiser gains from the rate weights, and scale indexes from the `deviation` (M,) of the latent before gain."""
    knots = codec.config.quality_knots
    levels = torch.linspace(0, QUALITY_LEVELS - 1, knots, dtype=torch.float64)
    step = torch.sqrt(DISTORTION_SLOPE / rate_lambda(levels)) / 255 * FEATURE_GAIN
    log_gain = -torch.log(step).float()[:, None]
    codec.analysis.log_gain.rows.copy_(log_gain.expand(-1, codec.config.latent))
    codec.synthesis.log_gain.rows.copy_(-log_gain.expand(-1, codec.config.latent))
    log_scale = (log_gain + torch.log(deviation)[None]).clamp(math.log(SCALE_MIN), math.log(64.0))
    codec.scale_network.quality.rows.copy_(log_scale - math.log(SCALE_MIN))
    codec.scale_network.leave.weight.mul_(0.1)
    codec.scale_network.leave.bias.zero_()
