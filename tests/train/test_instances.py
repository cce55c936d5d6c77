"""Objects in pictures: boxes from COCO files, masks and proposals, and the one that a crop gets."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ugicm_train import instances
from ugicm_train.data import Place
from ugicm_train.instances import CocoBoxes, MaskBoxes, ProposalBoxes, open_instances, pick_box


@pytest.fixture
def scene(tmp_path):
    """A picture with a red square at (40..80, 20..60) of 160 x 120."""
    image = Image.new("RGB", (160, 120), (20, 60, 20))
    ImageDraw.Draw(image).rectangle((40, 20, 79, 59), fill=(220, 30, 30))
    path = tmp_path / "pictures" / "deep" / "scene.png"
    path.parent.mkdir(parents=True)
    image.save(path)
    return path


SQUARE = np.array([[40 / 160, 20 / 120, 80 / 160, 60 / 120]], np.float32)


def test_coco_boxes_are_fractions(tmp_path, scene, caplog):
    values = {
        "images": [{"id": 5, "file_name": "train/scene.png", "width": 160, "height": 120}],
        "annotations": [
            {"image_id": 5, "bbox": [40, 20, 40, 40], "category_id": 1},
            {"image_id": 5, "bbox": [0, 0, 160, 120], "category_id": 1, "iscrowd": 1},
        ],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(values))
    source = open_instances(str(path), [tmp_path], tmp_path)
    assert isinstance(source, CocoBoxes)
    np.testing.assert_allclose(source.boxes(scene), SQUARE)
    assert source.boxes(Path("other.png")).shape == (0, 4)
    source.boxes(Path("third.png"))
    assert caplog.text.count("knows nothing of") == 1
    path.write_text('{"images": []}')
    with pytest.raises(ValueError, match="not a COCO annotation file: KeyError"):
        CocoBoxes(path)


@pytest.mark.parametrize("layout", ["label map", "one file each"])
def test_mask_boxes(tmp_path, scene, layout):
    labels = np.zeros((120, 160), np.uint8)
    labels[20:60, 40:80] = 7
    masks, data = tmp_path / "masks", scene.parents[1]
    (masks / "deep" / "scene").mkdir(parents=True)
    if layout == "label map":
        Image.fromarray(labels).save(masks / "deep" / "scene.png")
    else:
        Image.fromarray((labels > 0).astype(np.uint8) * 255).save(masks / "deep" / "scene" / "0.png")
    source = open_instances(str(masks), [tmp_path / "elsewhere", data], tmp_path)
    assert isinstance(source, MaskBoxes)
    np.testing.assert_allclose(source.boxes(scene), SQUARE)
    other = scene.with_name("other.png")
    assert source.boxes(other).shape == (0, 4)


def test_unknown_places_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither 'proposals' nor"):
        open_instances(str(tmp_path / "none.json"), [tmp_path], tmp_path)


def test_proposals_find_the_square_and_are_kept(tmp_path, scene, monkeypatch):
    source = open_instances("proposals", [tmp_path], tmp_path / "cache")
    assert isinstance(source, ProposalBoxes)
    boxes = source.boxes(scene)
    assert np.abs(boxes - SQUARE).max(1).min() < 0.02
    assert boxes.shape[0] <= 32
    monkeypatch.setattr(ProposalBoxes, "propose", lambda self, pixels: pytest.fail("segmented twice"))
    np.testing.assert_array_equal(ProposalBoxes(tmp_path / "cache").boxes(scene), boxes)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"]
    os.utime(scene, (1, 1))
    with pytest.raises(pytest.fail.Exception, match="segmented twice"):
        ProposalBoxes(tmp_path / "cache").boxes(scene)


def place(top, left, mirrored=False):
    return Place(Path("scene.png"), (120, 160), top, left, mirrored)


def test_an_object_in_the_crop_is_picked_in_its_pixels():
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(pick_box(rng, SQUARE, place(10, 20), 64), [20, 10, 60, 50])
    np.testing.assert_allclose(pick_box(rng, SQUARE, place(10, 20, True), 64), [4, 10, 44, 50])


def test_an_object_is_where_a_shrunk_and_a_turned_crop_show_it():
    rng = np.random.default_rng(0)
    shrunk = Place(Path("scene.png"), (120, 160), 10, 20, False, cut=80)
    np.testing.assert_allclose(pick_box(rng, SQUARE, shrunk, 64), [16, 8, 48, 40])
    turned = Place(Path("scene.png"), (120, 160), 10, 20, True, cut=64, turned=True)
    np.testing.assert_allclose(pick_box(rng, SQUARE, turned, 64), [10, 4, 50, 44])


@pytest.mark.parametrize("corner", [(0, 90), (56, 60), (50, 20)], ids=["outside", "touched", "a third"])
def test_objects_hardly_in_the_crop_are_left(corner):
    assert pick_box(np.random.default_rng(0), SQUARE, place(*corner), 64).tolist() == [0, 0, 0, 0]


def test_small_objects_are_left_and_draws_do_not_depend_on_objects():
    small = SQUARE * [1, 1, 0, 0] + np.array([[0, 0, 50 / 160, 30 / 120]])
    some, none = np.random.default_rng(3), np.random.default_rng(3)
    assert not pick_box(some, small, place(0, 0), 120).any()
    pick_box(none, np.zeros((0, 4)), place(0, 0), 120)
    assert some.random() == none.random()


def test_several_threads_may_want_the_proposals_of_one_picture(tmp_path, scene, monkeypatch):
    both = threading.Barrier(2, timeout=10)
    save = np.save

    def save_at_once(file, values):
        both.wait()
        save(file, values)
        both.wait()

    monkeypatch.setattr(instances.np, "save", save_at_once)
    found = ProposalBoxes(tmp_path / "cache")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(found.boxes, [scene, scene])
    np.testing.assert_array_equal(first, second)
    assert len(list((tmp_path / "cache").iterdir())) == 1
