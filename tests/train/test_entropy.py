"""Rounding, clamps and rates: gradients flow where they should, and the numbers are those of the entropy coder."""

import numpy as np
import pytest
import torch
from ugicm_coder import SCALES, ideal_bits
from ugicm_coder.tables import PARTS

from ugicm_train.model.entropy import (
    PROBABILITY_MIN,
    SCALE_COUNT,
    clamp_recoverable,
    index_to_scale,
    round_ste,
    scale_to_index,
    symbol_bits,
)


def test_scales_are_those_of_the_coder():
    assert len(SCALES) == SCALE_COUNT
    np.testing.assert_allclose(index_to_scale(torch.arange(SCALE_COUNT)).numpy(), SCALES, rtol=1e-5)


def test_index_and_scale_are_inverse():
    index = torch.linspace(0, 63, 200)
    torch.testing.assert_close(scale_to_index(index_to_scale(index)), index, atol=1e-4, rtol=0)


def test_rounding_is_half_up_with_a_passing_gradient():
    x = torch.tensor([-1.5, -0.5, -0.2, 0.5, 1.49, 2.5], requires_grad=True)
    rounded = round_ste(x)
    assert rounded.tolist() == [-1, 0, 0, 1, 1, 3]
    rounded.sum().backward()
    assert x.grad.tolist() == [1] * 6


def test_rounding_gives_exact_integers():
    x = torch.empty(100000).uniform_(-40000, 40000)
    rounded = round_ste(x)
    assert torch.equal(rounded, torch.floor(x.double() + 0.5).float())


@pytest.mark.parametrize(("direction", "expected"), [(1.0, [0, 1, 1]), (-1.0, [1, 1, 0])])
def test_clamp_lets_gradients_back_inside_only(direction, expected):
    x = torch.tensor([-5.0, 0.5, 5.0], requires_grad=True)
    clamped = clamp_recoverable(x, 0, 1)
    assert clamped.tolist() == [0, 0.5, 1]
    (direction * clamped).sum().backward()
    assert (x.grad * direction).tolist() == expected


def test_bits_are_those_of_an_ideal_coder():
    rng = np.random.default_rng(0)
    index = rng.integers(0, 64, 5000).astype(np.uint8)
    symbols = np.rint(rng.standard_normal(5000) * SCALES[index]).astype(np.int16)
    bits = symbol_bits(torch.from_numpy(symbols).float(), index_to_scale(torch.from_numpy(index)))
    assert float(bits.sum()) == pytest.approx(ideal_bits(symbols, index), rel=1e-4)


def test_the_derivatives_of_bits_are_those_of_autograd():
    generator = torch.Generator().manual_seed(0)
    scale = torch.rand(3, 5, 1, 1, generator=generator).mul(6).exp() * 0.11
    symbol = torch.randn(3, 5, 4, 6, generator=generator) * scale * 1.5
    results = []
    for bits_of, kind in ((symbol_bits, torch.float32), (bits_by_definition, torch.float64)):
        at, width = (x.detach().clone().to(kind).requires_grad_() for x in (symbol, scale))
        bits = bits_of(at, width)
        (bits * torch.linspace(0.5, 2, 6)).sum().backward()
        results.append([x.double() for x in (bits.detach(), at.grad, width.grad)])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=2e-3, atol=2e-4)


def bits_by_definition(symbol, scale):
    probability = 0
    for part in PARTS:
        upper, lower = (torch.special.ndtr((half - symbol.abs()) / (part * scale)) for half in (0.5, -0.5))
        probability = probability + (upper - lower) / len(PARTS)
    return -probability.clamp_min(PROBABILITY_MIN).log2()


@pytest.mark.parametrize("scale", [0.11, 5.0])
def test_what_is_too_unlikely_has_no_gradient(scale):
    symbol = torch.tensor([1.0, 4000.0], requires_grad=True)
    symbol_bits(symbol, torch.tensor(scale)).sum().backward()
    assert symbol.grad[0] > 0
    assert symbol.grad[1] == 0


def test_bits_of_absurd_symbols_stay_finite_and_even():
    bits = symbol_bits(torch.tensor([-30000.0, 30000.0]), torch.tensor(0.11))
    assert torch.isfinite(bits).all()
    assert bits[0] == bits[1]
