import numpy as np
import pytest

from benchmarks.classification import Classification
from benchmarks.task import REPLICATES, summarise

OBSERVATIONS = [(True, True, True), (False, True, True), (False, False, True), (True, True, False)]


def scorer():
    task = Classification.__new__(Classification)
    return task.scorer(OBSERVATIONS)


def test_classification_scores_are_shares_of_pictures():
    row, _ = summarise(scorer(), [0.1, 0.2, 0.3, 0.4])
    assert row == pytest.approx({"bpp": 0.25, "top1": 0.5, "top5": 0.75, "top1-agreement": 0.75})


def test_samples_draw_the_same_pictures_every_time():
    _, first = summarise(scorer(), [0.1, 0.2, 0.3, 0.4])
    _, second = summarise(scorer(), [0.4, 0.3, 0.2, 0.1])
    assert first["top1"] == second["top1"]
    assert len(first["top1"]) == REPLICATES
    assert np.add(first["bpp"], second["bpp"]) == pytest.approx(np.full(REPLICATES, 0.5))


def test_samples_spread_as_the_binomial_law_says():
    hits = np.arange(400) % 2 == 0
    _, samples = summarise(lambda chosen: {"top1": float(hits[chosen].mean())}, np.ones(400))
    assert np.std(samples["top1"]) == pytest.approx(0.5 / 20, rel=0.15)
