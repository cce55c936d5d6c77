import math

import numpy as np
import pytest
from coder_helpers import random_band
from ugicm_coder import SCALES, build_tables, ideal_bits
from ugicm_coder._core import MAX_RADIUS, PRECISION
from ugicm_coder.tables import PARTS


def test_scales():
    assert SCALES.shape == (64,)
    assert SCALES[0] == pytest.approx(0.11)
    assert SCALES[-1] == pytest.approx(64.0)
    assert np.ptp(np.diff(np.log(SCALES))) < 1e-12


def test_tables_are_valid_and_symmetric():
    tables = build_tables()
    assert len(tables.frequencies) == 64
    for frequencies in tables.frequencies:
        values = frequencies[:-1]
        assert frequencies.dtype == np.uint16
        assert frequencies.sum(dtype=int) == 1 << PRECISION
        assert frequencies.min() >= 1
        assert len(values) // 2 <= MAX_RADIUS
        assert np.abs(values.astype(int) - values[::-1].astype(int)).max() <= 1
    assert (np.diff(tables.zero_flags.astype(int)) <= 0).all()
    assert tables.lift >= len(tables.zero_flags) - 1


def below(scale, value):
    """Probability of a value below `value`: half of each of the two Gaussians."""
    return sum(0.5 * (1 + math.erf(value / (part * scale * math.sqrt(2)))) for part in PARTS) / len(PARTS)


def test_expected_length_is_near_entropy():
    """Over each scale the integer table costs at most 0.01 bit more than the unquantised one."""
    for scale, frequencies in zip(SCALES, build_tables().frequencies, strict=True):
        radius = len(frequencies) // 2 - 1
        values = np.arange(-radius, radius + 1)
        probability = np.diff([below(scale, v - 0.5) for v in [*values, radius + 1]])
        excess = np.log2(probability / (frequencies[:-1] / (1 << PRECISION)))
        assert (probability * excess).sum() < 0.01


def test_tables_have_longer_tails_than_a_gaussian_and_nearly_its_variance():
    scale, frequencies = SCALES[40], build_tables().frequencies[40]
    radius = len(frequencies) // 2 - 1
    values, share = np.arange(-radius, radius + 1), frequencies[:-1] / (1 << PRECISION)
    second, fourth = (share * values**2.0).sum(), (share * values**4.0).sum()
    assert 0.9 < second / (scale**2 + 1 / 12) < 1
    assert 3.1 < fourth / second**2 < 3.6


def test_ideal_bits():
    zeros, index = np.zeros((1, 1, 3), np.int16), np.full((1, 1, 3), 40, np.uint8)
    scale = SCALES[40]
    assert ideal_bits(zeros, index) == pytest.approx(-3 * math.log2(below(scale, 0.5) - below(scale, -0.5)))
    far = np.array([[[1000]]], np.int16)
    assert 1e6 < ideal_bits(far, np.zeros((1, 1, 1), np.uint8)) < math.inf
    assert ideal_bits(np.zeros((0, 2, 2), np.int16), np.zeros((0, 2, 2), np.uint8)) == 0
    with pytest.raises(ValueError, match="expected the same"):
        ideal_bits(zeros, index[:, :, :2])


def test_ideal_bits_is_continuous_where_the_asymptote_takes_over():
    index = np.zeros((1, 1, 1), np.uint8)
    bits = [ideal_bits(np.array([[[v]]], np.int16), index) for v in range(1, 12)]
    assert (np.diff(np.diff(np.diff(bits))) < 2).all()


def test_coded_size_is_near_ideal(model):
    symbols, indexes = random_band(3, (7, 96, 128))
    ideal = ideal_bits(symbols, indexes)
    assert 8 * len(model.encode_residual(symbols, indexes)) < 1.005 * ideal
