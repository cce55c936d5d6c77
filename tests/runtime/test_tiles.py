"""Tiles: the geometry, and that a picture in tiles is the picture in one piece."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from ugicm import Codec, entropy, tiles
from ugicm.bench import draw_picture
from ugicm.bitstream import parse
from ugicm.bundle import DEFAULT_PATH
from ugicm.errors import OptionError
from ugicm.manifest import DECODER
from ugicm.tiles import MIN_TILE_PIXELS, Rect, check_region, covering, plan

sizes = st.integers(1, 60)


@settings(deadline=None)
@given(height=sizes, width=sizes, halo=st.integers(0, 8), limit=st.integers(1, 900), data=st.data())
def test_cores_cover_what_is_wanted_once(height, width, halo, limit, data):
    picture = Rect(0, 0, height, width)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    wanted = Rect(top, left, data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width)))
    hits = np.zeros((height, width), int)
    found = plan(picture, wanted, halo, limit)
    for core, outer in found:
        hits[core.top : core.bottom, core.left : core.right] += 1
        assert outer == tiles.grown(core, halo, picture)
        assert outer.area <= max(limit, (2 * halo + 1) ** 2)
    assert hits.sum() == hits[wanted.top : wanted.bottom, wanted.left : wanted.right].sum() == wanted.area
    assert hits.max() == 1


def test_what_fits_is_one_tile():
    assert plan(Rect(0, 0, 8, 12), Rect(0, 0, 8, 12), 4, 96) == [(Rect(0, 0, 8, 12), Rect(0, 0, 8, 12))]
    assert len(plan(Rect(0, 0, 8, 12), Rect(0, 0, 8, 12), 4, 95)) > 1


def test_a_huge_picture_is_planned_at_little_extra_work():
    whole = Rect(0, 0, 141, 188)
    found = plan(whole, whole, 4, tiles.DEFAULT_TILE_PIXELS // tiles.CELL_PIXELS)
    assert sum(tile.outer.area for tile in found) < 1.5 * whole.area
    assert len(plan(Rect(0, 0, 1, 1 << 18), Rect(0, 0, 1, 1 << 18), 4, 2048)) < 140


def test_regions_are_checked():
    assert check_region((3, 4, 10, 20), 100, 50) == Rect(4, 3, 24, 13)
    assert covering(Rect(4, 3, 65, 64)) == Rect(0, 0, 2, 1)
    for wrong in ((0, 0, 101, 1), (-1, 0, 5, 5), (0, 0, 0, 5), (0, 49, 1, 2), (1, 2, 3), None, (0.5, 0, 1, 1), "0123"):
        with pytest.raises(OptionError, match="region"):
            check_region(wrong, 100, 50)


@pytest.fixture(scope="module")
def photo():
    """More than one tile of the smallest size, with odd sides: (1091, 603, 3)."""
    return np.asarray(Image.fromarray(draw_picture(768, 1200)).resize((603, 1091), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module", params=["tiny", "default"])
def codecs(request, bundle_path):
    """The same model whole and in tiles."""
    if request.param == "default" and not DEFAULT_PATH.exists():
        pytest.skip("this checkout has no default bundle")
    path = bundle_path if request.param == "tiny" else DEFAULT_PATH
    return Codec.open(path, threads=1), Codec.open(path, threads=1, tile_pixels=MIN_TILE_PIXELS)


@pytest.fixture(scope="module")
def coded(codecs, photo):
    whole, _ = codecs
    stream = whole.encode(photo, 60)
    return stream, whole.decode(stream)


def test_tiles_give_the_symbols_of_the_whole(codecs, photo):
    whole, tiled = codecs
    calls = []
    stream = tiled.encode(photo, 60, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, calls[0][1]) for done in range(calls[0][1] + 1)]
    assert calls[0][1] > 1
    one, other = whole.encode_symbols(photo, 60), tiled.decode_symbols(stream)
    # Only a value that lies on a rounding border to the last bit of a float may differ.
    assert (one.z != other.z).mean() <= 1e-4
    assert (one.r != other.r).mean() <= 1e-5


def test_tiles_give_the_pixels_of_the_whole(codecs, coded):
    _, tiled = codecs
    stream, expected = coded
    calls = []
    found = tiled.decode(stream, progress=lambda done, total: calls.append(total))
    assert calls[0] > 1
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-3


@pytest.mark.parametrize("region", [(0, 0, 1, 1), (300, 400, 133, 211), (602, 1090, 1, 1)])
def test_a_region_is_the_crop_of_the_whole(codecs, coded, region):
    stream, expected = coded
    x, y, width, height = region
    crop = expected[y : y + height, x : x + width].astype(int)
    for codec in codecs:
        found = codec.decode(stream, region=region)
        assert found.shape == crop.shape
        assert np.abs(found - crop).max() <= 1


def test_a_region_touches_only_its_bands(codecs, coded, monkeypatch):
    whole, _ = codecs
    stream, _ = coded
    rows = []
    indexes = entropy._indexes_of_rows
    monkeypatch.setattr(entropy, "_indexes_of_rows", lambda *given: rows.append(given[3:]) or indexes(*given))
    whole.decode(stream, region=(0, 0, 64, 64))
    assert rows == [(0, 8)]
    assert len(parse(stream).bands) == 3


def test_rows_hold_the_symbols_of_the_whole(codecs, coded):
    """The halo of the scale network is exact: symbols of any rows are those of the whole, bit for bit."""
    whole, _ = codecs
    stream = parse(coded[0])
    everything = entropy.decode(whole._model, stream, 1, entropy.NoClock())
    for start, stop in ((0, 1), (8, 9), (7, 17), (17, 18), (0, 18)):
        symbols, first = entropy.decode_rows(whole._model, stream, slice(start, stop), 1, entropy.NoClock())
        assert first % stream.band_height == 0
        expected = everything.r[:, 4 * first : 4 * first + symbols.r.shape[1]]
        np.testing.assert_array_equal(symbols.r, expected)
        assert first <= start
        assert 4 * stop <= 4 * first + symbols.r.shape[1]


def test_views_and_batches_are_what_single_calls_give(codecs, coded, photo):
    for codec in codecs:
        stream, region = coded[0], (10, 500, 150, 100)
        human, half = codec.decode_views(stream, [0, 0.5], region)
        np.testing.assert_array_equal(human, codec.decode(stream, region=region))
        np.testing.assert_array_equal(half, codec.decode(stream, preference=0.5, region=region))
        parts = [photo[:100, :200], photo[100:200, :200], photo[200:300, :200]]
        streams = codec.encode_batch(parts, [20, 50, 80])
        assert streams == [codec.encode(part, quality) for part, quality in zip(parts, (20, 50, 80), strict=True)]
        pictures = codec.decode_batch(streams, preference=[0, 1, 0.3])
        for picture, one, preference in zip(pictures, streams, (0, 1, 0.3), strict=True):
            assert np.abs(picture.astype(int) - codec.decode(one, preference=preference)).max() <= 1


def test_views_of_a_stream_send_its_symbols_once(codec, stream, monkeypatch):
    engine, seen = codec._engines.load(DECODER), []

    class Spy:
        def run(self, feeds, **options):
            seen.append({name: len(array) for name, array in feeds.items()})
            return engine.run(feeds, **options)

    monkeypatch.setitem(codec._engines._loaded, DECODER, Spy())
    views = codec.decode_views(stream, [0, 0.5, 1])
    assert seen == [{"z": 1, "r": 1, "quality": 1, "preference": 3}]
    for view, preference in zip(views, (0, 0.5, 1), strict=True):
        np.testing.assert_array_equal(view, codec.decode(stream, preference=preference))


def test_no_seam(codecs, photo):
    """The error beside tile borders is that of the interior."""
    _, tiled = codecs
    decoded = tiled.decode(tiled.encode(photo, 60))
    error = ((decoded.astype(float) - photo) ** 2).mean(axis=2)
    whole = tiles.cells(*photo.shape[:2])
    halo = tiled._engines._halo["decoder.onnx"]
    found = plan(whole, whole, halo, MIN_TILE_PIXELS // tiles.CELL_PIXELS)
    lines = {64 * tile.core.top for tile in found if tile.core.top}
    assert lines
    untiled = codecs[0].decode(codecs[0].encode(photo, 60))
    plain = ((untiled.astype(float) - photo) ** 2).mean(axis=2)
    for line in lines:
        ratio = error[line - 2 : line + 2].mean() / plain[line - 2 : line + 2].mean()
        assert abs(10 * np.log10(ratio)) < 0.05
