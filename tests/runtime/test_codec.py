"""The codec with the tiny bundle: round trips, sizes, options, and which model reads which stream."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import ugicm
from PIL import Image
from ugicm import bitstream, entropy
from ugicm.bitstream import Box, parse, serialise
from ugicm.bundle import Bundle, write_bundle
from ugicm.checks import quality_to_level
from ugicm.codec import Codec
from ugicm.engines import cut
from ugicm.errors import (
    CorruptStreamError,
    EngineError,
    ImageError,
    NotAStreamError,
    OptionError,
    TooLargeError,
    UgicmError,
    UnsupportedVersionError,
    WrongModelError,
)
from ugicm.tiles import Rect

SIZES = [(1, 1), (1, 65), (64, 64), (65, 1), (63, 127), (130, 70), (200, 33)]


@pytest.mark.parametrize("width,height", SIZES)
def test_round_trip_of_any_size(codec, width, height):
    image = np.random.default_rng(width).integers(0, 256, (height, width, 3)).astype(np.uint8)
    stream = codec.encode(image, quality=80)
    decoded = codec.decode(stream)
    assert decoded.shape == image.shape
    assert decoded.dtype == np.uint8
    sent, received = codec.encode_symbols(image, 80), codec.decode_symbols(stream)
    assert sent.level == received.level
    np.testing.assert_array_equal(sent.z, received.z)
    np.testing.assert_array_equal(sent.r, received.r)


def test_the_picture_comes_back(codec, picture):
    decoded = codec.decode(codec.encode(picture, quality=100))
    assert np.abs(decoded.astype(int) - picture).mean() < 12


def test_encoding_is_deterministic_and_takes_any_layout(codec, picture):
    stream = codec.encode(picture)
    assert codec.encode(picture[::-1][::-1]) == stream
    assert codec.encode(np.asfortranarray(picture)) == stream
    assert codec.encode(Image.fromarray(picture)) == stream


def test_tall_pictures_have_bands_that_any_number_of_threads_reads(bundle_path, codec):
    image = np.random.default_rng(0).integers(0, 256, (1300, 70, 3)).astype(np.uint8)
    stream = codec.encode(image)
    assert len(parse(stream).bands) == 3
    threaded = Codec.open(bundle_path, threads=3)
    assert threaded.encode(image) == stream
    np.testing.assert_array_equal(threaded.decode(stream), codec.decode(stream))


@pytest.mark.parametrize("band_height", [1, 2, 255])
def test_every_band_height_is_read(codec, bundle_path, band_height):
    symbols = codec.encode_symbols(np.full((300, 64, 3), 99, np.uint8))
    model = codec._model
    z, bands = entropy.encode(model, symbols, band_height, 1, entropy.NoClock())
    stream = bitstream.Stream(64, 300, symbols.level, codec.info["fingerprint"], z, bands, band_height)
    received = codec.decode_symbols(serialise(stream))
    np.testing.assert_array_equal(received.r, symbols.r)


def test_views_and_preferences(codec, stream):
    human, machine = codec.decode(stream), codec.decode(stream, view="machine")
    np.testing.assert_array_equal(codec.decode(stream, preference=0), human)
    np.testing.assert_array_equal(codec.decode(stream, preference=1), machine)
    half = codec.decode(stream, preference=0.5)
    assert human.mean() < half.mean() < machine.mean()


@pytest.mark.parametrize(
    "options",
    [{"view": "robot"}, {"preference": 1.5}, {"preference": float("nan")}, {"view": "machine", "preference": 0.5}],
)
def test_bad_decode_options(codec, stream, options):
    with pytest.raises(OptionError):
        codec.decode(stream, **options)


def test_quality_levels():
    assert [quality_to_level(q) for q in (0, 50, 50.2, 100)] == [0, 31.5, 31.625, 63]
    assert [quality_to_level(100 * step / 504) for step in range(505)] == [step / 8 for step in range(505)]
    for wrong in (-1, 100.1, float("nan")):
        with pytest.raises(OptionError, match="expected 0"):
            quality_to_level(wrong)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        "picture.png",
        None,
    ],
)
def test_things_that_are_no_picture(codec, image):
    with pytest.raises(ImageError, match="expected"):
        codec.encode(image)


def test_pillow_notes_become_warnings(codec):
    with pytest.warns(UserWarning, match="laid on white"):
        codec.encode(Image.new("RGBA", (9, 9), (1, 2, 3, 100)))


def test_padding_repeats_the_edge(picture):
    padded = cut(picture, Rect(0, 0, 128, 192))
    assert padded.shape == (128, 192, 3)
    np.testing.assert_array_equal(padded[:70, :133], picture)
    assert (padded[70:, :133] == picture[-1]).all()
    assert (padded[:70, 133:] == picture[:, -1:]).all()
    assert (padded[70:, 133:] == picture[-1, -1]).all()


def test_a_view_outside_the_range_of_the_model_is_refused(bundle_path, stream, tmp_path):
    folder = Bundle.open(bundle_path)
    manifest = replace(folder.manifest, preference=(0.0, 0.0))
    write_bundle(tmp_path / "human", manifest, {name: folder.read(name) for name in folder.manifest.files})
    codec = Codec.open(tmp_path / "human", threads=1)
    codec.decode(stream)
    with pytest.raises(OptionError, match=r"takes 0\.0\.\.0\.0"):
        codec.decode(stream, view="machine")


def test_wrong_model(codec, other_bundle_path, stream):
    other = Codec.open(other_bundle_path, threads=1)
    with pytest.raises(WrongModelError, match=f"{codec.info['fingerprint']}.*{other.info['fingerprint']}.*--bundle"):
        other.decode(stream)


def test_limits_hold_on_both_sides(bundle_path, picture, stream):
    small = Codec.open(bundle_path, threads=1, max_pixels=128 * 192 - 1)
    with pytest.raises(TooLargeError):
        small.encode(picture)
    with pytest.raises(TooLargeError):
        small.decode(stream)
    assert Codec.open(bundle_path, threads=1, max_pixels=128 * 192).decode(stream).shape == picture.shape


def test_boxes(codec, picture):
    skippable = codec.encode(picture, boxes=[Box("note", b"hello")])
    assert parse(skippable).boxes == (Box("note", b"hello"),)
    codec.decode(skippable)
    with pytest.raises(UnsupportedVersionError, match="'Must'"):
        codec.decode(codec.encode(picture, boxes=[Box("Must", b"")]))


def test_no_stream(codec):
    with pytest.raises(NotAStreamError):
        codec.decode(b"")


def test_entropy_errors_become_stream_errors(codec, stream):
    parsed = parse(stream)
    for change in ({"z": b""}, {"z": parsed.z, "bands": (b"\xff" * 40,)}, {"bands": (bytes(parsed.bands[0]) + b"x",)}):
        fields = {"z": parsed.z, "bands": parsed.bands, **change}
        forged = serialise(bitstream.Stream(133, 70, parsed.level, parsed.fingerprint, **fields))
        with pytest.raises(CorruptStreamError, match="entropy decoder"):
            codec.decode(forged)


def test_engines_are_loaded_when_needed(bundle_path, stream, picture):
    lazy = Codec.open(bundle_path, threads=1)
    lazy.decode_symbols(stream)
    assert not lazy._engines._loaded
    lazy.decode(stream)
    assert list(lazy._engines._loaded) == ["decoder.onnx"]
    lazy.prepare(encode=True)
    assert len(lazy._engines._loaded) == 2


def test_info(codec, bundle_path):
    assert codec.info["path"] == str(bundle_path)
    assert codec.info["threads"] == 1
    assert len(codec.info["fingerprint"]) == 16


def test_threads_and_limit_are_checked(bundle_path):
    for options in ({"threads": 0}, {"threads": 10**11}, {"max_pixels": 0}, {"max_pixels": 1 << 40}):
        with pytest.raises(OptionError, match=next(iter(options))):
            Codec.open(bundle_path, **options)
    assert Codec.open(bundle_path).info["threads"] >= 1


def test_one_codec_serves_several_threads(codec, picture, stream):
    wrong = []

    def work():
        for _ in range(5):
            if codec.encode(picture) != stream or codec.decode(stream).shape != picture.shape:
                wrong.append(threading.get_ident())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_engine_output_is_checked(codec, picture, monkeypatch):
    class Wild:
        def run(self, feeds, *, release=False):
            return [np.full((1, 4, 2, 3), 200, np.int32), np.zeros((1, 8, 8, 12), np.int32)]

    monkeypatch.setattr(codec._engines, "_loaded", {"encoder.onnx": Wild()})
    with pytest.raises(EngineError, match=r"200..200"):
        codec.encode(picture)


def test_public_names_are_all_there():
    for name in ugicm.__all__:
        assert getattr(ugicm, name) is not None
    assert issubclass(WrongModelError, UgicmError)
    assert ugicm.Codec is Codec
    with pytest.raises(AttributeError):
        _ = ugicm.nothing


def test_environment_variable_names_the_bundle(bundle_path, monkeypatch):
    monkeypatch.setenv("UGICM_BUNDLE", str(bundle_path))
    assert Bundle.open().path == bundle_path
