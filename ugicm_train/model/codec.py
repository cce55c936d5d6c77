"""The whole network: image -> symbols -> image, for training and as the two halves that become engines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ugicm_train.config import QUALITY_LEVELS, NetworkConfig
from ugicm_train.model.condition import PreferenceCondition, QualityCondition
from ugicm_train.model.entropy import (
    LOG_STEP,
    SCALE_COUNT,
    SCALE_MIN,
    clamp_recoverable,
    index_to_scale,
    round_ste,
    symbol_bits,
)
from ugicm_train.model.held import PreferenceSynthesis
from ugicm_train.model.layers import Downsample, Pointwise, QualityTable, ResidualBlock, Upsample, between_levels
from ugicm_train.model.mean_network import MeanNetwork
from ugicm_train.model.scale_network import HYPER_MAX, ScaleNetwork

PATCH = 8
PIXELS = 3 * PATCH**2
RESIDUAL_MAX = 32767


@dataclass
class Coded:
    """What a training pass returns: views (N,3,H,W), bits of the latent and of the hyper latent (N,) each."""

    view: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor


class Analysis(nn.Module):
    """Pictures as 8x8 patches (N,192,H/8,W/8) in [0,1] -> y (N,M,H/16,W/16), multiplied by the gain of its quality level."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        c8, c16, knots = config.channels8, config.channels16, config.quality_knots
        self.condition = QualityCondition(QUALITY_LEVELS, knots, config.condition)
        self.stem = Pointwise(PIXELS, c8)
        self.blocks8 = nn.ModuleList(
            ResidualBlock(c8, config.condition, hidden=config.analysis8_hidden) for _ in range(config.analysis8)
        )
        self.down = Downsample(c8, c16)
        self.blocks16 = nn.ModuleList(ResidualBlock(c16, hidden=config.analysis16_hidden) for _ in range(config.analysis16))
        self.leave = Pointwise(c16, config.latent)
        self.log_gain = QualityTable(QUALITY_LEVELS, knots, config.latent)

    def features(self, patches: Tensor, level: Tensor) -> Tensor:
        """What the down-sampling gets, (N,C,H/8,W/8)."""
        condition = self.condition(level)
        x = self.stem(patches)
        for block in self.blocks8:
            x = block(x, condition)
        return x

    def forward(self, patches: Tensor, level: Tensor) -> Tensor:
        x = self.down(self.features(patches, level))
        for block in self.blocks16:
            x = block(x)
        return self.leave(x) * torch.exp(self.log_gain(level))[:, :, None, None]


class HyperAnalysis(nn.Module):
    """y (N,M,h,w) -> hyper latent before rounding (N,Z,h/4,w/4)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.hyper
        self.enter = Pointwise(config.latent, width)
        self.layers = nn.Sequential(
            ResidualBlock(width), Downsample(width, width), ResidualBlock(width), Downsample(width, width)
        )

    def forward(self, y: Tensor) -> Tensor:
        return self.layers(self.enter(y))


class Synthesis(PreferenceSynthesis):
    """y_hat (N,M,h,w), quality and preference -> x_hat (N,3,16h,16w), unclipped."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        c8, c16, knots = config.channels8, config.channels16, config.quality_knots
        self.condition = QualityCondition(QUALITY_LEVELS, knots, config.condition)
        self.preference = PreferenceCondition(QUALITY_LEVELS, knots, config.condition)
        self.log_gain = QualityTable(QUALITY_LEVELS, knots, config.latent)
        self.enter = Pointwise(config.latent, c16)
        width = config.condition
        self.blocks16 = nn.ModuleList(ResidualBlock(c16, width, width) for _ in range(config.synthesis16))
        self.up = Upsample(c16, c8)
        self.blocks8 = nn.ModuleList(
            ResidualBlock(c8, width, width, config.synthesis8_hidden) for _ in range(config.synthesis8)
        )
        self.head = Pointwise(c8, PIXELS)

    def preference_parameters(self) -> list[nn.Parameter]:
        """What the preference acts through; nothing of it changes the view at preference 0."""
        blocks = [*self.blocks16, *self.blocks8]
        return [*self.preference.parameters(), *(block.preference_modulation.weight for block in blocks)]

    def patches(self, y_hat: Tensor, level: Tensor, preference: Tensor) -> Tensor:
        """The picture before the pixel shuffle, (V,192,H/8,W/8), for preferences (V,) and y_hat, level of V pictures or one."""
        views = preference.shape[0]
        x = self.enter(y_hat * torch.exp(self.log_gain(level))[:, :, None, None])
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
        return self.head(x)

    def forward(self, y_hat: Tensor, level: Tensor, preference: Tensor) -> Tensor:
        return F.pixel_shuffle(self.patches(y_hat, level, preference), PATCH)


class Codec(nn.Module):
    """One model for all quality levels, 0..63 in steps of 1/8, and every preference in [0, 1].

    Levels are int64 for whole ones, as in training, or float32.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        knots = config.quality_knots
        self.analysis = Analysis(config)
        self.hyper_analysis = HyperAnalysis(config)
        self.mean_network = MeanNetwork(
            config.hyper, config.latent, config.context, config.context_blocks, QUALITY_LEVELS, knots
        )
        self.scale_network = ScaleNetwork(
            config.hyper, config.scale_hidden, config.scale_fine, config.latent, QUALITY_LEVELS, knots
        )
        self.hyper_scale = QualityTable(QUALITY_LEVELS, knots, config.hyper, torch.full((knots,), -math.log(SCALE_MIN)))
        """log(scale / 0.11) of every hyper channel per quality level; it starts at a standard deviation of 1."""
        self.synthesis = Synthesis(config)

    def hyper_scale_index(self, level: Tensor) -> Tensor:
        """Integer scale index of each hyper channel, (N,) -> (N,Z) float, straight-through."""

        def whole(level: Tensor) -> Tensor:
            return clamp_recoverable(round_ste(self.hyper_scale(level) / LOG_STEP), 0, SCALE_COUNT - 1)

        return between_levels(whole, level)

    def forward(self, x: Tensor, level: Tensor, preference: Tensor, hold_human: bool = False) -> Coded:
        """Training pass: x (N,3,H,W) in [0,1] with H, W multiples of 64, level (N,) int64, preference (N,).

        Symbols are rounded with a straight-through gradient; while training the rate sees uniform noise instead
        (Minnen and Singh, "Channel-wise autoregressive entropy models", ICIP 2020). `hold_human` keeps pictures of a
        preference above 0 from training the human view's synthesis (`Synthesis.held`).
        """
        y = self.analysis(F.pixel_unshuffle(x, PATCH), level)
        z = self.hyper_analysis(y).float()
        z_hat = clamp_recoverable(round_ste(z), -HYPER_MAX, HYPER_MAX)
        z_scale = index_to_scale(self.hyper_scale_index(level))[:, :, None, None]
        hyper_bits = symbol_bits(self._noisy(z), z_scale)
        scale = index_to_scale(self.scale_network(z_hat, level))
        y_hat, mu = self.mean_network(z_hat, level, lambda mean, mask: round_ste((y - mean).float()))
        latent_bits = symbol_bits(self._noisy((y - mu).float()), scale)
        synthesis = self.synthesis.held if hold_human else self.synthesis
        view = synthesis(y_hat, level, preference)
        return Coded(view.float(), latent_bits.sum((1, 2, 3)), hyper_bits.sum((1, 2, 3)))

    def _noisy(self, value: Tensor) -> Tensor:
        return value + torch.rand_like(value) - 0.5 if self.training else torch.floor(value + 0.5)

    def encode(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """x (N,3,H,W), level (N,) -> integer-valued float symbols z (N,Z,H/64,W/64) and r (N,M,H/16,W/16)."""
        return self.encode_patches(F.pixel_unshuffle(x, PATCH), level)

    def encode_patches(self, patches: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """`encode` of a picture given as 8x8 patches (N,192,H/8,W/8), channels in the order of pixel_unshuffle."""
        y = self.analysis(patches, level)
        z = torch.floor(self.hyper_analysis(y) + 0.5).clamp(-HYPER_MAX, HYPER_MAX)
        residual = torch.zeros_like(y)

        def code(mean: Tensor, mask: Tensor) -> Tensor:
            nonlocal residual
            symbols = torch.floor(y - mean + 0.5).clamp(-RESIDUAL_MAX, RESIDUAL_MAX)
            residual = residual + symbols * mask
            return symbols

        self.mean_network(z, level, code)
        return z, residual

    def decode_patches(self, z: Tensor, r: Tensor, level: Tensor, preference: Tensor) -> Tensor:
        """Symbols, quality and preference -> the unclipped picture as 8x8 patches, (V,192,H/8,W/8).

        There are V preferences, and V pictures or one; all views of one picture share what comes before the first block
        that the preference acts on.
        """
        y_hat, _ = self.mean_network(z, level, lambda mean, mask: r)
        return self.synthesis.patches(y_hat, level, preference)

    def decode(self, z: Tensor, r: Tensor, level: Tensor, preference: Tensor) -> Tensor:
        """Symbols z, r as `encode` gives them -> picture (N,3,H,W) in [0,1]."""
        return F.pixel_shuffle(self.decode_patches(z, r, level, preference), PATCH).clamp(0, 1)
