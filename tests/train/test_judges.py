"""Judges: structure, and a CLIP's zero-shot class, by text embeddings nearest to what it sees."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_train import tiny_codec

from ugicm_train.evaluate import evaluate
from ugicm_train.judges import ZeroShot, as_tensor, distance_judge, judges_for, read_labels, read_text, structure_judge
from ugicm_train.teachers import open_teacher


@pytest.fixture
def clip(clip_spec):
    return open_teacher(clip_spec)


def pictures(count=4):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (48, 64, 3), np.uint8) // (n + 1) for n in range(count)]


def own_text(clip, shown):
    """Text embeddings that are the embeddings of the pictures themselves, of any length."""
    with torch.no_grad():
        seen = [clip.look(as_tensor(p)).embedding[0].numpy() * (n + 1) for n, p in enumerate(shown)]
    return np.stack(seen).astype(np.float16)


def test_nearest_text_is_found(clip):
    shown = pictures()
    probe = ZeroShot(clip, own_text(clip, shown))
    assert [probe.classify(p) for p in shown] == [0, 1, 2, 3]
    agree, right = probe.agreement_judge(), probe.accuracy_judge([{0}, {0, 1}, {3}, set()])
    assert [agree(p, p, n) for n, p in enumerate(shown)] == [1, 1, 1, 1]
    assert agree(shown[1], shown[0], 0) == 0
    assert [right(p, p, n) for n, p in enumerate(shown)] == [1, 1, 0, 0]


def test_text_of_another_clip_is_refused(clip):
    with pytest.raises(ValueError, match="has 16 numbers"):
        ZeroShot(clip, np.zeros((80, 512), np.float16))


def test_evaluation_carries_the_judges(clip):
    shown = pictures(2)
    probe = ZeroShot(clip, own_text(clip, shown))
    judges = {"teacher": distance_judge(clip), "agree": probe.agreement_judge()}
    points = evaluate(tiny_codec(), shown, [0, 63], [0.0, 1.0], judges)
    assert all(set(p.judged) == {"teacher", "agree"} for p in points)
    assert all(p.judged["teacher"] > 0 and 0 <= p.judged["agree"] <= 1 for p in points)


def test_structure_is_judged_in_decibels():
    rng = np.random.default_rng(1)
    original = rng.integers(0, 256, (161, 170, 3), np.uint8)
    assert structure_judge(original, original, 0) > 60
    near, far = (np.clip(original + rng.normal(0, size, original.shape), 0, 255).astype(np.uint8) for size in (10, 60))
    assert structure_judge(near, original, 0) > structure_judge(far, original, 0) + 5
    assert list(judges_for(None, None, None, [], structure=True)) == ["ms-ssim"]
    with pytest.raises(ValueError, match="picture 3 is 170x160: MS-SSIM needs sides of 161 pixels"):
        structure_judge(original[:160], original[:160], 3)


def coco(path, names):
    values = {
        "categories": [{"id": 7, "name": "b"}, {"id": 3, "name": "a"}],
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "annotations": [{"image_id": 0, "category_id": 7}, {"image_id": 0, "category_id": 3}],
    }
    path.write_text(json.dumps(values))
    return path


def test_labels_follow_the_category_ids(tmp_path):
    path = coco(tmp_path / "labels.json", ["a.png", "b.png"])
    assert read_labels(path, [Path("x/a.png"), Path("b.png")]) == [{0, 1}, set()]
    with pytest.raises(ValueError, match=r"no labels for 1 of 1 pictures, first \['c.png'\]"):
        read_labels(path, [Path("c.png")])
    path.write_text("[]")
    with pytest.raises(ValueError, match="not a COCO annotation file"):
        read_labels(path, [])


def test_what_does_not_fit_together_is_refused(clip, tmp_path):
    text = tmp_path / "text.npy"
    np.save(text, np.ones((3, 16), np.float16))
    assert set(judges_for(clip, text, None, [])) == {"teacher", "agree"}
    with pytest.raises(ValueError, match="need --teacher"):
        judges_for(None, text, None, [])
    with pytest.raises(ValueError, match="--labels needs --text"):
        judges_for(clip, None, tmp_path / "labels.json", [])
    text.write_text("no array")
    with pytest.raises(ValueError, match=r"text\.npy"):
        read_text(text)
