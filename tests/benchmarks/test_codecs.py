import io
import os

import numpy as np
import pytest
from PIL import Image

from benchmarks.codecs import pillow_codec
from benchmarks.config import PEERS
from benchmarks.errors import BenchmarkError
from benchmarks.metrics import bits_per_pixel


def codec_named(name):
    try:
        return pillow_codec(name)
    except BenchmarkError as error:
        pytest.skip(str(error))


@pytest.fixture(params=PEERS)
def codec(request):
    return codec_named(request.param)


def test_the_rate_is_the_size_of_the_file(codec, picture, tmp_path):
    data = codec.encode(picture, 60)
    path = tmp_path / f"picture.{codec.name}"
    Image.fromarray(picture).save(path, codec.format, quality=60, **codec.options)
    assert len(data) == os.path.getsize(path)
    assert bits_per_pixel(data, picture) == 8 * os.path.getsize(path) / (176 * 208)


def test_the_decoded_picture_is_that_of_the_file(codec, picture, tmp_path):
    data = codec.encode(picture, 60)
    path = tmp_path / f"picture.{codec.name}"
    path.write_bytes(data)
    decoded = codec.decode(data, codec.name)
    with Image.open(path) as image:
        assert image.format == codec.format
        assert (decoded == np.asarray(image.convert("RGB"))).all()
    assert decoded.shape == picture.shape
    assert (decoded != picture).any()


def test_decoding_sees_nothing_but_the_bytes(codec, picture):
    other = codec.encode(picture[::-1].copy(), 60)
    codec.encode(picture, 60)
    assert np.abs(codec.decode(other, codec.name).astype(int) - picture[::-1]).mean() < 10


def test_damaged_bytes_do_not_decode(codec, picture):
    data = codec.encode(picture, 60)
    with pytest.raises((OSError, SyntaxError, ValueError, RuntimeError)):
        codec.decode(data[: len(data) // 20], codec.name)


def test_a_higher_quality_takes_more_bytes(codec, picture):
    noisy = (picture + np.random.default_rng(0).integers(0, 20, picture.shape)).clip(0, 255).astype(np.uint8)
    sizes = [len(codec.encode(noisy, quality)) for quality in codec.qualities("rd")]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 4 * sizes[0]


def test_avif_is_coded_as_the_report_says(picture):
    codec = codec_named("avif")
    plain = io.BytesIO()
    Image.fromarray(picture).save(plain, "AVIF", quality=60)
    assert codec.encode(picture, 60) == plain.getvalue()  # speed 6 and 4:2:0 are Pillow's own defaults


def test_lossless_gives_the_original_back(picture):
    codec = codec_named("png")
    assert (codec.decode(codec.encode(picture, 100), "png") == picture).all()


def test_an_unknown_codec_is_named():
    with pytest.raises(BenchmarkError, match="'bpg' is no codec known here"):
        pillow_codec("bpg")
