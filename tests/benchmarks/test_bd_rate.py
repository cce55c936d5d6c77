import math

import numpy as np
import pytest

from benchmarks.bd_rate import bd_rate, bd_score, clip_to_rates, rising

pytest.importorskip("bjontegaard")

RATES = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
SCORES = 30 + 5 * np.log2(RATES)


def test_half_the_rate_is_minus_50_percent():
    result = bd_rate((RATES, SCORES), (RATES / 2, SCORES))
    assert result.percent == pytest.approx(-50)
    assert result.share == pytest.approx(1)


def test_the_other_way_round_is_plus_100_percent():
    assert bd_rate((RATES / 2, SCORES), (RATES, SCORES)).percent == pytest.approx(100)


def test_equal_curves_differ_by_nothing_whatever_the_order_and_number_of_points():
    dense = np.geomspace(0.1, 1.6, 9)
    test = (dense[::-1], 30 + 5 * np.log2(dense[::-1]))
    assert bd_rate((RATES, SCORES), test).percent == pytest.approx(0, abs=1e-9)


def test_only_scores_both_reach_are_compared():
    result = bd_rate((RATES, SCORES), (RATES[2:] * 0.7, SCORES[2:]))
    assert result.percent == pytest.approx(-30)
    assert (result.low, result.high) == pytest.approx((SCORES[2], SCORES[-1]))
    partly = bd_rate((RATES[:3], SCORES[:3]), (RATES, SCORES))
    assert partly.share == pytest.approx(0.5)


def test_curves_without_a_common_score_give_no_number():
    result = bd_rate((RATES, SCORES), (RATES, SCORES + 100))
    assert math.isnan(result.percent)
    assert result.share == 0


def test_points_that_cost_more_and_give_no_more_are_left_out():
    rates, scores = rising(([1, 2, 3, 4, 4], [0.5, 0.4, 0.6, 0.6, 0.7]))
    assert rates.tolist() == [1, 3, 4]
    assert scores.tolist() == [0.5, 0.6, 0.7]


def test_a_curve_is_cut_at_the_rates_asked_for():
    rates, scores = clip_to_rates((RATES, SCORES), 0.15, 1.2)
    assert rates[[0, -1]].tolist() == pytest.approx([0.15, 1.2])
    assert scores == pytest.approx(30 + 5 * np.log2(rates), abs=1e-9)
    whole, _ = clip_to_rates((RATES, SCORES), 0.01, 100)
    assert whole.tolist() == pytest.approx(RATES.tolist())


@pytest.mark.parametrize(("low", "high"), [(100, 200), (0.001, 0.002), (1.2, 0.15)])
def test_a_curve_claims_nothing_where_it_has_no_points(low, high):
    curve = clip_to_rates((RATES, SCORES), low, high)
    assert [len(part) for part in curve] == [0, 0]
    assert np.isnan(bd_rate((RATES, SCORES), curve).percent)


def test_what_is_scored_more_at_equal_rate():
    better = (RATES[1:], SCORES[1:] + 0.5)
    assert bd_score((RATES, SCORES), better) == pytest.approx(0.5)
    assert bd_score(better, (RATES, SCORES)) == pytest.approx(-0.5)


def test_curves_without_a_common_rate_score_nothing_at_it():
    assert math.isnan(bd_score((RATES, SCORES), (RATES * 100, SCORES)))
    assert math.isnan(bd_score((RATES[:1], SCORES[:1]), (RATES, SCORES)))
