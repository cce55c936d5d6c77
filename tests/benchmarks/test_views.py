from benchmarks import views


class Counting:
    def __init__(self):
        self.asked = []

    def decode_views(self, stream, preferences):
        self.asked.append(tuple(preferences))


def test_one_and_two_views_take_turns():
    codec = Counting()
    found = views.times(codec, b"", 2)
    assert codec.asked == [(0.0,), (0.0, 1.0)] * 3
    assert len(found) == 2


def test_the_command_gives_a_ratio(capsys):
    assert views.main(["--rounds", "1"]) == 0
    assert "times as long" in capsys.readouterr().out


def test_what_cannot_be_measured_is_said(capsys):
    for words, reason in (
        (["--rounds", "0"], "--rounds is 0, expected at least 1"),
        (["--photo", "nowhere.png"], "'nowhere.png' cannot be read as a picture"),
        (["--engine", "other"], "other"),
    ):
        assert views.main(words) == 1
        assert reason in capsys.readouterr().err
