"""More latent channels for a trained network: they start as the KLT of what its synthesis leaves of pictures where nothing is rounded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ugicm_train.batches import Batch
from ugicm_train.config import QUALITY_LEVELS, NetworkConfig, rate_lambda
from ugicm_train.model.codec import PATCH, Codec
from ugicm_train.model.entropy import LOG_STEP, SCALE_COUNT, index_to_scale, symbol_bits
from ugicm_train.model.klt import DISTORTION_SLOPE, FEATURE_GAIN, principal_axes
from ugicm_train.model.mean_network import STEPS

RIDGE = 1e-4
"""Of the mean square of the inputs, in both regressions."""
NUDGE = 0.05
"""Standard deviation of the noise on features that shows what the synthesis makes of a small change of them."""
LEAST_RESPONSE = 0.2
"""Directions of the features that the synthesis shows less than this, relative to the strongest, are not used: they are not as linear."""
LARGEST_SYMBOL = 40
"""Symbols beyond count as this one where scales are chosen."""
INDEX_OFFSETS = range(-24, 25, 2)
"""Steps of the scale index by which the scales of an old channel are tried for a new one."""
SIDE_BRANCH = ("mix_in", "depthwise", "expand", "modulation", "preference_modulation")
"""Layers of a residual branch that begin at random in new channels: the last layer of the branch keeps them from the network at first."""


def latent_places(old: int, new: int) -> tuple[Tensor, Tensor]:
    """Where old channels lie among `new`, and the added ones, strongest first: every context step gets as many of them."""
    groups = torch.arange(new).reshape(STEPS, new // STEPS)
    return groups[:, : old // STEPS].flatten(), groups[:, old // STEPS :].T.flatten()


def _shapes(config: NetworkConfig, **change: int) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: value.shape for name, value in Codec(dataclasses.replace(config, **change)).state_dict().items()}


@torch.no_grad()
def embed(weights: dict[str, Tensor], old: NetworkConfig, wide: Codec) -> dict[str, Tensor]:
    """`weights` of a network of configuration `old` within one of more channels, `wide`, which does the same and ignores its new ones.

    What leads out of new channels is zero, what leads into them too, but for random layers inside of residual branches.
    """
    base, features = _shapes(old), _shapes(old, channels16=old.channels16 + 16)
    latent = _shapes(old, channels16=old.channels16 + 16, latent=old.latent + 4)
    places = latent_places(old.latent, wide.config.latent)[0]
    out = {}
    for name, start in wide.state_dict().items():
        inside = name.split(".")[-2] in SIDE_BRANCH
        index = []
        for size, by_features, by_latent in zip(base[name], features[name], latent[name], strict=True):
            if by_latent != by_features:  # latent channels, behind those of something else or not
                before = size - old.latent
                index.append(torch.cat([torch.arange(before), before + places]))
            elif by_features != size:  # the feature channels, once or several times
                parts = torch.arange((by_features - size) // 16) * wide.config.channels16
                index.append((parts[:, None] + torch.arange(old.channels16)).flatten())
            else:
                index.append(torch.arange(size))
        filled = start.clone() if inside else torch.zeros_like(start)
        filled[index[0]] = 0
        filled[torch.meshgrid(*index, indexing="ij")] = weights[name]
        out[name] = filled
    return out


def _cells(patches: Tensor) -> Tensor:
    """(N,C,H/8,W/8) -> (n, 4C), one row per 16x16 pixels."""
    return F.pixel_unshuffle(patches, 2).movedim(1, -1).flatten(0, -2).double()


def _responses(codec: Codec, y: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Small random changes of the features (n, C8) behind the synthesis' up-sampling, and what they change of the patches (n, 192)."""
    synthesis, human = codec.synthesis, torch.zeros(len(y))
    before = synthesis.patches(y, level, human)
    noise = {}

    def nudge(module: object, inputs: object, output: Tensor) -> Tensor:
        noise["x"] = NUDGE * torch.randn_like(output)
        return output + noise["x"]

    hook = synthesis.up.register_forward_hook(nudge)
    change = synthesis.patches(y, level, human) - before
    hook.remove()
    return noise["x"].movedim(1, -1).flatten(0, -2).double(), change.movedim(1, -1).flatten(0, -2).double()


def _regression(inputs: Tensor, outputs: Tensor) -> Tensor:
    """(K, out) weights of the ridge regression without a constant."""
    products = inputs.T @ inputs
    ridge = RIDGE * products.diagonal().mean() * torch.eye(len(products), dtype=products.dtype)
    return torch.linalg.solve(products + ridge, inputs.T @ outputs)


def added_channels(old: int, new: int) -> int:
    """How many latent channels `new` has more than `old`; ValueError unless they are some and a multiple of 4."""
    extra = new - old
    if extra <= 0 or extra % STEPS:
        raise ValueError(f"the network has {old} latent channels: more by a multiple of {STEPS} are needed, not {new}")
    return extra


@torch.no_grad()
def widen(codec: Codec, latent: int, batches: Sequence[Batch]) -> tuple[Codec, list[float]]:
    """A copy of `codec` with `latent` channels in place of M, and as many feature channels more at 1/16 resolution.

    New channels are the principal axes, over 16x16 pixels, of what the synthesis leaves of the pictures of `batches` at the highest
    level without rounding. The analysis finds them by linear regression from its features, the synthesis shows them by the
    pseudo-inverse of its mean response, and they get the scales of the old channel that fits best. Returns it and each new axis' share
    of the squared error. ValueError as in `added_channels`.
    """
    old = codec.config
    extra = added_channels(old.latent, latent)
    wide = Codec(dataclasses.replace(old, latent=latent, channels16=old.channels16 + extra)).eval()
    wide.load_state_dict(embed(codec.state_dict(), old, wide))

    errors, features, nudges, changes = [], [], [], []
    for batch in batches:
        level = torch.full_like(batch.level, QUALITY_LEVELS - 1)
        patches = F.pixel_unshuffle(batch.x, PATCH)
        y = codec.analysis(patches, level)
        errors.append(_cells(patches - codec.synthesis.patches(y, level, torch.zeros(len(y)))))
        features.append(_cells(codec.analysis.features(patches, level)))
        noise, change = _responses(codec, y, level)
        nudges.append(noise)
        changes.append(change)
    error, feature = torch.cat(errors), torch.cat(features)
    error_mean, axes = principal_axes(error, extra)
    axes = axes.double()
    total = float((error - error_mean).square().sum())
    wanted = (error - error_mean) @ axes
    shares = [float(column.square().sum()) / total for column in wanted.T]

    new = torch.arange(old.channels16, old.channels16 + extra)
    places = latent_places(old.latent, latent)[1]
    centre = feature.mean(0)
    found = _regression(feature - centre, wanted) * FEATURE_GAIN
    wide.analysis.down.reduce.weight[new] = found.T.float()
    wide.analysis.down.reduce.bias[new] = -(centre @ found).float()
    wide.analysis.leave.weight[places, new] = 1.0
    wide.synthesis.enter.weight[new, places] = 1.0
    response = _regression(torch.cat(nudges), torch.cat(changes))  # (C8, 192)
    shown = torch.linalg.pinv(response, rtol=LEAST_RESPONSE)  # (192, C8)
    by_place = axes.reshape(shown.shape[0], 4, extra)  # pixel_unshuffle puts the channel before the place
    wide.synthesis.up.expand.weight[:, new] = (torch.einsum("pc,pqk->cqk", shown, by_place) / FEATURE_GAIN).reshape(-1, extra).float()

    knots = torch.linspace(0, QUALITY_LEVELS - 1, old.quality_knots, dtype=torch.float64)
    gain = -torch.log(torch.sqrt(DISTORTION_SLOPE / rate_lambda(knots)) / 255 * FEATURE_GAIN).float()
    wide.analysis.log_gain.rows[:, places] = gain[:, None]
    wide.synthesis.log_gain.rows[:, places] = -gain[:, None]
    _fit_scales(wide, places, latent_places(old.latent, latent)[0], batches)
    return wide, shares


def _fit_scales(wide: Codec, new: Tensor, old: Tensor, batches: Sequence[Batch]) -> None:
    """Give each new channel the scales of the old one, moved by a constant, with which its symbols take the fewest bits."""
    symbol = torch.arange(LARGEST_SYMBOL + 1)[None].expand(SCALE_COUNT, -1)
    table = symbol_bits(symbol, index_to_scale(torch.arange(SCALE_COUNT))[:, None])
    bits = torch.zeros(len(INDEX_OFFSETS), len(new), len(old), dtype=torch.float64)
    for batch in batches:
        z, r = wide.encode(batch.x, batch.level)
        index = wide.scale_network(z, batch.level)[:, old].movedim(1, 0).flatten(1).long()
        size = r[:, new].movedim(1, 0).flatten(1).abs().long().clamp(max=LARGEST_SYMBOL)
        for row, offset in enumerate(INDEX_OFFSETS):
            moved = (index + offset).clamp(0, SCALE_COUNT - 1)
            for column, own in enumerate(size):
                bits[row, column] += table[moved, own[None]].sum(1)
    best = bits.movedim(1, 0).flatten(1).argmin(1)
    moves, source = torch.tensor(list(INDEX_OFFSETS))[best // len(old)], old[best % len(old)]
    leave, quality = wide.scale_network.leave, wide.scale_network.quality
    leave.weight[new] = leave.weight[source]
    leave.bias[new] = leave.bias[source] + LOG_STEP * moves
    quality.rows[:, new] = quality.rows[:, source]
