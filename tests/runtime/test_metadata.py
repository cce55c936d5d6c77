"""Metadata in boxes: what a file carries comes out again, from file to stream to file."""

import io

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from profiles import EXACT_RENAMED, LINEAR, SRGB, SWAPPED
from ugicm.bitstream import Box, Stream, parse
from ugicm.errors import CorruptStreamError, ImageError
from ugicm.image import from_pillow, picture_size, read_picture, visible
from ugicm.image_write import encode_image
from ugicm.metadata import Metadata, of_stream
from ugicm.tiles import Rect

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>\xc3\xa9</a></x:xmpmeta>'


def exif_bytes(orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera"
    return exif.tobytes()


@pytest.fixture
def alpha(picture):
    plane = np.zeros(picture.shape[:2], np.uint8)
    plane[10:50] = np.arange(picture.shape[1])[None] % 256
    plane[50:] = 255
    return plane


@pytest.fixture
def rich_file(tmp_path, picture, alpha):
    """A PNG with everything a file can carry, lying on its side."""
    image = Image.fromarray(np.concatenate([picture, alpha[..., None]], axis=2))
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    image.save(tmp_path / "rich.png", icc_profile=SWAPPED, exif=exif_bytes(6), pnginfo=text)
    return tmp_path / "rich.png"


def test_a_file_with_everything(run, rich_file, tmp_path, picture, alpha):
    assert run("encode", rich_file, tmp_path / "x.ugic") == (0, "", "")
    stream = parse((tmp_path / "x.ugic").read_bytes())
    assert (stream.width, stream.height) == (70, 133)
    assert [box.type for box in stream.boxes] == ["iccp", "exif", "xmpd", "alph"]
    np.testing.assert_array_equal(of_stream(stream).alpha, np.rot90(alpha, -1))
    for suffix in (".png", ".webp", ".jpg"):
        assert run("decode", tmp_path / "x.ugic", tmp_path / f"out{suffix}") == (0, "", "")
        image = Image.open(tmp_path / f"out{suffix}")
        assert image.size == (70, 133)
        assert image.info["icc_profile"] == SWAPPED
        assert image.getexif()[0x010F] == "Camera"
        assert image.getexif().get(0x0112, 1) == 1
        assert XMP in (image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode())
        if suffix != ".jpg":
            np.testing.assert_array_equal(np.asarray(image)[..., 3], np.rot90(alpha, -1))
    assert run("decode", tmp_path / "x.ugic", tmp_path / "out.npy", "--region", "5,6,30,20")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy")[..., 3], np.rot90(alpha, -1)[6:26, 5:35])


def test_strip(run, rich_file, tmp_path):
    assert run("encode", rich_file, tmp_path / "x.ugic", "--strip") == (0, "", "")
    assert [box.type for box in parse((tmp_path / "x.ugic").read_bytes()).boxes] == ["alph"]
    assert run("encode", rich_file, tmp_path / "y.ugic")[0] == 0
    assert run("decode", tmp_path / "y.ugic", tmp_path / "y.png", "--strip")[0] == 0
    assert set(Image.open(tmp_path / "y.png").info) & {"icc_profile", "exif", "XML:com.adobe.xmp"} == {"icc_profile"}


def test_colours_keep_their_profile_or_become_srgb(picture):
    image = Image.fromarray(picture)
    image.info["icc_profile"] = SWAPPED
    kept, stripped = from_pillow(image), from_pillow(image, strip=True)
    np.testing.assert_array_equal(kept.array, picture)
    assert kept.metadata.icc == SWAPPED
    assert stripped.metadata == Metadata()
    for profile in (SRGB, EXACT_RENAMED):
        image.info["icc_profile"] = profile
        assert from_pillow(image).metadata.icc is None
    image.info["icc_profile"] = b"rubbish"
    assert from_pillow(image).metadata.icc is None
    assert "ignored" in from_pillow(image).notes[0]


def test_a_profile_counts_as_srgb_by_what_it_does_not_by_its_name():
    image = Image.new("RGB", (4, 4), (55, 55, 55))
    image.info["icc_profile"] = LINEAR
    kept, stripped = from_pillow(image), from_pillow(image, strip=True)
    assert (kept.array == 55).all()
    assert kept.metadata.icc == LINEAR
    assert abs(int(stripped.array[0, 0, 0]) - 128) <= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_exif_that_cannot_be_read_is_dropped_with_a_note(kind, picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, exif=b"Exif\0\0garbage", lossless=True)
    for strip in (False, True):
        found = read_picture(file.getvalue(), strip=strip)
        assert found.metadata.exif is None
        assert len(found.notes) == 1
        assert "Exif" in found.notes[0]
        np.testing.assert_array_equal(found.array, picture)


def test_a_picture_whose_metadata_no_jpeg_holds_says_what_to_do(picture):
    for metadata in (Metadata(xmp=bytes(70000)), Metadata(exif=bytes(70000))):
        with pytest.raises(ImageError, match="--strip"):
            encode_image(picture, "JPEG", metadata)


def test_deep_grey_keeps_its_transparent_value():
    deep = Image.fromarray(np.array([[0, 1000], [1000, 65535]], np.uint16))
    file = io.BytesIO()
    deep.save(file, "PNG", transparency=1000)
    found = read_picture(file.getvalue())
    np.testing.assert_array_equal(found.metadata.alpha, [[255, 0], [0, 255]])
    np.testing.assert_array_equal(found.array[..., 0], [[0, 4], [4, 255]])



def test_a_picture_given_by_a_caller_is_not_changed(picture):
    image = Image.fromarray(picture)
    image.info["exif"] = exif_bytes(6)
    assert from_pillow(image).array.shape == (133, 70, 3)
    assert image.size == (133, 70)


def test_invisible_colours_become_white(picture, alpha):
    wanted = from_pillow(Image.fromarray(np.concatenate([picture, alpha[..., None]], axis=2)))
    shown = visible(wanted)
    assert (shown[alpha == 0] == 255).all()
    np.testing.assert_array_equal(shown[alpha > 0], picture[alpha > 0])
    opaque = from_pillow(Image.fromarray(picture).convert("RGBA"))
    assert opaque.metadata.alpha is None
    assert visible(opaque) is opaque.array


def test_alpha_is_laid_on_white_where_a_format_has_none(picture, alpha):
    data = encode_image(picture, "PPM", Metadata(alpha=alpha))
    shown = np.asarray(Image.open(io.BytesIO(data)))
    assert (shown[alpha == 0] == 255).all()
    np.testing.assert_array_equal(shown[alpha == 255], picture[alpha == 255])


def stream_with(*boxes):
    return Stream(133, 70, 5, "0" * 16, b"", (b"",), boxes=boxes)


def test_bad_boxes(alpha):
    packed = Metadata(alpha=alpha).to_boxes()[0]
    np.testing.assert_array_equal(of_stream(stream_with(packed)).alpha, alpha)
    wrong_size = Metadata(alpha=alpha[1:]).to_boxes()[0]
    for boxes, message in [
        ([packed, packed], "twice"),
        ([wrong_size], "133x69"),
        ([Box("alph", b"no")], "alpha box"),
        ([Box("alph", packed.payload[:60])], "alpha box"),
    ]:
        with pytest.raises(CorruptStreamError, match=message):
            of_stream(stream_with(*boxes))
    assert of_stream(stream_with(Box("note", b"x"))) == Metadata()
    assert Metadata(alpha=alpha).cropped(Rect(1, 2, 4, 8)).alpha.shape == (3, 6)


def test_files_are_read_by_path_and_from_memory(picture_file, picture):
    for source in (picture_file, str(picture_file), picture_file.read_bytes()):
        np.testing.assert_array_equal(read_picture(source).array, picture)
        assert picture_size(source) == (133, 70)


def test_alpha_of_a_picture_that_pillow_would_find_too_large_is_read(monkeypatch):
    plane = np.zeros((300, 400), np.uint8)
    stream = Stream(400, 300, 1.0, "0" * 16, b"z", (b"r",), boxes=tuple(Metadata(alpha=plane).to_boxes()))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    np.testing.assert_array_equal(of_stream(stream).alpha, plane)
