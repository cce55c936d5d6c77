"""Round trips over random sizes, qualities, preferences and regions, and one codec in many hands."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ugicm import Codec
from ugicm.bitstream import parse
from ugicm.checks import quality_to_level
from ugicm.tiles import MIN_TILE_PIXELS

many = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
qualities = st.floats(0, 100)


@st.composite
def pictures(draw):
    height, width = draw(st.integers(1, 200)), draw(st.integers(1, 200))
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    kind = draw(st.sampled_from(["noise", "flat", "ramp"]))
    if kind == "noise":
        return random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    if kind == "flat":
        return np.full((height, width, 3), random.integers(0, 256, 3), np.uint8)
    return np.add.outer(np.arange(height), np.arange(width))[..., None].repeat(3, axis=2).astype(np.uint8)


@many
@given(image=pictures(), quality=qualities)
def test_symbols_survive(codec, image, quality):
    stream = codec.encode(image, quality)
    sent, received = codec.encode_symbols(image, quality), codec.decode_symbols(stream)
    assert received.level == sent.level == quality_to_level(quality) == parse(stream).level
    np.testing.assert_array_equal(sent.z, received.z)
    np.testing.assert_array_equal(sent.r, received.r)


@many
@given(image=pictures(), quality=qualities, preference=st.floats(0, 1), data=st.data())
def test_regions_and_views_are_parts_of_the_whole(codec, image, quality, preference, data):
    height, width = image.shape[:2]
    stream = codec.encode(image, quality)
    whole = codec.decode(stream, preference=preference)
    assert whole.shape == image.shape
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    region = (x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    _, part = codec.decode_views(stream, [0, preference], region)
    crop = whole[y : y + region[3], x : x + region[2]]
    assert part.shape == crop.shape
    assert np.abs(part.astype(int) - crop).max() <= 1


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_one_codec_in_many_threads(bundle_path, engine):
    """Engines are loaded, and whole, tiled, partial and batched work is done, by eight threads at once."""
    if engine == "openvino":
        pytest.importorskip("openvino", reason="needs the extra 'openvino'")
    shared = Codec.open(bundle_path, threads=1, engine=engine, tile_pixels=MIN_TILE_PIXELS)
    alone = Codec.open(bundle_path, threads=1, engine=engine, tile_pixels=MIN_TILE_PIXELS)
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (size, size + 9, 3)).astype(np.uint8) for size in (1, 90, 200, 800)]

    def work(codec, number):
        image = images[number % len(images)]
        stream = codec.encode(image, 7 * (number % 14))
        height, width = image.shape[:2]
        part = codec.decode(stream, region=(width // 2, height // 2, 1 + width // 3, 1 + height // 3))
        batch = codec.decode_batch([stream, stream], preference=[0, 1])
        return stream, part.tobytes(), [picture.tobytes() for picture in batch]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: work(shared, number), range(24)))
    assert found == [work(alone, number) for number in range(24)]
