"""The model inside the package, if this checkout has one."""

import numpy as np
import pytest
from PIL import Image
from ugicm import Codec
from ugicm.bench import draw_picture
from ugicm.bundle import DEFAULT_PATH

pytestmark = pytest.mark.skipif(not DEFAULT_PATH.exists(), reason="this checkout has no default bundle")


@pytest.fixture(scope="module")
def default():
    return Codec.open(DEFAULT_PATH, threads=1)


@pytest.fixture(scope="module")
def photo():
    """A smooth, photo-like picture with odd sides, (193, 259, 3)."""
    return np.asarray(Image.fromarray(draw_picture()).resize((259, 193), Image.Resampling.LANCZOS))


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))


@pytest.mark.parametrize("quality", [0, 25, 50, 75, 100])
def test_symbols_survive_at_every_quality(default, photo, quality):
    sent, received = default.encode_symbols(photo, quality), default.decode_symbols(default.encode(photo, quality))
    np.testing.assert_array_equal(sent.z, received.z)
    np.testing.assert_array_equal(sent.r, received.r)


def test_rate_and_quality_grow_together(default, photo):
    streams = [default.encode(photo, quality) for quality in (0, 50, 100)]
    sizes = [len(stream) for stream in streams]
    scores = [psnr(default.decode(stream), photo) for stream in streams]
    assert sizes == sorted(set(sizes))
    assert scores == sorted(set(scores))
    assert scores[1] > 24


def test_views_differ(default, photo):
    stream = default.encode(photo)
    human, machine = default.decode(stream), default.decode(stream, view="machine")
    assert human.shape == machine.shape == photo.shape
    assert (human != machine).any()


@pytest.mark.parametrize("width,height", [(1, 1), (65, 3), (64, 64)])
def test_small_sizes(default, width, height):
    image = np.full((height, width, 3), 120, np.uint8)
    assert default.decode(default.encode(image)).shape == image.shape
