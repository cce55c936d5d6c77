from types import SimpleNamespace

import numpy as np
import pytest
from fake_codec import FakeCodec
from PIL import Image

from benchmarks import datasets, tasks

VIEWS = ("human", "machine")


class BrightnessTask:
    """Right where the picture's mean is within 20 of the original's."""

    metrics = ("top1",)
    net = SimpleNamespace(name="brightness")

    def __init__(self, means):
        self.means = means

    def observe(self, index, image):
        return abs(image.mean() - self.means[index]) < 20

    def scorer(self, observations):
        return lambda chosen: {"top1": float(np.mean(np.array(observations)[chosen]))}


@pytest.fixture
def dataset(tmp_path):
    for value in (10, 120, 250):
        Image.new("RGB", (20, 10), (value, value, value)).save(tmp_path / f"{value:03}.png")
    return datasets.folder(tmp_path)


@pytest.fixture
def measured(dataset):
    codec = FakeCodec(VIEWS)
    return codec, tasks.measure(codec, dataset, (2, 8), [BrightnessTask([10, 120, 250])])


def test_every_view_decodes_the_very_same_stream(measured):
    codec, found = measured
    assert len(codec.encoded) == 2 * 3
    assert codec.decoded == [(stream, view) for stream in codec.encoded for view in VIEWS]
    human, machine = (found["brightness", view] for view in VIEWS)
    assert human["streams_sha256"] == machine["streams_sha256"]
    assert len(set(human["streams_sha256"])) == 2


def test_pictures_at_a_time_change_nothing(dataset, measured):
    found = tasks.measure(FakeCodec(VIEWS), dataset, (2, 8), [BrightnessTask([10, 120, 250])], threads=3)
    assert found == measured[1]


def test_scores_and_rates_by_quality(measured):
    _, found = measured
    results = found["brightness", "human"]["results"]
    # Two levels decode to 64 and 192, eight to 16, 48 .. 240.
    assert results["top1"] == [0, 1]
    assert results["bpp"] == pytest.approx([24 + 96 / 200] * 2)
    assert results["quality"] == [2, 8]
    assert found["brightness", "human"]["replicates"][1]["top1"] == [1.0] * tasks.REPLICATES
