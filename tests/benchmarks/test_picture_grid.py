import numpy as np
import pytest
from fake_codec import FakeCodec
from PIL import Image

from benchmarks import picture_grid
from benchmarks.errors import BenchmarkError


@pytest.fixture
def panels(picture):
    try:
        return picture_grid.columns(FakeCodec(("ugicm-human", "ugicm-machine")), picture)
    except BenchmarkError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def a_quality_the_fake_knows(monkeypatch):
    monkeypatch.setattr(picture_grid, "QUALITY", 8)


def test_the_captions_tell_what_was_decoded(panels, picture):
    assert [panel.title.split("\n")[0] for panel in panels] == [
        "original", "UG-ICM, human view", "UG-ICM, machine view", "AVIF",
    ]  # fmt: skip
    size = len(FakeCodec().encode(picture, 8))
    assert f"{size} bytes, {8 * size / picture[..., 0].size:.3f} bpp" in panels[1].title
    assert (panels[0].image == picture).all()
    assert (panels[2].image == picture // 32 * 32 + 16).all()


def test_a_crop_stays_inside():
    image = np.arange(60 * 90 * 3).reshape(60, 90, 3)
    assert (picture_grid.crop(image, (0, 0)) == image[:10, :15]).all()
    assert (picture_grid.crop(image, (1, 1)) == image[50:, 75:]).all()
    assert (picture_grid.crop(image, (0.5, 0.5)) == image[25:35, 37:52]).all()


def test_the_grid_is_a_picture_with_a_row_for_each_crop(panels, tmp_path):
    pytest.importorskip("matplotlib")
    picture_grid.draw(panels, tmp_path / "images" / "views.png")
    with Image.open(tmp_path / "images" / "views.png") as grid:
        assert grid.width > 1200
        assert grid.height > grid.width / 4
