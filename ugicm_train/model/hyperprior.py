"""The backbone of Ballé et al. (ICLR 2018) with the preference-conditioned synthesis, to compare gains at equal backbone.

Layers and entropy models are CompressAI's. One model serves all rates, by gains per channel and level as in the main network.
It is trained and evaluated by estimated rates; it has no integer entropy path and cannot be exported.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ugicm_train import torchvision_schema
from ugicm_train.config import LAMBDA_MAX, QUALITY_LEVELS, HyperpriorConfig, rate_lambda
from ugicm_train.model.codec import Coded
from ugicm_train.model.condition import PreferenceCondition, QualityCondition
from ugicm_train.model.entropy import round_ste
from ugicm_train.model.held import PreferenceSynthesis
from ugicm_train.model.layers import QualityTable, SpatialBlock

torchvision_schema.declare()

from compressai.entropy_models import EntropyBottleneck, GaussianConditional  # noqa: E402
from compressai.layers import GDN  # noqa: E402
from compressai.models.utils import conv, deconv  # noqa: E402

HIGHEST_GAIN = 8.0
"""Gain of the latent at the highest level when training starts."""


def _start_gains(knots: int) -> Tensor:
    """log of the gains (knots,): quantiser steps fall with the square root of lambda."""
    levels = torch.linspace(0, QUALITY_LEVELS - 1, knots)
    return (HIGHEST_GAIN * (rate_lambda(levels) / LAMBDA_MAX).sqrt()).log()


class ConditionedSynthesis(PreferenceSynthesis):
    """Four transposed convolutions with inverse GDN, a preference-conditioned block after each of the first three."""

    def __init__(self, config: HyperpriorConfig) -> None:
        super().__init__()
        n, knots, width = config.channels, config.quality_knots, config.condition
        self.condition = QualityCondition(QUALITY_LEVELS, knots, width)
        self.preference = PreferenceCondition(QUALITY_LEVELS, knots, width)
        self.log_gain = QualityTable(QUALITY_LEVELS, knots, config.latent, -_start_gains(knots))
        self.up = nn.ModuleList([deconv(config.latent, n), deconv(n, n), deconv(n, n)])
        self.gdn = nn.ModuleList(GDN(n, inverse=True) for _ in range(3))
        self.blocks = nn.ModuleList(SpatialBlock(n, width, width) for _ in range(3))
        for block in self.blocks:
            block.start_near_identity()  # type: ignore[operator]
        self.head = deconv(n, 3)

    def preference_parameters(self) -> list[nn.Parameter]:
        blocks = (block.preference_modulation.weight for block in self.blocks)  # type: ignore[union-attr]
        return [*self.preference.parameters(), *blocks]  # type: ignore[list-item]

    def forward(self, y_hat: Tensor, level: Tensor, preference: Tensor) -> Tensor:
        condition, wanted = self.condition(level), self.preference(level, preference)
        x = y_hat * torch.exp(self.log_gain(level))[:, :, None, None]
        for up, gdn, block in zip(self.up, self.gdn, self.blocks):
            x = block(gdn(up(x)), condition, wanted)
        return self.head(x)


class Hyperprior(nn.Module):
    """The scale hyperprior for all 64 levels and every preference; the same training pass as `Codec`."""

    def __init__(self, config: HyperpriorConfig) -> None:
        super().__init__()
        self.config = config
        n, m, knots = config.channels, config.latent, config.quality_knots
        self.analysis = nn.Sequential(conv(3, n), GDN(n), conv(n, n), GDN(n), conv(n, n), GDN(n), conv(n, m))
        self.log_gain = QualityTable(QUALITY_LEVELS, knots, m, _start_gains(knots))
        self.hyper_analysis = nn.Sequential(
            conv(m, n, stride=1, kernel_size=3), nn.ReLU(), conv(n, n), nn.ReLU(), conv(n, n)
        )
        self.hyper_synthesis = nn.Sequential(
            deconv(n, n), nn.ReLU(), deconv(n, n), nn.ReLU(), conv(n, m, stride=1, kernel_size=3), nn.ReLU()
        )
        self.synthesis = ConditionedSynthesis(config)
        self.bottleneck = EntropyBottleneck(n)
        self.conditional = GaussianConditional(None)
        self.bottleneck.quantiles.requires_grad_(False)  # they serve coding tables, which are not made here
        for model in (self.bottleneck, self.conditional):
            for name, value in list(model.named_buffers(recurse=False)):
                model.register_buffer(name, value, persistent=False)

    def latent(self, x: Tensor, level: Tensor) -> Tensor:
        """y (N,M,H/16,W/16) of pictures, multiplied by the gain of its level."""
        return (self.analysis(x) * torch.exp(self.log_gain(level))[:, :, None, None]).float()

    def forward(self, x: Tensor, level: Tensor, preference: Tensor, hold_human: bool = False) -> Coded:
        """Training pass as in `Codec.forward`: the rate sees noise while training, the synthesis rounded symbols."""
        y = self.latent(x, level)
        z = self.hyper_analysis(y.abs()).float()
        with torch.autocast(x.device.type, enabled=False):
            _, z_likelihood = self.bottleneck(z)
        scale = self.hyper_synthesis(round_ste(z)).float()
        with torch.autocast(x.device.type, enabled=False):
            _, y_likelihood = self.conditional(y, scale)
        synthesis = self.synthesis.held if hold_human else self.synthesis
        view = synthesis(round_ste(y), level, preference)
        bits = [-torch.log2(likelihood).sum((1, 2, 3)) for likelihood in (y_likelihood, z_likelihood)]
        return Coded(view.float(), *bits)

    def encode(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """x (N,3,H,W), level (N,) -> integer-valued float symbols z (N,N',H/64,W/64) and y (N,M,H/16,W/16)."""
        y = self.latent(x, level)
        return torch.floor(self.hyper_analysis(y.abs()) + 0.5), torch.floor(y + 0.5)

    def decode(self, z: Tensor, y: Tensor, level: Tensor, preference: Tensor) -> Tensor:
        """Symbols as `encode` gives them -> picture (N,3,H,W) in [0,1]; z only matters for the parsing of y."""
        return self.synthesis(y, level, preference).clamp(0, 1)
