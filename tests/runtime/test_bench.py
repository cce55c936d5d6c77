"""The timing of stages."""

import time

import pytest
from ugicm.bench import Stopwatch, draw_picture, measure


def test_stopwatch_adds_up():
    watch = Stopwatch()
    for _ in range(2):
        with watch.stage("engine"):
            time.sleep(0.01)
    assert watch.seconds["engine"] >= 0.02
    assert watch.seconds["scale_network"] == 0


def test_parts_make_up_the_total(codec, picture):
    facts = measure(codec, picture, 50, runs=1)
    for side in ("encode_ms", "decode_ms"):
        total = facts[side].pop("total")
        assert sum(facts[side].values()) == pytest.approx(total, abs=0.01)


def test_the_drawn_picture_is_fixed():
    picture = draw_picture()
    assert picture.shape == (512, 768, 3)
    assert (picture == draw_picture()).all()
