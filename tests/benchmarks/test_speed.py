import os

import numpy as np
import pytest
from fake_codec import FakeCodec
from PIL import Image

from benchmarks import datasets, report_speed, speed
from benchmarks.config import Config
from benchmarks.errors import BenchmarkError
from benchmarks.machine import held_to
from benchmarks.neural import CompressAiCodec
from benchmarks.store import Store


def test_codecs_take_turns(picture):
    first, second = FakeCodec(("a",)), FakeCodec(("b",))
    first.name, second.name = "a", "b"
    turns = []
    for codec in (first, second):
        plain = codec.encode
        codec.encode = lambda image, quality, codec=codec, plain=plain: (
            turns.append(codec.name) or plain(image, quality)
        )
    plan = speed.Plan((208, 176), 1, rounds=3, neural_rounds=1)
    samples = speed.measure([first, second], [picture, picture[::-1]], {"a": [2, 4], "b": [8, 8]}, plan)
    assert turns == ["a", "b"] * 4
    assert all(len(values) == 3 for taken in samples.values() for values in taken.values())
    assert samples["a"]["bpp"] == pytest.approx([24 + 96 / picture[..., 0].size] * 3, rel=1e-5)
    assert all(value > 0 for value in samples["b"]["decoding_time"])


class SlowCodec(FakeCodec, CompressAiCodec):
    """A model of CompressAI by its class alone."""

    name = "slow"


@pytest.mark.parametrize(("neural_rounds", "encodings"), [(1, 1), (2, 3)])
def test_slow_models_sit_out_the_later_rounds(picture, neural_rounds, encodings):
    codecs = [FakeCodec(), SlowCodec()]
    plan = speed.Plan((208, 176), 1, rounds=4, neural_rounds=neural_rounds)
    samples = speed.measure(codecs, [picture], {"fake": [4], "slow": [4]}, plan)
    assert [len(codec.encoded) for codec in codecs] == [5, encodings]
    assert [len(samples[codec.name]["bpp"]) for codec in codecs] == [4, neural_rounds]


def test_a_plan_that_needs_more_cores_is_left_out_loudly(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "usable_cores", lambda: 1)
    monkeypatch.setattr(speed, "PLANS", (speed.Plan((768, 512), 2, 1, 1),))
    monkeypatch.setattr(speed.memory, "run", lambda *arguments: None)
    speed.run(Config(data=data), Store(tmp_path))
    assert "LEFT OUT, it needs 2 cores and this process may use 1" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_ratio_is_taken_within_each_round():
    fast = {"samples": {"encoding_time": [1.0, 10.0, 2.0]}}
    slow = {"samples": {"encoding_time": [4.0, 40.0, 8.0]}}
    assert report_speed.ratio(fast, slow, "encoding_time") == 4
    assert report_speed.ratio(fast, {"samples": {"encoding_time": [6.0]}}, "encoding_time") == 6


def test_a_plan_is_kept_and_not_measured_twice(tmp_path, capsys):
    for number in range(2):
        Image.new("RGB", (768, 512), (200, 100 * number, 50)).save(tmp_path / f"{number}.png")
    dataset, store = datasets.folder(tmp_path), Store(tmp_path / "out")
    plan = speed.Plan((768, 512), 1, rounds=3, neural_rounds=1, models=())
    for _ in range(2):
        speed._run_plan(Config(codecs=("jpeg", "webp")), store, dataset, plan)
    assert "speed 768x512-1t: already measured" in capsys.readouterr().out
    (group,) = report_speed.by_plan(store.load("speed"))
    assert [result["name"] for result in group] == ["jpeg", "webp"]
    assert len(group[0]["qualities"]) == 2
    assert group[0]["settings"]["rivals"] == ["jpeg", "webp"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot hold a process to a core")
def test_one_thread_is_one_core_and_ends():
    torch = pytest.importorskip("torch")
    before = os.sched_getaffinity(0), torch.get_num_threads()
    with held_to(1):
        assert len(os.sched_getaffinity(0)) == 1
        assert torch.get_num_threads() == 1
    assert (os.sched_getaffinity(0), torch.get_num_threads()) == before


@pytest.mark.slow
def test_the_compressai_model_gives_pixels_back_from_its_bytes():
    try:
        codec = CompressAiCodec()
    except BenchmarkError as error:
        pytest.skip(str(error))
    image = np.random.default_rng(0).integers(0, 256, (70, 100, 3)).astype(np.uint8)
    data = codec.encode(image, 0)
    decoded = codec.decode(data, codec.name)
    assert decoded.shape == image.shape
    assert decoded.dtype == np.uint8
    assert (decoded == codec.decode(bytes(data), codec.name)).all()
