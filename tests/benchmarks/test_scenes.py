import numpy as np
import pytest
from fake_codec import FakeCodec
from PIL import Image

from benchmarks import datasets, scenes
from benchmarks.codecs import pillow_codec
from benchmarks.errors import BenchmarkError


def test_the_nearest_size_is_found(picture):
    codec = pillow_codec("jpeg")
    sizes = {quality: len(codec.encode(picture, quality)) for quality in range(1, 101)}
    target = (sizes[40] + sizes[80]) // 2
    found = scenes.nearest_quality(codec, picture, target)
    assert abs(sizes[found] - target) <= 1.02 * min(abs(size - target) for size in sizes.values()) + 20


def test_the_classic_codecs_get_the_size_of_ours(picture):
    ours, jpeg = FakeCodec(), pillow_codec("jpeg")
    size = len(jpeg.encode(picture, 64))
    ours.name, ours.encode = "ugicm", lambda image, quality: bytes(size)
    assert len(jpeg.encode(picture, scenes.quality_for(jpeg, [jpeg, ours], picture))) == size
    assert scenes.quality_for(ours, [jpeg, ours], picture) == scenes.OUR_QUALITY


def test_a_mosaic_repeats_the_photos_in_order_and_is_cut():
    photos = [np.full((2, 3, 3), value, np.uint8) for value in (1, 2, 3)]
    found = scenes.mosaic(photos, (7, 3))
    assert found[..., 0].tolist() == [[1, 1, 1, 2, 2, 2, 3]] * 2 + [[1, 1, 1, 2, 2, 2, 3]]
    assert scenes.mosaic(photos, (4, 3))[..., 0].tolist() == [[1, 1, 1, 2]] * 2 + [[3, 3, 3, 1]]
    assert found.shape == (3, 7, 3)


def test_photos_of_another_size_are_no_use(tmp_path):
    Image.new("RGB", (512, 768)).save(tmp_path / "portrait.png")
    dataset = datasets.folder(tmp_path)
    with pytest.raises(BenchmarkError, match="no picture of 768x512"):
        scenes.pictures(dataset, scenes.PHOTO)
    Image.new("RGB", (768, 512)).save(tmp_path / "landscape.png")
    dataset = datasets.folder(tmp_path)
    assert [image.shape for image in scenes.pictures(dataset, scenes.PHOTO)] == [(512, 768, 3)]
    assert [image.shape for image in scenes.pictures(dataset, (1000, 600))] == [(600, 1000, 3)]
