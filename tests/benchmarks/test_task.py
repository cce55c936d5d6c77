import numpy as np
import pytest

from benchmarks.classification import Classification
from benchmarks.task import REPLICATES, summarise

OBSERVATIONS = [(True, True, True), (False, True, True), (False, False, True), (True, True, False)]


def scorer():
    task = Classification.__new__(Classification)
    return task.scorer(OBSERVATIONS)


def test_classification_scores_are_shares_of_pictures():
    row, _ = summarise(scorer(), [100] * 4, [4000] * 4)
    assert row == pytest.approx({"bpp": 0.2, "top1": 0.5, "top5": 0.75, "top1-agreement": 0.75})


def test_the_rate_is_all_bits_over_all_pixels():
    row, samples = summarise(lambda chosen: {}, [100, 0], [100, 700])
    assert row["bpp"] == 1
    assert set(samples["bpp"]) == {0, 1, 8}


def test_samples_draw_the_same_pictures_every_time():
    _, first = summarise(scorer(), [1, 2, 3, 4], [10] * 4)
    _, second = summarise(scorer(), [4, 3, 2, 1], [10] * 4)
    assert first["top1"] == second["top1"]
    assert len(first["top1"]) == REPLICATES
    assert np.add(first["bpp"], second["bpp"]) == pytest.approx(np.full(REPLICATES, 4))


def test_samples_spread_as_the_binomial_law_says():
    hits = np.arange(400) % 2 == 0
    _, samples = summarise(lambda chosen: {"top1": float(hits[chosen].mean())}, np.ones(400), np.ones(400))
    assert np.std(samples["top1"]) == pytest.approx(0.5 / 20, rel=0.15)
