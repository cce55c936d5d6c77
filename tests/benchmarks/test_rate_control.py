import numpy as np
from ugicm.rate import MAX_CALLS

from benchmarks import rate_control
from benchmarks.config import ROOT


class Stairs:
    """Streams of 100 + 10 * quality bytes; a wanted size is met from below in steps of 10 bytes."""

    def encode(self, picture, quality):
        return bytes(100 + 10 * quality)

    def encode_to_size(self, picture, target, progress):
        for _ in range(3):
            progress(1, 2)
            progress(2, 2)
        return bytes(target // 10 * 10)


def test_misses_are_counted_below_the_target():
    found = rate_control.misses(Stairs(), np.zeros((8, 8, 3), np.uint8), 5)
    assert [miss.target for miss in found] == [100, 182, 332, 604, 1100]
    assert [round(miss.shortfall * miss.target) for miss in found] == [0, 2, 2, 4, 0]
    assert {miss.passes for miss in found} == {3}


def test_the_command_tells_of_the_default_model(capsys):
    assert rate_control.main([str(ROOT / "examples" / "kodim23.png"), "--targets", "3", "--crop", "128"]) == 0
    text = capsys.readouterr().out
    assert "kodim23.png 128x128" in text
    assert int(text.rsplit("at most ", 1)[1]) <= MAX_CALLS


def test_what_cannot_be_measured_is_said(capsys):
    for words, reason in (
        (["nowhere.png"], "'nowhere.png' cannot be read as a picture"),
        (["nowhere.png", "--targets", "0"], "--targets is 0, expected at least 1"),
        (["nowhere.png", "--bundle", "nowhere"], "no bundle at 'nowhere'"),
    ):
        assert rate_control.main(words) == 1
        assert reason in capsys.readouterr().err
