"""Rate changes of the comparison of balances."""

import math

import pytest

from ugicm_train.compare import nearness, rate_change
from ugicm_train.evaluate import Point


def curve(factor=1.0, distances=(0.4, 0.3, 0.2, 0.1)):
    rates, qualities = (0.1, 0.2, 0.4, 0.8), (25.0, 28.0, 31.0, 34.0)
    return [
        Point(n, 0.0, rate * factor, quality, {"teacher": distance})
        for n, (rate, quality, distance) in enumerate(zip(rates, qualities, distances))
    ]


@pytest.mark.parametrize("quality", [lambda point: point.psnr, nearness], ids=["psnr", "teacher"])
def test_fewer_bits_at_equal_quality_are_a_negative_change(quality):
    assert rate_change(curve(), curve(), quality) == pytest.approx(0, abs=1e-6)
    assert rate_change(curve(), curve(0.9), quality) == pytest.approx(-10, abs=1e-3)


def test_a_curve_that_does_not_rise_has_no_figure():
    assert math.isnan(rate_change(curve(), curve(distances=(0.1, 0.2, 0.3, 0.4)), nearness))


def test_nearness_is_in_decibels():
    assert nearness(curve()[3]) == pytest.approx(10)
