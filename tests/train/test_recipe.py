"""Recipes: every file loads, stages run in order from one another, and an interrupted run goes on where it was."""

import dataclasses
import functools
import json
import shutil

import pytest
import torch
from lightning_fabric import Fabric
from tiny_train import NETWORK, TRAIN

from ugicm_train import loop
from ugicm_train.blending import write_mean
from ugicm_train.checkpoint import load_codec, read_config
from ugicm_train.config import PRESET_NAMES
from ugicm_train.integer import IntegerMismatch
from ugicm_train.recipe import Recipe, load_recipe, progress, recipe_names, run_recipe
from ugicm_train.run import RunOptions, train_stage


@pytest.fixture
def tiny(monkeypatch):
    """A recipe of two stages for the tiny network."""
    monkeypatch.setattr(Recipe, "network", NETWORK)
    monkeypatch.setattr(loop, "KLT_PATCHES", 800)
    first = dataclasses.replace(TRAIN, steps=4)
    return Recipe("tiny", "two stages", "nano", (first, dataclasses.replace(TRAIN, stage="integer", steps=3)))


@pytest.fixture
def train(pictures):
    fabric = Fabric(accelerator="cpu", devices=1)
    return functools.partial(train_stage, options=RunOptions([str(pictures)]), fabric=fabric)


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_of_the_package_load(name):
    found = load_recipe(name)
    assert found.preset in PRESET_NAMES
    assert len(found.description) > 20
    assert found.stages[0].stage == "rate_distortion"
    for stage in found.stages:
        if not stage.needs_teacher:
            assert not stage.teacher


def test_the_quick_recipe_has_every_stage():
    assert [stage.stage for stage in load_recipe("quick").stages] == [
        "rate_distortion",
        "semantic",
        "preference",
        "integer",
    ]


def test_settings_of_the_command_line_win():
    found = load_recipe("nano")
    assert found.needs_teacher
    taught = found.with_settings(teacher="t.safetensors", steps=7)
    assert not taught.needs_teacher
    assert [stage.steps for stage in taught.stages] == [7] * len(found.stages)
    assert {stage.teacher for stage in taught.stages if stage.needs_teacher} == {"t.safetensors"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stage = 3", "missing keys"),
        ("description = 'a'\npreset = 'nano'\nstages = []", "unknown keys"),
        ("description = 'a'\npreset = 'giant'\n[[stage]]", "giant"),
        ("description = 'a'\npreset = 'nano'\n[[stage]]\nstage = 'dreaming'", "dreaming"),
        ("description = 'a'\npreset = 'nano'\n[[stage]]\nwings = 2", "wings"),
        ("description = 'a'\npreset = 'nano'\nstage = []", "no stage"),
        ("description = 'a'\npreset = 'nano'\n[[stage]]\n[[stage]]\nprecision = 'fp32'", "same precision"),
        ("description = 'a'\npreset = 'nano'\n[[stage]]\nseeds = 0", "from 1, got 0"),
        ("description = 'a'\npreset = 'nano'\n[[stage]]\nseeds = true", "from 1, got True"),
        ("description = 'a'\npreset = 'nano'\n[[stage]]\nstage = 'integer'\nseeds = 2", "give it seeds = 1"),
        ("not toml", "not a recipe"),
    ],
)
def test_bad_recipes_are_refused(tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        load_recipe(path)


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(ValueError, match="known: cluster, nano, paper, quick"):
        load_recipe("cake")


def test_stages_run_in_order_and_finished_ones_are_left(tiny, train, tmp_path):
    lines = []
    run_recipe(tiny, tmp_path / "run", train, write_mean, lines.append)
    folders = [tmp_path / "run" / name for name in ("1-rate_distortion", "2-integer")]
    history = read_config(folders[1])[1]
    assert [entry["stage"] for entry in history] == ["rate_distortion", "integer"]
    assert [entry["finished_steps"] for entry in history] == [4, 3]
    first, second = (load_codec(folder)[0] for folder in folders)
    assert torch.equal(first.synthesis.head.weight, second.synthesis.head.weight)
    times = [(folder / "weights.safetensors").stat().st_mtime_ns for folder in folders]

    def refuse(*arguments, **options):
        raise AssertionError("a finished stage was trained again")

    run_recipe(tiny, tmp_path / "run", refuse, refuse, lines.append)
    assert [(folder / "weights.safetensors").stat().st_mtime_ns for folder in folders] == times
    assert lines[-1].endswith("2-integer")


@pytest.mark.parametrize("stage", [0, 1])
def test_an_interrupted_recipe_ends_like_an_uninterrupted_one(tiny, train, tmp_path, monkeypatch, stage):
    run_recipe(tiny, tmp_path / "whole", train, write_mean, lambda line: None)
    step, steps = loop.Trainer.train_step, []

    def interrupted(self):
        if self.config == tiny.stages[stage] and self.step == 2:
            self.save()
            raise KeyboardInterrupt
        steps.append(self.config.stage)
        return step(self)

    monkeypatch.setattr(loop.Trainer, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(tiny, tmp_path / "parts", train, write_mean, lambda line: None)
    monkeypatch.setattr(loop.Trainer, "train_step", step)
    lines = []
    assert progress(tiny, tmp_path / "parts") == (["unfinished", "open"] if stage == 0 else ["finished", "unfinished"])
    run_recipe(tiny, tmp_path / "parts", train, write_mean, lines.append)
    assert "goes on" in lines[stage]
    whole, parts = (load_codec(tmp_path / name / "2-integer")[0].state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_a_finished_stage_with_other_settings_is_refused(tiny, train, tmp_path):
    run_recipe(tiny, tmp_path, train, write_mean, lambda line: None)
    changed = (dataclasses.replace(tiny.stages[0], seed=9), tiny.stages[1])
    with pytest.raises(ValueError, match="other settings: seed differ"):
        run_recipe(dataclasses.replace(tiny, stages=changed), tmp_path, train, write_mean, lambda line: None)


def test_a_stage_whose_check_failed_is_not_finished(tiny, train, tmp_path, monkeypatch):
    def differ(codec, pictures):
        raise IntegerMismatch("7 of 99 scale indexes differ")

    with monkeypatch.context() as patched:
        patched.setattr(loop, "check_integers", differ)
        for _ in range(2):
            with pytest.raises(IntegerMismatch):
                run_recipe(tiny, tmp_path / "run", train, write_mean)
    assert progress(tiny, tmp_path / "run") != ["finished", "finished"]
    run_recipe(tiny, tmp_path / "run", train, write_mean)
    assert progress(tiny, tmp_path / "run") == ["finished", "finished"]


def test_a_broken_run_is_named(tiny, train, tmp_path):
    run_recipe(tiny, tmp_path, train, write_mean, lambda line: None)
    config = tmp_path / "1-rate_distortion" / "config.json"
    values = json.loads(config.read_text())
    values["history"][-1]["finished_steps"] = 2
    config.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="before an earlier one was finished"):
        progress(tiny, tmp_path)
    (tmp_path / "1-rate_distortion" / "state.safetensors").unlink()
    with pytest.raises(ValueError, match="neither finished nor can it be resumed"):
        progress(tiny, tmp_path)


def test_a_stage_of_several_seeds_is_the_mean_of_its_runs(tiny, train, tmp_path):
    recipe = dataclasses.replace(tiny, seeds=(2, 1))
    assert progress(recipe, tmp_path) == ["open", "open"]
    lines = []
    run_recipe(recipe, tmp_path, train, write_mean, lines.append)
    folder = tmp_path / "1-rate_distortion"
    first, second, mean = (load_codec(folder / name)[0].state_dict() for name in ("seed-0", "seed-1", "."))
    name = "analysis.leave.weight"
    assert not torch.equal(first[name], second[name])
    assert all(torch.allclose(value, (first[key] + second[key]) / 2, atol=1e-6) for key, value in mean.items())
    seeds = [read_config(folder / name)[1][-1]["seed"] for name in ("seed-0", "seed-1")]
    assert seeds == [0, 1]
    history = read_config(tmp_path / "2-integer")[1]
    assert [entry["stage"] for entry in history] == ["rate_distortion", "blend", "integer"]
    assert history[1]["other"][0]["seed"] == 1
    assert torch.equal(load_codec(tmp_path / "2-integer")[0].state_dict()[name], mean[name])

    def refuse(*arguments, **options):
        raise AssertionError("a finished stage was trained again")

    run_recipe(recipe, tmp_path, refuse, refuse, lines.append)
    assert lines[-1].endswith("2-integer")


def test_an_interrupted_mean_goes_on_with_the_run_that_is_missing(tiny, train, tmp_path):
    recipe = dataclasses.replace(tiny, seeds=(2, 1))
    run_recipe(recipe, tmp_path / "whole", train, write_mean, lambda line: None)

    def killed(folders, out):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, tmp_path / "parts", train, killed, lambda line: None)
    shutil.rmtree(tmp_path / "parts" / "1-rate_distortion" / "seed-1")
    assert progress(recipe, tmp_path / "parts") == ["unfinished", "open"]
    lines = []
    run_recipe(recipe, tmp_path / "parts", train, write_mean, lines.append)
    assert "starts in" in lines[0] and "seed-1" in lines[0]
    whole, parts = (load_codec(tmp_path / name / "2-integer")[0].state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())


@pytest.mark.parametrize(("before", "after"), [(1, 2), (3, 2), (2, 3)])
def test_a_stage_with_another_number_of_seeds_is_refused(tiny, train, tmp_path, before, after):
    one = dataclasses.replace(tiny, stages=tiny.stages[:1])
    run_recipe(dataclasses.replace(one, seeds=(before,)), tmp_path, train, write_mean, lambda line: None)
    with pytest.raises(ValueError, match=f"not the mean of {after} runs"):
        progress(dataclasses.replace(one, seeds=(after,)), tmp_path)


def test_one_run_where_a_mean_is_is_refused(tiny, train, tmp_path):
    one = dataclasses.replace(tiny, stages=tiny.stages[:1])
    run_recipe(dataclasses.replace(one, seeds=(2,)), tmp_path, train, write_mean, lambda line: None)
    with pytest.raises(ValueError, match="neither finished nor can it be resumed"):
        progress(one, tmp_path)
