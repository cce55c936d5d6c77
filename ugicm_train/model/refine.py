"""Refinement: move a picture's latent so that its stream costs less and its human view errs less, with the decoder in the loop.

The analysis gives every picture a good latent, not its best one (the amortisation gap; Campos et al., "Content adaptive
optimization for neural image compression", CVPRW 2019). A few gradient steps on bits plus lambda times the squared error close
part of it. Only the symbols change: the format, the decoder and its speed stay as they are.

Two choices make a few steps enough (docs/refinement.md has the measurements). The squared error is taken at the latent itself
at first and, step by step, at its rounding, which symbols of a small scale see from the first step on. And the bits of a symbol
count as those of a Gaussian that is smeared by the rounding, whose gradient is a quotient.

The error is the one that the model was trained for: a share of the squared error gives way to structure where MS-SSIM had a
part. With a guide it can include how far the first features of a recognition network lie apart, so that both views suit networks
better; the human view still gains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from ugicm_coder import QUALITY_STEPS

from ugicm_train.config import LAMBDA_MAX, LAMBDA_MIN, QUALITY_LEVELS, rate_lambda
from ugicm_train.model.codec import PATCH, RESIDUAL_MAX, Codec, Synthesis
from ugicm_train.model.guide import Guide
from ugicm_train.model.layers import SLOPE, Downsample, Pointwise, ResidualBlock
from ugicm_train.model.structure import Structure
from ugicm_train.stages import STAGES

STEP_LARGE, STEP_SMALL = 0.034, 0.0057
"""Step sizes for symbols of a scale far above and far below `TURN`; n steps take 1/sqrt(n) of them, a single one as much as each of two."""
TURN = 0.7
"""The scale between symbols that are mostly coded and symbols that are mostly zero."""
FARTHEST = 0.5
"""Longest way of a symbol in one step, so that a network whose errors weigh more than usual cannot throw it off."""
ROUNDING_VARIANCE = 1 / 12
GUIDE_UNIT = 400.0 * 3 / 255**2
"""A guide's distance of 1 weighs as much as a squared error of 400 per sample (in 8-bit steps)."""
GUIDED_STEP = 0.3
"""Factor of the steps at full guidance, whose error is steeper."""

HUMAN_STAGES = [name for name, stage in STAGES.items() if stage.trains == "all"]
"""The stages that the human view and the levels learn from; the others leave both as they are."""

Pull = Callable[[Tensor], Tensor]


def schedule(effort: int) -> list[tuple[float, float]]:
    """(share, size) of each of `effort` steps, for `refine_step`: the last one sees all of the rounding."""
    return [(step / (effort - 1) if effort > 1 else 1.0, max(effort, 2) ** -0.5) for step in range(effort)]


def level_weights(history: Sequence[Mapping[str, Any]], knots: int) -> Tensor:
    """Bits per unit of summed squared error (samples in [0, 1]) that training weighed each level with: (505,), levels in eighths.

    `history` is that of the checkpoint: the lambdas of the last stage that trained all of it count, and `reach` after that moves the
    levels below the second of `knots` down, also one that `rebase` carried over; one inside a member of a mixture, of which its share
    comes along, is not counted.
    """
    lowest, highest, moved = LAMBDA_MIN, LAMBDA_MAX, 0.0
    knot = (QUALITY_LEVELS - 1) / (knots - 1)
    carried = [stage["other"] if stage["stage"] == "rebase" else [stage] for stage in history]
    for stage in chain.from_iterable(carried):
        if stage["stage"] in HUMAN_STAGES and "lambda_max" in stage:
            lowest, highest, moved = stage["lambda_min"], stage["lambda_max"], 0.0
        elif stage["stage"] == "reach":  # along the line that an earlier one has made steeper
            moved += stage["below"] * (1 + moved / knot)
    levels = torch.arange(QUALITY_STEPS * (QUALITY_LEVELS - 1) + 1) / QUALITY_STEPS
    levels = levels - moved * (1 - levels / knot).clamp(min=0)
    return rate_lambda(levels, lowest, highest) * 255**2 / 3


def structure_share(history: Sequence[Mapping[str, Any]], before: float = 0.0) -> float:
    """The share of MS-SSIM in the human objective of the last stage that trained the human view, `before` if none did.

    Of a mixture it is the mean of its members' by their shares, and what `rebase` carries over brings its own.
    """
    share = before
    for stage in history:
        if stage["stage"] in HUMAN_STAGES:
            share = float(stage.get("human_ms_ssim", 0.0))
        elif "other" in stage:
            weight = stage.get("share", 1.0)  # `rebase` has none
            share += weight * (structure_share(stage["other"], share) - share)
    return share


def refine(
    codec: Codec,
    patches: Tensor,
    z: Tensor,
    scale: Tensor,
    level: Tensor,
    weight: Tensor,
    effort: int,
    structure: Structure | None = None,
    guide: Guide | None = None,
    guidance: float = 0.0,
) -> Tensor:
    """Symbols r (N,M,h,w) after `effort` steps from the analysis of `patches`; arguments as in `refine_step`."""
    y = codec.analysis(patches, level)
    for share, size in schedule(effort):
        steps = torch.tensor(share), torch.tensor(size)
        guided = None if guide is None else torch.tensor(guidance)
        y = refine_step(codec, patches, y, z, scale, level, weight, *steps, structure, guide, guided)
    return residual(codec, y, z, level)


def residual(codec: Codec, y: Tensor, z: Tensor, level: Tensor) -> Tensor:
    """The symbols r (N,M,h,w), integer-valued floats, that code a latent y."""
    y_hat, mean = _rounded(codec, y, z, level)
    return torch.floor(y_hat - mean + 0.5).clamp(-RESIDUAL_MAX, RESIDUAL_MAX)


def _rounded(codec: Codec, y: Tensor, z: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """(y_hat, means), both (N,M,h,w), of the symbols nearest to y."""
    return codec.mean_network(z, level, lambda step_mean, mask: torch.floor(y - step_mean + 0.5))


def refine_step(
    codec: Codec,
    patches: Tensor,
    y: Tensor,
    z: Tensor,
    scale: Tensor,
    level: Tensor,
    weight: Tensor,
    share: Tensor,
    size: Tensor,
    structure: Structure | None = None,
    guide: Guide | None = None,
    guidance: Tensor | None = None,
) -> Tensor:
    """One step: y (N,M,h,w) -> y of the same shape, for pictures as patches (N,192,2h,2w) in [0,1].

    z (N,Z,h/4,w/4) and scale (N,M,h,w) as they will be coded; level (N,). weight (N,): bits per unit of summed squared error.
    share, size: scalars of the schedule, the part of the rounding that the error sees and the factor of the step.
    structure: what takes a share of the squared error's place, if anything does.
    guidance: scalar 0..1, how much the distance of the guide counts, if there is one.
    """
    _, mean = _rounded(codec, y, z, level)
    offset = y - mean
    dead = 1 / (1 + (scale / TURN).square())
    seen = y + share * dead * (torch.floor(offset + 0.5) - offset)
    bits = offset / ((scale.square() + ROUNDING_VARIANCE) * math.log(2))
    error = error_gradient(codec.synthesis, seen, level, patches, structure, guide, guidance)
    if guidance is not None:
        size = size * GUIDED_STEP**guidance
    step = size * STEP_LARGE * (STEP_SMALL / STEP_LARGE) ** dead
    return y - (step * (bits + weight[:, None, None, None] * error)).clamp(-FARTHEST, FARTHEST)


def error_gradient(
    synthesis: Synthesis,
    y: Tensor,
    level: Tensor,
    patches: Tensor,
    structure: Structure | None = None,
    guide: Guide | None = None,
    guidance: Tensor | None = None,
) -> Tensor:
    """Gradient of the error of the human view with respect to y, written out so that it can become an engine.

    The error is the summed squared error, or `Structure.mixed`, and, with a guide, `guidance` times `GUIDE_UNIT` times the pixels
    of the picture times `guide_distance`.
    """
    pulls: list[Pull] = []
    condition = synthesis.condition(level)
    gain = torch.exp(synthesis.log_gain(level))[:, :, None, None]
    x = synthesis.enter(y * gain)
    for block in synthesis.blocks16:
        x = _through(block, x, condition, pulls)
    x = synthesis.up(x)
    pulls.append(lambda gradient: _back(synthesis.up.expand, F.pixel_unshuffle(gradient, 2)))
    for block in synthesis.blocks8:
        x = _through(block, x, condition, pulls)
    view = synthesis.head(x)
    gradient = 2 * (view - patches) if structure is None else structure.mixed_gradient(view, patches)
    if guide is not None and guidance is not None:
        gradient = gradient + guidance * GUIDE_UNIT * guide_gradient(guide, view, patches)
    gradient = _back(synthesis.head, gradient)
    for pull in reversed(pulls):
        gradient = pull(gradient)
    return _back(synthesis.enter, gradient) * gain


def guide_gradient(guide: Guide, view: Tensor, patches: Tensor) -> Tensor:
    """Gradient of the pixels of a picture times `guide_distance` with respect to the view, both as patches (N,192,H/8,W/8)."""
    pulls: list[Pull] = []
    x = guide.stem(view - 0.5)
    for number, (stage, wanted) in enumerate(zip(guide.stages, guide(patches), strict=True)):
        if number:
            x = guide.downs[number - 1](x)
            pulls.append(_enlarged(guide.downs[number - 1]))
        for block in cast(nn.Sequential, stage):
            x = _through(block, x, None, pulls)
        head = cast(Pointwise, guide.heads[number])
        pixels = (PATCH << number) ** 2  # of a position
        pulls.append(_added(_back(head, 2 * pixels / len(guide.stages) * (head(x) - wanted))))
    gradient = torch.zeros_like(x)
    for pull in reversed(pulls):
        gradient = pull(gradient)
    return _back(guide.stem, gradient)


def _enlarged(down: nn.Module) -> Pull:
    assert isinstance(down, Downsample)
    return lambda gradient: F.pixel_shuffle(_back(down.reduce, gradient), 2)


def _added(own: Tensor) -> Pull:
    return lambda gradient: gradient + own


def _through(block: nn.Module, x: Tensor, condition: Tensor | None, pulls: list[Pull]) -> Tensor:
    """A residual block at preference 0, adding its pull to `pulls`."""
    assert isinstance(block, ResidualBlock)
    hidden, scale = block.mix_in(x), None
    if block.modulation is not None:
        scale, shift = block.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        hidden = hidden * (1 + scale) + shift
    x = x + block.mix_out(block.depthwise(F.leaky_relu(hidden, SLOPE)))
    wide = block.expand(x)

    def pull(gradient: Tensor) -> Tensor:
        gradient = gradient + _back(block.expand, _leak(wide, _back(block.contract, gradient)))
        spread = F.conv2d(_back(block.mix_out, gradient), block.depthwise.weight.flip(2, 3), padding=1, groups=hidden.shape[1])
        within = _leak(hidden, spread)
        return gradient + _back(block.mix_in, within if scale is None else within * (1 + scale))

    pulls.append(pull)
    return x + block.contract(F.leaky_relu(wide, SLOPE))


def _back(layer: Pointwise, gradient: Tensor) -> Tensor:
    return F.conv2d(gradient, layer.weight.t()[:, :, None, None])


def _leak(x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient before a leaky ReLU of x."""
    return torch.where(x > 0, gradient, SLOPE * gradient)
