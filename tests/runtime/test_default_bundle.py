"""The model inside the package, if this checkout has one."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from shipped import EXAMPLE, needs_model, psnr
from ugicm import Codec
from ugicm.bench import draw_picture
from ugicm.bitstream import parse
from ugicm.bundle import DEFAULT_PATH
from ugicm.errors import StreamError, TooLargeError
from ugicm.tiles import MIN_TILE_PIXELS

pytestmark = needs_model


@pytest.fixture(scope="module")
def default():
    return Codec.open(DEFAULT_PATH, threads=1)


@pytest.fixture(scope="module")
def two_threads():
    return Codec.open(DEFAULT_PATH, threads=2)


@pytest.fixture(scope="module")
def photo():
    """A smooth, photo-like picture with odd sides, (193, 259, 3)."""
    return np.asarray(Image.fromarray(draw_picture()).resize((259, 193), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("quality", [0, 25, 50, 75, 100])
def test_symbols_survive_at_every_quality(default, photo, quality):
    sent, received = default.encode_symbols(photo, quality), default.decode_symbols(default.encode(photo, quality))
    np.testing.assert_array_equal(sent.z, received.z)
    np.testing.assert_array_equal(sent.r, received.r)


@pytest.mark.parametrize("quality", [0, 33, 67, 100])
def test_symbols_do_not_depend_on_the_number_of_threads(default, two_threads, quality):
    picture = draw_picture()
    one, two = default.encode_symbols(picture, quality), two_threads.encode_symbols(picture, quality)
    np.testing.assert_array_equal(one.z, two.z)
    np.testing.assert_array_equal(one.r, two.r)
    assert default.encode(picture, quality) == two_threads.encode(picture, quality)


def test_a_stream_of_another_process_holds_the_same_symbols(default, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    words = ["encode", tmp_path / "photo.png", tmp_path / "photo.ugic", "--bundle", DEFAULT_PATH, "--threads", "2"]
    subprocess.run([sys.executable, "-m", "ugicm", *map(str, words)], check=True)
    sent, received = default.encode_symbols(photo), default.decode_symbols((tmp_path / "photo.ugic").read_bytes())
    assert received.level == sent.level
    np.testing.assert_array_equal(received.z, sent.z)
    np.testing.assert_array_equal(received.r, sent.r)


def test_truncation_at_every_length(default):
    stream = default.encode(draw_picture(128, 64))
    for length in range(len(stream)):
        with pytest.raises(StreamError):
            default.decode(stream[:length])


def test_ten_thousand_bit_flips(default, photo):
    stream = default.encode(photo)
    for bit in np.random.default_rng(0).integers(0, 8 * len(stream), 10_000):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            default.decode(damaged)


def test_rate_and_quality_grow_together(default, photo):
    streams = [default.encode(photo, quality) for quality in (0, 50, 100)]
    sizes = [len(stream) for stream in streams]
    scores = [psnr(default.decode(stream), photo) for stream in streams]
    assert sizes == sorted(set(sizes))
    assert scores == sorted(set(scores))
    assert scores[1] > 24


def test_targets_are_met_within_one_percent_from_below(default):
    """The shipped example, cropped to half its sides. Above 1 kB the rate grows by less than 1% with every eighth of a level;
    below, a stream may end further from its target where the next eighth would not fit."""
    photo = np.asarray(Image.open(EXAMPLE).convert("RGB"))[:256, :384]
    smallest, largest = (len(default.encode(photo, quality)) for quality in (0, 100))
    for target in np.geomspace(smallest, largest, 22).astype(int)[1:]:
        stream = default.encode_to_size(photo, int(target))
        assert len(stream) <= target
        if len(stream) < 0.99 * target:
            assert target < 1024
            assert len(default.encode(photo, 100 * (parse(stream).level + 1 / 8) / 63)) > target


def test_levels_between_are_between(default, photo):
    """A whole level, and the eighths up to the next: sizes and pictures pass from one to the other."""
    streams = [default.encode(photo, 100 * (40 + eighths / 8) / 63) for eighths in range(9)]
    assert [parse(stream).level for stream in streams] == [40 + eighths / 8 for eighths in range(9)]
    scores = [psnr(default.decode(stream), photo) for stream in streams]
    assert len(streams[0]) < len(streams[4]) < len(streams[8])
    assert scores[0] < scores[4] < scores[8]
    assert max(abs(a - b) for a, b in itertools.pairwise(scores)) < scores[8] - scores[0]


def test_views_differ(default, photo):
    stream = default.encode(photo)
    human, machine = default.decode(stream), default.decode(stream, view="machine")
    assert human.shape == machine.shape == photo.shape
    assert (human != machine).any()


@pytest.mark.parametrize("region", [None, (40, 1000, 300, 500)])
def test_several_views_at_once_are_what_single_calls_give(region):
    """In tiles and whole: the engine gets the symbols of one picture and several preferences."""
    codec = Codec.open(DEFAULT_PATH, threads=1, tile_pixels=MIN_TILE_PIXELS)
    stream = codec.encode(draw_picture(400, 1900) if region else draw_picture(259, 193), 60)
    preferences = (0.0, 1.0, 0.35)
    for view, preference in zip(codec.decode_views(stream, preferences, region), preferences, strict=True):
        alone = codec.decode(stream, preference=preference, region=region)
        assert view.shape == alone.shape
        assert np.abs(view.astype(int) - alone).max() <= 1


@pytest.mark.parametrize("width,height", [(1, 1), (1, 600), (600, 1), (63, 65), (64, 64), (65, 3)])
def test_small_sizes(default, width, height):
    image = draw_picture(600, 600)[:height, :width]
    decoded = default.decode(default.encode(image, 90))
    assert decoded.shape == image.shape
    assert psnr(decoded, image) > 18  # the outermost pixels of saturated colours are what this model does worst


@pytest.mark.slow
def test_a_camera_photo_of_twelve_megapixels(two_threads):
    image = draw_picture(4096, 3072)
    stream = two_threads.encode(image, 90)
    decoded = two_threads.decode(stream)
    assert decoded.shape == image.shape
    assert psnr(decoded, image) > 28
    with pytest.raises(TooLargeError):
        Codec.open(DEFAULT_PATH, max_pixels=4096 * 3072 - 1).decode(stream)
