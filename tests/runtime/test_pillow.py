"""The Pillow plugin: streams open and save like any other format."""

import copy
import io
import pickle

import numpy as np
import pytest
import ugicm.pillow
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from ugicm.bitstream import parse


@pytest.fixture(autouse=True)
def tiny(codec, monkeypatch):
    monkeypatch.setattr(ugicm.pillow, "_codec", codec)


@pytest.fixture
def path(tmp_path, stream):
    (tmp_path / "x.ugic").write_bytes(stream)
    return tmp_path / "x.ugic"


def test_open_is_lazy_and_gives_the_pixels_of_the_codec(codec, stream, path, monkeypatch):
    calls = []
    decode = codec.decode
    monkeypatch.setattr(codec, "decode", lambda *given, **named: calls.append(named) or decode(*given, **named))
    with Image.open(path) as image:
        assert (image.format, image.size, image.mode) == ("UGIC", (133, 70), "RGB")
        assert not calls
        np.testing.assert_array_equal(np.asarray(image), decode(stream))
        image.load()
    assert calls == [{"preference": 0.0}]


def test_preferences(codec, stream, path):
    machine = codec.decode(stream, "machine")
    image = Image.open(path)
    image.draft(None, None, preference=1.0)
    np.testing.assert_array_equal(np.asarray(image), machine)
    np.testing.assert_array_equal(np.asarray(ugicm.pillow.open(path, preference=1.0)), machine)
    np.testing.assert_array_equal(np.asarray(ugicm.pillow.open(io.BytesIO(stream), preference=1.0)), machine)
    image = ugicm.pillow.open(path, preference=7.0)
    with pytest.raises(OSError, match=r"preference is 7\.0"):
        image.load()


def test_save(codec, picture, tmp_path):
    image = Image.fromarray(picture)
    image.save(tmp_path / "y.ugic", quality=60)
    assert (tmp_path / "y.ugic").read_bytes() == codec.encode(picture, 60)
    image.save(tmp_path / "z.ugic", target_bytes=1200)
    assert (tmp_path / "z.ugic").read_bytes() == codec.encode_to_size(picture, 1200)
    with pytest.raises(OSError, match="quality is 101"):
        image.save(tmp_path / "w.ugic", quality=101)
    assert not (tmp_path / "w.ugic").exists()


def test_metadata_and_alpha_survive(picture, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    image = Image.fromarray(picture).convert("RGBA")
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.save(tmp_path / "y.ugic", exif=exif)
    assert [box.type for box in parse((tmp_path / "y.ugic").read_bytes()).boxes] == ["exif", "alph"]
    again = Image.open(tmp_path / "y.ugic")
    assert (again.mode, again.getexif()[0x010F]) == ("RGBA", "Camera")
    np.testing.assert_array_equal(np.asarray(again)[..., 3], np.asarray(image)[..., 3])
    again.save(tmp_path / "z.ugic", strip=True)
    assert [box.type for box in parse((tmp_path / "z.ugic").read_bytes()).boxes] == ["alph"]


def test_damaged_streams(stream, tmp_path):
    with pytest.raises(OSError, match="ends inside"):
        Image.open(io.BytesIO(stream[:-3]))
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(b"something else"))


def test_the_default_codec_is_opened_when_needed(monkeypatch, bundle_path, stream):
    monkeypatch.setattr(ugicm.pillow, "_codec", None)
    monkeypatch.setenv("UGICM_BUNDLE", str(bundle_path))
    assert Image.open(io.BytesIO(stream)).size == (133, 70)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda image: pickle.loads(pickle.dumps(image))])
def test_copies_keep_the_pixels(path, copied):
    image = Image.open(path)
    np.testing.assert_array_equal(np.asarray(copied(image)), np.asarray(image))


@pytest.mark.parametrize("nothing", [None, b""])
def test_xmp_that_is_dropped_on_purpose_is_dropped(picture, tmp_path, nothing):
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x/>")
    Image.fromarray(picture).save(tmp_path / "x.png", pnginfo=text)
    with Image.open(tmp_path / "x.png") as image:
        image.save(tmp_path / "kept.ugic")
        image.save(tmp_path / "dropped.ugic", xmp=nothing)
        assert "XML:com.adobe.xmp" in image.info
    assert Image.open(tmp_path / "kept.ugic").info["xmp"] == b"<x/>"
    assert "xmp" not in Image.open(tmp_path / "dropped.ugic").info


def test_quality_and_a_target_exclude_each_other(picture, tmp_path):
    with pytest.raises(OSError, match="not both"):
        Image.fromarray(picture).save(tmp_path / "x.ugic", quality=50, target_bytes=3000)
