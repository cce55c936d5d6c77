"""Encoding with an effort: better streams of the same format, the same in tiles, and what is refused."""

import numpy as np
import pytest
import ugicm.pillow
from cli_helpers import assert_one_sentence
from PIL import Image, ImageDraw
from shipped import EXAMPLE, needs_model, psnr
from ugicm import BundleError, Codec, OptionError
from ugicm.bitstream import parse
from ugicm.bundle import DEFAULT_PATH
from ugicm.cli import main
from ugicm.tiles import MIN_TILE_PIXELS


@pytest.fixture(scope="module")
def codec():
    return Codec.open(DEFAULT_PATH, threads=2)


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.open(EXAMPLE).convert("RGB"))[:256, 200:520]


@needs_model
@pytest.mark.parametrize(("quality", "slope", "least", "more"), [(25, 3, 0.01, -0.1), (60, 4.5, 0.03, 0), (90, 5, 0.03, 0)])
def test_more_effort_lies_further_above_the_curve_of_none(codec, photo, quality, slope, least, more):
    """slope: dB that e times the bytes bring along the curve of effort 0 at this quality.
    more: what four steps add to one, which at low rates finds all that they do."""
    scores = []
    for effort in (0, 1, 4):
        stream = codec.encode(photo, quality, effort=effort)
        scores.append(psnr(codec.decode(stream), photo) - slope * np.log(len(stream)))
    assert scores[0] + least < min(scores[1:])
    assert scores[1] + more < scores[2]


@needs_model
def test_what_training_never_saw_gains_most(codec):
    page = Image.new("RGB", (320, 192), "white")
    draw = ImageDraw.Draw(page)
    for line in range(12):
        draw.text((4, 4 + 15 * line), "The quick brown fox jumps over the lazy dog 0123456789", fill=(200 * (line % 2), 0, 0))
    text = np.asarray(page)
    plain, refined = (codec.encode(text, 60, effort=effort) for effort in (0, 2))
    assert len(refined) < 1.03 * len(plain)
    assert psnr(codec.decode(refined), text) > psnr(codec.decode(plain), text) + 0.7


@needs_model
@pytest.mark.parametrize("shape", [(1, 1, 3), (65, 1, 3), (3, 130, 3)])
def test_small_pictures(codec, shape):
    picture = np.full(shape, 200, np.uint8)
    assert codec.decode(codec.encode(picture, effort=2)).shape == shape


@needs_model
def test_z_and_level_are_those_of_no_effort(codec, photo):
    plain, refined = (codec.decode_symbols(codec.encode(photo, 60, effort=effort)) for effort in (0, 2))
    assert refined.level == plain.level
    np.testing.assert_array_equal(refined.z, plain.z)
    changed = (refined.r != plain.r).mean()
    assert 0.001 < changed < 0.2


@needs_model
@pytest.mark.parametrize("guidance", [0, 1])
def test_tiles_refine_as_the_whole_does(codec, guidance):
    """What a step looks at is wider than a tile's margin once there are several; what lies that far away decides next to nothing."""
    photo = np.asarray(Image.open(EXAMPLE).convert("RGB"))
    wide = np.concatenate([photo, photo[:, ::-1], photo], axis=1)
    tiled = Codec.open(DEFAULT_PATH, threads=2, tile_pixels=MIN_TILE_PIXELS)
    done = []
    one = codec.decode_symbols(codec.encode(wide, 60, effort=2, guidance=guidance))
    stream = tiled.encode(wide, 60, effort=2, guidance=guidance, progress=lambda *state: done.append(state))
    other = tiled.decode_symbols(stream)
    np.testing.assert_array_equal(one.z, other.z)
    assert (one.r != other.r).mean() < 1e-4
    assert np.abs(codec.decode(stream).astype(int) - tiled.decode(stream)).max() <= 1
    assert len(done) > 3
    assert done == [(number, len(done) - 1) for number in range(len(done))]
    assert (len(done) - 1) % 2 == 0


@needs_model
def test_a_wanted_size_holds(codec, photo):
    stream = codec.encode_to_size(photo, 6_000, effort=2)
    assert 5_800 < len(stream) <= 6_000
    level = parse(codec.encode_to_size(photo, 6_000)).level
    assert psnr(codec.decode(stream), photo) > psnr(codec.decode(codec.encode(photo, 100 * level / 63)), photo)


@needs_model
@pytest.mark.parametrize("guidance", [0, 1])
def test_a_batch_is_what_each_picture_gives(codec, photo, guidance):
    pictures = [photo, photo[::-1]]
    streams = codec.encode_batch(pictures, [40, 70], effort=2, guidance=guidance)
    alone = [codec.encode(one, q, effort=2, guidance=guidance) for one, q in zip(pictures, (40, 70), strict=True)]
    assert streams == alone
    assert streams != codec.encode_batch(pictures, [40, 70])


@needs_model
def test_pillow_takes_an_effort(codec, photo, monkeypatch, tmp_path):
    monkeypatch.setattr(ugicm.pillow, "_codec", codec)
    Image.fromarray(photo).save(tmp_path / "a.ugic", quality=60, effort=2, guidance=0.5)
    assert (tmp_path / "a.ugic").read_bytes() == codec.encode(photo, 60, effort=2, guidance=0.5)
    Image.fromarray(photo).save(tmp_path / "b.ugic", target_bytes=6_000, effort=1)
    assert (tmp_path / "b.ugic").read_bytes() == codec.encode_to_size(photo, 6_000, effort=1)
    with pytest.raises(OSError, match="effort is 40, expected 0"):
        Image.fromarray(photo).save(tmp_path / "c.ugic", effort=40)


@needs_model
@pytest.mark.parametrize("effort", [-1, 17])
def test_an_effort_out_of_range_is_refused(codec, photo, effort):
    with pytest.raises(OptionError, match=f"effort is {effort}, expected 0..16"):
        codec.encode(photo, effort=effort)
    with pytest.raises(OptionError, match=f"effort is {effort}, expected 0..16"):
        codec.encode_batch([], effort=effort)


@needs_model
@pytest.mark.parametrize(
    ("effort", "guidance", "words"),
    [(2, 1.5, "guidance is 1.5, expected 0..1"), (2, float("nan"), "guidance is nan"), (0, 1, "give an effort of 1..16 too")],
)
def test_a_guidance_that_makes_no_sense_is_refused(codec, photo, effort, guidance, words):
    with pytest.raises(OptionError, match=words):
        codec.encode(photo, effort=effort, guidance=guidance)


@needs_model
@pytest.mark.parametrize(("quality", "slope"), [(45, 4), (70, 4.5), (90, 5)])
def test_a_guided_effort_is_no_loss_for_eyes(codec, photo, quality, slope):
    """slope as above."""
    scores = []
    for effort, guidance in ((0, 0), (3, 1), (3, 0)):
        stream = codec.encode(photo, quality, effort=effort, guidance=guidance)
        scores.append(psnr(codec.decode(stream), photo) - slope * np.log(len(stream)))
    assert scores[0] < scores[1] < scores[2]


@needs_model
def test_info_tells_what_a_model_can_do(codec, bundle_path):
    assert (codec.info["effort"], codec.info["guidance"]) == ([0, 16], [0, 1])
    without = Codec.open(bundle_path).info
    assert (without["effort"], without["guidance"]) == ([0, 0], [0, 0])


def test_a_bundle_without_refiner_is_named(bundle_path):
    with pytest.raises(BundleError, match=r"has no refiner.onnx, which an effort above 0 needs"):
        Codec.open(bundle_path).encode(np.zeros((64, 64, 3), np.uint8), effort=1)


@needs_model
def test_the_command(codec, photo, tmp_path, capfd):
    Image.fromarray(photo).save(tmp_path / "p.png")
    for effort in ("0", "2"):
        assert main(["encode", str(tmp_path / "p.png"), str(tmp_path / f"{effort}.ugic"), "--effort", effort, "--threads", "2"]) == 0
    assert (tmp_path / "0.ugic").read_bytes() == codec.encode(photo)
    assert (tmp_path / "2.ugic").read_bytes() == codec.encode(photo, effort=2)
    words = ["--effort", "2", "--guidance", "0.5", "--threads", "2"]
    assert main(["encode", str(tmp_path / "p.png"), str(tmp_path / "g.ugic"), *words]) == 0
    assert (tmp_path / "g.ugic").read_bytes() == codec.encode(photo, effort=2, guidance=0.5)


@needs_model
def test_the_command_refuses(photo, tmp_path, capfd):
    Image.fromarray(photo).save(tmp_path / "p.png")
    assert main(["encode", str(tmp_path / "p.png"), str(tmp_path / "p.ugic"), "--effort", "40"]) != 0
    assert_one_sentence(capfd.readouterr().err, "effort is 40, expected 0..16")
    assert main(["encode", str(tmp_path / "p.png"), str(tmp_path / "p.ugic"), "--guidance", "1"]) != 0
    assert_one_sentence(capfd.readouterr().err, "guidance guides an effort")
    assert not (tmp_path / "p.ugic").exists()
