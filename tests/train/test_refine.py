"""Refinement: its gradient against autograd, what a few steps win, and the weights of the levels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny_train import NETWORK, tiny_codec

from ugicm_train.checkpoint import load_codec
from ugicm_train.config import LAMBDA_MAX, LAMBDA_MIN, rate_lambda
from ugicm_train.data import read_image
from ugicm_train.guide_file import FILE, load_guide
from ugicm_train.lower_rates import reach_lower
from ugicm_train.model.codec import Codec
from ugicm_train.model.entropy import index_to_scale, symbol_bits
from ugicm_train.model.guide import Guide, GuideConfig, guide_distance
from ugicm_train.model.refine import GUIDE_UNIT, error_gradient, level_weights, refine, schedule

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "models" / "nano"


def latent(codec: Codec, height: int, width: int) -> torch.Tensor:
    return torch.randn(2, codec.config.latent, height, width, generator=torch.Generator().manual_seed(1))


def photo_patches() -> torch.Tensor:
    photo = read_image(ROOT / "examples" / "kodim23.png")[:256, 256:512]
    return F.pixel_unshuffle(torch.tensor(photo).permute(2, 0, 1)[None].float() / 255, 8)


@pytest.mark.parametrize("blocks16", [0, 1])
def test_the_gradient_is_that_of_autograd(blocks16: int) -> None:
    torch.manual_seed(0)
    codec = Codec(replace(NETWORK, synthesis16=blocks16)).eval().double()
    assert len(codec.synthesis.blocks16) == blocks16
    level, y = torch.tensor([3, 50]), latent(codec, 4, 6).double().requires_grad_(True)
    patches = torch.rand(2, 192, 8, 12, dtype=torch.float64)
    view = codec.synthesis.patches(y, level, torch.zeros(2, dtype=torch.float64))
    (expected,) = torch.autograd.grad((view - patches).square().sum(), y)
    found = error_gradient(codec.synthesis, y, level, patches)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected)


def test_the_gradient_of_a_guided_error_is_that_of_autograd() -> None:
    torch.manual_seed(0)
    codec = Codec(NETWORK).eval().double()
    guide = Guide(GuideConfig(channels=(4, 5, 6), widths=(8, 10, 12), blocks=(1, 2, 1))).eval().double()
    for head in guide.heads:
        head.weight.data *= 10
    level, y = torch.tensor([3, 50]), latent(codec, 8, 4).double().requires_grad_(True)
    patches = torch.rand(2, 192, 16, 8, dtype=torch.float64)
    view = codec.synthesis.patches(y, level, torch.zeros(2, dtype=torch.float64))
    positions = zip(guide(view), guide(patches), (1, 4, 16), strict=True)
    distance = sum(times * (a - b).square().sum() for a, b, times in positions) / 3
    pixels = 64  # of the smallest position
    (expected,) = torch.autograd.grad((view - patches).square().sum() + 0.5 * GUIDE_UNIT * pixels * distance, y)
    found = error_gradient(codec.synthesis, y, level, patches, None, guide, torch.tensor(0.5))
    torch.testing.assert_close(found, expected)
    without = error_gradient(codec.synthesis, y, level, patches)
    torch.testing.assert_close(error_gradient(codec.synthesis, y, level, patches, None, guide, torch.tensor(0.0)), without)
    assert (expected - without).abs().max() > 0.1 * without.abs().max()


@pytest.mark.skipif(not (SHIPPED / FILE).exists(), reason="this checkout has no trained model with a guide")
@pytest.mark.parametrize(("level", "views"), [(14, 2), (34, 2), (54, 1)])
@torch.no_grad()
def test_guidance_brings_views_nearer_for_the_guide(level: int, views: int) -> None:
    """At the highest levels the human view alone, whose error the steps follow."""
    codec, history = load_codec(SHIPPED)
    guide = load_guide(SHIPPED)
    patches, levels = photo_patches(), torch.tensor([level])
    weight = level_weights(history, codec.config.quality_knots)[8 * levels]
    z, _ = codec.encode_patches(patches, levels)
    scale = index_to_scale(codec.scale_network(z, levels))

    def seen(r: torch.Tensor) -> list[float]:
        shown = codec.decode_patches(z, r, levels, torch.tensor([0.0, 1.0])[:views]).clamp(0, 1)
        distances = guide_distance(guide(shown), guide(patches)).tolist()
        return [float(symbol_bits(r, scale).sum()), *distances]

    none, plain, guided = (
        seen(refine(codec, patches, z, scale, levels, weight, effort, None, guide, guidance))
        for effort, guidance in ((0, 0.0), (3, 0.0), (3, 1.0))
    )
    assert guided[0] < 1.02 * none[0]
    assert all(b < 0.97 * min(a, c) for a, b, c in zip(none[1:], guided[1:], plain[1:], strict=True)), (none, plain, guided)


@pytest.mark.skipif(not SHIPPED.exists(), reason="this checkout has no trained model")
@pytest.mark.parametrize(("level", "least", "slack"), [(14, 0.01, 1.005), (34, 0.01, 1.0), (54, 0.04, 1.0)])
@torch.no_grad()
def test_steps_lower_the_cost_of_a_photo(level: int, least: float, slack: float) -> None:
    """Cost in bits: those of the symbols plus the weighted squared error of the human view."""
    codec, history = load_codec(SHIPPED)
    patches, levels = photo_patches(), torch.tensor([level])
    weight = level_weights(history, codec.config.quality_knots)[8 * levels]
    z, r = codec.encode_patches(patches, levels)
    scale = index_to_scale(codec.scale_network(z, levels))

    def cost(r: torch.Tensor) -> float:
        view = codec.decode_patches(z, r, levels, torch.zeros(1)).clamp(0, 1)
        return float(symbol_bits(r, scale).sum() + weight * (view - patches).square().sum())

    assert torch.equal(refine(codec, patches, z, scale, levels, weight, 0), r)
    costs = [cost(refine(codec, patches, z, scale, levels, weight, effort)) for effort in (0, 2, 8)]
    assert costs[1] < (1 - least) * costs[0]
    assert costs[2] < slack * costs[1]  # at low rates a few symbols decide, and two steps have found most of it


def test_the_schedule_rounds_last_and_shortens_its_steps() -> None:
    assert schedule(0) == []
    assert schedule(1) == [(1.0, 0.5**0.5)]
    assert schedule(4) == [(0.0, 0.5), (1 / 3, 0.5), (2 / 3, 0.5), (1.0, 0.5)]


def test_levels_weigh_what_training_gave_them() -> None:
    pixels = 255**2 / 3
    plain = level_weights([{"stage": "none"}], 3)
    assert plain.shape == (505,)
    assert plain[0] == pytest.approx(LAMBDA_MIN * pixels)
    assert plain[-1] == pytest.approx(LAMBDA_MAX * pixels)
    assert (plain[1:] > plain[:-1]).all()
    other = level_weights([{"stage": "semantic", "lambda_min": 0.001, "lambda_max": 0.1}, {"stage": "blend"}], 3)
    assert other[0] == pytest.approx(0.001 * pixels)
    assert other[-1] == pytest.approx(0.1 * pixels)


def test_reach_moves_the_weights_below_the_second_knot() -> None:
    plain, moved = level_weights([], 3), level_weights([{"stage": "reach", "below": 4.0}], 3)
    assert moved[0] == pytest.approx(float(rate_lambda(torch.tensor(-4.0))) * 255**2 / 3)
    assert (moved[: 8 * 31] < plain[: 8 * 31]).all()
    assert torch.equal(moved[8 * 32 :], plain[8 * 32 :])
    assert torch.equal(level_weights([{"stage": "rebase", "other": [{"stage": "reach", "below": 4.0}]}], 3), moved)
    again = level_weights([{"stage": "reach", "below": 4.0}, {"stage": "semantic", "lambda_min": 0.001, "lambda_max": 0.1}], 3)
    assert again[0] == pytest.approx(0.001 * 255**2 / 3)


def test_stages_that_leave_the_human_view_leave_the_weights() -> None:
    history = [{"stage": "rate_distortion", "lambda_min": 0.001, "lambda_max": 0.3}, {"stage": "reach", "below": 2.0}]
    later = [{"stage": name, "lambda_min": 0.0004, "lambda_max": 0.15} for name in ("preference", "integer")]
    assert torch.equal(level_weights([*history, *later], 3), level_weights(history, 3))
    assert not torch.equal(level_weights(history[:1], 3), level_weights(history, 3))


def test_a_second_reach_goes_along_the_line_that_the_first_made() -> None:
    codec, knots = tiny_codec(), NETWORK.quality_knots
    rows = codec.synthesis.log_gain.rows
    with torch.no_grad():
        rows.copy_(torch.linspace(0, 63, knots)[:, None].expand_as(rows))
    for below in (4.0, 3.0):
        reach_lower(codec, below)
    weights = level_weights([{"stage": "reach", "below": below} for below in (4.0, 3.0)], knots)
    assert weights[0] == pytest.approx(float(rate_lambda(rows[0, :1].detach())) * 255**2 / 3, rel=1e-5)
