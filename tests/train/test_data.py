"""A folder of images as data: what is found, what is skipped, and which crops a step sees."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_train import draw_pictures

from ugicm_train.config import TrainConfig
from ugicm_train.data import CropSource, find_images, read_image


def png_with_broken_chunk(path):
    """A PNG whose second data chunk has a name that is none."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    Image.fromarray(noise).save(path)
    data = bytearray(path.read_bytes())
    second = data.index(b"IDAT", data.index(b"IDAT") + 4)
    data[second : second + 4] = b"\0\1\2\3"
    path.write_bytes(data)


def test_images_are_found_recursively_and_sorted(pictures):
    draw_pictures(pictures / "deeper", count=1)
    (pictures / "notes.txt").write_text("not a picture")
    (pictures / "0.png").rename(pictures / "Z.PNG")
    assert [path.name for path in find_images(pictures)] == ["1.png", "2.png", "Z.PNG", "0.png"]


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no image found"):
        find_images(tmp_path)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / "picture.tif"
    Image.new("RGB", (40, 20), (250, 120, 10)).convert(mode).save(path)
    pixels = read_image(path)
    assert pixels.shape == (20, 40, 3)
    assert pixels.dtype == np.uint8


def test_large_pictures_shrink_to_the_short_side(tmp_path):
    path = tmp_path / "large.png"
    Image.new("RGB", (300, 200)).save(path)
    assert read_image(path, 100).shape == (100, 150, 3)
    assert read_image(path, 200).shape == (200, 300, 3)


def test_corrupt_and_small_images_are_skipped_and_counted(pictures, caplog):
    whole = (pictures / "0.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "text.jpg").write_text("not a picture")
    png_with_broken_chunk(pictures / "chunk.png")
    Image.new("RGB", (20, 200)).save(pictures / "small.png")
    source = CropSource(pictures, smallest=64)
    with caplog.at_level(logging.WARNING):
        usable = [source.image(index) is not None for index in range(len(source.paths))]
        again = [source.image(index) is not None for index in range(len(source.paths))]
    assert sum(usable) == 3
    assert again == usable
    assert source.unusable == 4
    warned = {Path(record.getMessage().split(" cannot be read")[0]).name for record in caplog.records}
    assert warned == {"cut.png", "text.jpg", "chunk.png"}
    assert source.crops(np.random.default_rng(0), 20, 64).shape == (20, 3, 64, 64)


def test_a_picture_claiming_absurd_size_is_skipped(pictures, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    draw_pictures(pictures / "small", count=1, side=32)
    source = CropSource(pictures, smallest=32)
    assert [source.image(index) is not None for index in range(4)] == [False, False, False, True]


def test_a_folder_without_any_usable_image_is_an_error(tmp_path):
    (tmp_path / "a.png").write_text("no")
    (tmp_path / "b.png").write_text("no")
    with pytest.raises(ValueError, match="none of the 2 images can be used"):
        CropSource(tmp_path).crops(np.random.default_rng(0), 1, 64)


def test_crops_are_pieces_of_the_pictures(pictures):
    source = CropSource(pictures, smallest=64)
    whole = [source.image(index) for index in range(3)]
    for crop in source.crops(np.random.default_rng(1), 6, 64):
        pixels = (crop.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        found = any(
            np.array_equal(picture[top : top + 64, left : left + 64], candidate)
            for picture in whole
            for candidate in (pixels, pixels[:, ::-1])
            for top in range(33)
            for left in range(33)
        )
        assert found


@pytest.fixture
def slope(tmp_path):
    """A picture of 200x240 pixels whose red is the row and whose green is the column."""
    rows, columns = np.mgrid[0:200, 0:240].astype(np.uint8)
    Image.fromarray(np.stack([rows, columns, 0 * rows], axis=2)).save(tmp_path / "slope.png")
    return tmp_path


def test_crops_are_shrunk_and_turned_as_their_places_say(slope):
    source = CropSource(slope, smallest=64, shrink=0.5, turn=True)
    crops, places = source.draw(np.random.default_rng(1), 40, 64)
    for crop, place in zip(crops.float(), places):
        upright = crop.transpose(1, 2) if place.turned else crop
        red, green, _ = upright.flip(2) if place.mirrored else upright
        step = place.cut / 64
        inside = slice(8, -8)  # the filter sees the crop's edge beyond
        expected = (torch.arange(64) + 0.5) * step - 0.5
        assert (red[inside] - (place.top + expected)[inside, None]).abs().max() < 1.5
        assert (green[:, inside] - (place.left + expected)[None, inside]).abs().max() < 1.5
    cuts = [place.cut for place in places]
    assert 64 <= min(cuts) < 75 and 115 < max(cuts) <= 128
    assert {place.turned for place in places} == {place.mirrored for place in places} == {True, False}


def test_a_crop_is_shrunk_as_far_as_its_picture_is_large(slope):
    _, places = CropSource(slope, smallest=128, shrink=0.25).draw(np.random.default_rng(1), 40, 128)
    assert max(place.cut for place in places) == 200


def test_without_shrinking_and_turning_crops_are_those_of_before(slope):
    plain, off = CropSource(slope, smallest=64), CropSource(slope, smallest=64, shrink=1.0, turn=False)
    rng, other = np.random.default_rng(5), np.random.default_rng(5)
    crops, places = plain.draw(rng, 8, 64)
    assert torch.equal(crops, off.draw(other, 8, 64)[0])
    assert rng.random() == other.random()
    assert {(place.cut, place.turned) for place in places} == {(64, False)}


def test_a_folder_named_twice_is_drawn_from_twice_as_often_and_kept_once(pictures, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    draw_pictures(other, count=1)
    source = CropSource([pictures, pictures, other], smallest=64)
    assert (len(source.paths), source.distinct) == (7, 4)
    _, places = source.draw(np.random.default_rng(0), 350, 64)
    of_other = sum(place.path.parent == other for place in places)
    assert 30 <= of_other <= 70  # 1 in 7 of 350, within 3 standard deviations
    assert source.cached == sum(read_image(path).nbytes for path in set(source.paths))


def test_cache_limit_changes_nothing_but_memory(pictures):
    kept = CropSource(pictures, smallest=64)
    unkept = CropSource(pictures, smallest=64, cache_bytes=0)
    draws = [source.crops(np.random.default_rng(2), 5, 64) for source in (kept, unkept)]
    assert torch.equal(*draws)
    assert kept.cached > 0
    assert unkept.cached == 0


def test_a_source_without_a_usable_image_refuses_every_draw(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    source = CropSource(tmp_path, smallest=64)
    for _ in range(2):  # the second draw once looked for a picture for ever
        with pytest.raises(ValueError, match="none of the 1 images"):
            source.crops(np.random.default_rng(0), 1, 64)


@pytest.mark.parametrize("factor", [0.05, 1.5])
def test_a_factor_that_crops_cannot_be_shrunk_by_is_refused(factor):
    with pytest.raises(ValueError, match=r"shrink must be in \[0.1, 1\], got"):
        TrainConfig(shrink=factor)
