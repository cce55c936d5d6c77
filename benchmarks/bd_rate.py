"""Bjøntegaard differences: how many percent more bits one codec needs than another for the same score, and how much it scores
more with the same bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Points = Sequence[float] | np.ndarray
Curve = tuple[Points, Points]  # rates, scores


@dataclass(frozen=True)
class BdRate:
    """A rate difference and what it was taken over; `percent` is NaN if the curves share no score."""

    percent: float  # below zero: the tested codec needs fewer bits
    low: float  # the scores compared ...
    high: float
    share: float  # ... as a part, 0..1, of all scores the tested curve spans


def rising(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """The points of (rates, scores) worth paying for, by rate: each scores more than every cheaper one.

    PCHIP needs rising scores. Scores of small sets go up and down by chance; leaving out points that cost more and give
    no more is what a user of the codec would do.
    """
    rates, scores = np.asarray(curve[0], float), np.asarray(curve[1], float)
    order = np.lexsort((-scores, rates))
    kept: list[int] = []
    for index in order:
        if not kept or scores[index] > scores[kept[-1]]:
            kept.append(index)
    return rates[kept], scores[kept]


def clip_to_rates(curve: Curve, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """The part of a curve between two rates, with points put in by PCHIP (over the log of the rate) at the ends; empty if none."""
    from scipy.interpolate import PchipInterpolator

    rates, scores = rising(curve)
    if len(rates) < 2:
        return rates, scores
    ends = np.array([max(low, rates[0]), min(high, rates[-1])])
    if ends[0] >= ends[1]:
        return rates[:0], scores[:0]
    inside = (rates > ends[0]) & (rates < ends[1])
    at = np.concatenate([ends[:1], rates[inside], ends[1:]])
    return at, PchipInterpolator(np.log(rates), scores)(np.log(at))


def bd_rate(anchor: Curve, test: Curve) -> BdRate:
    """BD-rate of `test` against `anchor` by PCHIP over (score -> log rate), from the package `bjontegaard`.

    Curves are (bits per pixel, score), in any order; see `rising` for the points used.
    """
    import bjontegaard

    (rate_a, score_a), (rate_t, score_t) = rising(anchor), rising(test)
    if min(len(rate_a), len(rate_t)) < 2:
        return BdRate(math.nan, math.nan, math.nan, 0.0)
    low, high = max(score_a[0], score_t[0]), min(score_a[-1], score_t[-1])
    if high <= low:
        return BdRate(math.nan, low, high, 0.0)
    percent = bjontegaard.bd_rate(
        rate_a, score_a, rate_t, score_t, method="pchip", require_matching_points=False, min_overlap=0
    )
    return BdRate(float(percent), float(low), float(high), float((high - low) / (score_t[-1] - score_t[0])))


def bd_score(anchor: Curve, test: Curve) -> float:
    """How much more `test` scores than `anchor` at equal rate, mean over the log of the rates that both have (BD-PSNR where
    the score is that), by PCHIP from the package `bjontegaard`; NaN if they share none."""
    import bjontegaard

    (rate_a, score_a), (rate_t, score_t) = rising(anchor), rising(test)
    if min(len(rate_a), len(rate_t)) < 2 or min(rate_a[-1], rate_t[-1]) <= max(rate_a[0], rate_t[0]):
        return math.nan
    return float(
        bjontegaard.bd_psnr(
            rate_a, score_a, rate_t, score_t, method="pchip", require_matching_points=False, min_overlap=0
        )
    )
