"""What the teacher looks at: the same part of view and original, weighed as configured, and only where it is asked."""

import dataclasses

import pytest
import torch
from tiny_train import NETWORK, TRAIN, tiny_codec

from ugicm_train.config import TrainConfig
from ugicm_train.data import CropSource
from ugicm_train.instances import ProposalBoxes
from ugicm_train.loop import Trainer
from ugicm_train.supervision import LOCAL_SIDES, instance_parts, local_parts, supervised_distance
from ugicm_train.teachers import FeatureTeacher, Panel


class Recorder:
    """A teacher that keeps what it was shown; the distance is the largest difference of a picture."""

    def __init__(self):
        self.shown = []

    def distance(self, view, x, scale=1.0):
        self.shown.append((view, x, scale))
        return (view - x).abs().amax((1, 2, 3))


def config(**weights):
    return dataclasses.replace(TRAIN, stage="semantic", **weights)


def distance(settings, teacher, preference=(1.0, 0.5, 0.0), boxes=None):
    """View and original differ by 0.5 inside (8..40, 16..48) of the second picture only."""
    x = torch.rand(3, 3, 64, 64)
    view = x.clone()
    view[1, :, 16:48, 8:40] += 0.5
    boxes = torch.zeros(3, 4) if boxes is None else boxes
    return supervised_distance(settings, teacher, view, x, torch.tensor(preference), boxes)


def test_global_is_the_whole_crop_of_those_who_ask():
    teacher = Recorder()
    found = distance(config(), teacher)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5, 0.0]))
    ((view, x, _),) = teacher.shown
    assert view.shape == x.shape == (2, 3, 64, 64)
    assert distance(config(), Recorder(), (0.0, 0.0, 0.0)).tolist() == [0, 0, 0]


def test_of_a_panel_each_step_asks_one_member():
    class Fixed(FeatureTeacher):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def distance(self, view, x, scale=1.0):
            return torch.full((len(x),), self.value)

    panel = Panel([Fixed(1.0), Fixed(2.0)])
    torch.manual_seed(0)
    found = [distance(config(), panel).tolist() for _ in range(20)]
    assert {tuple(values) for values in found} == {(1.0, 1.0, 0.0), (2.0, 2.0, 0.0)}


def test_local_parts_are_cut_alike():
    x = torch.rand(4, 3, 64, 64)
    sides = set()
    for seed in range(12):
        torch.manual_seed(seed)
        a, b = local_parts([x, x + 1])
        torch.testing.assert_close(b - a, torch.ones_like(a))
        sides.add(a.shape[2])
    assert sides == {int(64 * side) for side in LOCAL_SIDES}
    torch.manual_seed(0)
    first = local_parts([x[:1].expand(4, -1, -1, -1)])[0]
    assert not torch.equal(first[0], first[1])


def test_instances_are_the_boxes_resized():
    x = torch.zeros(2, 3, 64, 64)
    x[0, :, 10:40, 20:60] = 1
    x[1, :, 0:24, 0:24] = 0.5
    (parts,) = instance_parts([x], torch.tensor([[20.0, 10, 60, 40], [0, 0, 24, 24]]))
    assert parts.shape == (2, 3, 32, 32)
    torch.testing.assert_close(parts[0], torch.ones(3, 32, 32))
    torch.testing.assert_close(parts[1], torch.full((3, 32, 32), 0.5))


def test_the_mix_is_a_weighted_mean_of_what_there_is():
    boxes = torch.tensor([[0.0, 0, 0, 0], [16, 24, 40, 48], [0, 0, 0, 0]])
    mixed = config(global_weight=3.0, instance_weight=1.0, instances="proposals")
    teacher = Recorder()
    torch.testing.assert_close(distance(mixed, teacher, boxes=boxes), torch.tensor([0.0, 0.5, 0.0]))
    assert [len(view) for view, _, _ in teacher.shown] == [2, 1]
    alone = config(global_weight=0.0, instance_weight=1.0, instances="proposals")
    found = distance(alone, Recorder(), boxes=boxes)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5, 0.0]))
    assert distance(alone, Recorder()).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stage": "semantic", "global_weight": 0.0}, "one above 0"),
        ({"stage": "semantic", "local_weight": -1.0}, "must be 0 or more"),
        ({"stage": "semantic", "instance_weight": 1.0}, "go together"),
        ({"stage": "semantic", "instances": "proposals"}, "go together"),
        ({"local_weight": 1.0}, "has no machine objective"),
        ({"balance": "ema"}, "has no machine objective"),
        ({"balance": "luck"}, "fixed, ema, upgrad, mgda"),
        ({"accumulate": 3}, "batch 16 cannot be cut into 3"),
    ],
)
def test_settings_that_contradict_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        TrainConfig(**values)


@pytest.mark.parametrize("stage", ["semantic", "preference"])
def test_all_three_train_and_resume_exactly(pictures, tmp_path, stage):
    settings = dataclasses.replace(
        TRAIN, stage=stage, local_weight=0.5, instance_weight=0.5, instances="proposals", global_weight=1.0
    )
    source = CropSource(pictures, smallest=64)

    def trainer(out):
        start = tiny_codec().state_dict()
        boxes = ProposalBoxes(tmp_path / "cache")
        return Trainer(settings, NETWORK, source, out, start=start, teacher=Recorder(), instances=boxes)

    whole, first = trainer(tmp_path / "whole"), trainer(tmp_path / "parts")
    expected = [whole.train_step()["loss"].item() for _ in range(4)]
    found = [first.train_step()["loss"].item() for _ in range(2)]
    first.save()
    second = trainer(tmp_path / "parts")
    second.resume()
    assert found + [second.train_step()["loss"].item() for _ in range(2)] == expected
    assert len(whole.teacher.shown) > 2 * 4
