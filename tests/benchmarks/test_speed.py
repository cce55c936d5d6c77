import os

import numpy as np
import pytest
from fake_codec import FakeCodec

from benchmarks import report_speed, speed
from benchmarks.codecs import pillow_codec
from benchmarks.errors import BenchmarkError


def test_codecs_take_turns(picture):
    first, second = FakeCodec(("a",)), FakeCodec(("b",))
    first.name, second.name = "a", "b"
    turns = []
    for codec in (first, second):
        plain = codec.encode
        codec.encode = lambda image, quality, codec=codec, plain=plain: (
            turns.append(codec.name) or plain(image, quality)
        )
    samples = speed.measure([first, second], [picture, picture[::-1]], {"a": [2, 4], "b": [8, 8]}, rounds=3)
    assert turns == ["a", "b"] * 4
    assert all(len(values) == 3 for taken in samples.values() for values in taken.values())
    assert samples["a"]["bpp"] == pytest.approx([24 + 96 / picture[..., 0].size] * 3, rel=1e-5)
    assert all(value > 0 for value in samples["b"]["decoding_time"])


def test_the_nearest_size_is_found(picture):
    codec = pillow_codec("jpeg")
    sizes = {quality: len(codec.encode(picture, quality)) for quality in range(1, 101)}
    target = (sizes[40] + sizes[80]) // 2
    found = speed.nearest_quality(codec, picture, target)
    assert abs(sizes[found] - target) <= 1.02 * min(abs(size - target) for size in sizes.values()) + 20


def test_a_ratio_is_taken_within_each_round():
    fast = {"samples": {"encoding_time": [1.0, 10.0, 2.0]}}
    slow = {"samples": {"encoding_time": [4.0, 40.0, 8.0]}}
    assert report_speed.ratio(fast, slow, "encoding_time") == 4


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot hold a process to a core")
def test_one_thread_is_one_core_and_ends():
    pytest.importorskip("torch")
    before = os.sched_getaffinity(0)
    with speed.one_thread():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


@pytest.mark.slow
def test_the_compressai_model_gives_pixels_back_from_its_bytes():
    from benchmarks.neural import CompressAiCodec

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
