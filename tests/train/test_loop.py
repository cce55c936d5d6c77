"""The training loop: it learns, it resumes exactly, and it stops with a sentence when it cannot go on."""

import dataclasses
import functools
import json
import os
import subprocess
import sys

import pytest
import torch
from tiny_train import NETWORK, TRAIN, draw_pictures, tiny_codec

from ugicm_train import fit as fitting
from ugicm_train import loop
from ugicm_train.board import Board, views
from ugicm_train.checkpoint import CheckpointError, load_codec, save_weights
from ugicm_train.data import CropSource
from ugicm_train.fit import fit, time_left
from ugicm_train.loop import Trainer, TrainingError


class PixelTeacher:
    """The mean absolute difference, a teacher that costs nothing."""

    def distance(self, view, x, scale=1.0):
        return (view - x).abs().mean((1, 2, 3))


@pytest.fixture
def source(pictures):
    return CropSource(pictures, smallest=64)


def trainer(source, out, config=TRAIN, **options):
    options.setdefault("start", tiny_codec().state_dict())
    return Trainer(config, NETWORK, source, out, **options)


def curve(run, steps):
    return [run.train_step()["loss"].item() for _ in range(steps)]


def run_weights(run):
    return {name: value.clone() for name, value in run.codec.state_dict().items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "muon"},
        {"precision": "bf16"},
        {"stage": "semantic"},
        {"stage": "preference", "machine_mse_growth": 2.0},
    ],
    ids=["adam", "muon", "bf16", "semantic", "preference"],
)
def test_resumed_run_equals_an_uninterrupted_one(source, tmp_path, changes):
    config = dataclasses.replace(TRAIN, **changes)
    teacher = PixelTeacher() if config.needs_teacher else None
    whole = trainer(source, tmp_path / "whole", config, teacher=teacher)
    expected = curve(whole, 6)
    first = trainer(source, tmp_path / "parts", config, teacher=teacher)
    losses = curve(first, 3)
    first.save()
    torch.manual_seed(12345)
    second = trainer(source, tmp_path / "parts", config, teacher=teacher, start=tiny_codec(1).state_dict())
    second.resume()
    assert second.step == 3
    losses += curve(second, 3)
    assert losses == expected
    for name, value in run_weights(whole).items():
        assert torch.equal(second.codec.state_dict()[name], value), name
    for name, value in whole.average.items():
        assert torch.equal(second.average[name], value), name


def test_training_lowers_the_loss(source, tmp_path):
    config = dataclasses.replace(TRAIN, steps=40, learning_rate=3e-3, late_from=1.0)
    losses = curve(trainer(source, tmp_path, config), 40)
    assert sum(losses[-8:]) < 0.7 * sum(losses[:8])


def test_absent_start_is_the_klt_of_the_data(source, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "KLT_PATCHES", 800)
    first, second = (trainer(source, tmp_path, start=None) for _ in range(2))
    stem = first.codec.analysis.stem.weight.detach()
    torch.testing.assert_close(stem @ stem.T, 16 * torch.eye(len(stem)), atol=1e-3, rtol=0)
    assert torch.equal(second.codec.analysis.stem.weight, stem)


def test_average_follows_the_weights(source, tmp_path):
    run = trainer(source, tmp_path)
    name = "synthesis.head.bias"
    before = run.average[name].clone()
    run.train_step()
    now = run.codec.state_dict()[name]
    torch.testing.assert_close(run.average[name], before * 0.1 + now * 0.9)
    assert torch.equal(run.averaged_codec().state_dict()[name], run.average[name])
    assert not run.averaged_codec().training


def test_a_loss_that_is_no_number_stops_the_run(source, tmp_path):
    run = trainer(source, tmp_path)
    run.train_step()
    with torch.no_grad():
        run.codec.synthesis.head.bias[0] = float("nan")
    with pytest.raises(TrainingError, match=r"not finite at step 1: .*bpp.*mse.*levels \[.*pictures \['.*\.png'"):
        run.train_step()
    assert run.step == 1


def test_resume_refuses_other_settings(source, tmp_path):
    trainer(source, tmp_path).save()
    other = trainer(source, tmp_path, dataclasses.replace(TRAIN, seed=5, learning_rate=1e-5))
    with pytest.raises(TrainingError, match="learning_rate, seed differ"):
        other.resume()


def test_resume_refuses_another_network(source, tmp_path):
    trainer(source, tmp_path).save()
    wider = dataclasses.replace(NETWORK, hyper=12)
    torch.manual_seed(0)
    other = Trainer(TRAIN, wider, source, tmp_path, start=loop.Codec(wider).state_dict())
    with pytest.raises(TrainingError, match="another network: hyper"):
        other.resume()


def test_nothing_to_resume_is_said(source, tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        trainer(source, tmp_path).resume()


def test_semantic_stage_needs_a_teacher(source, tmp_path):
    with pytest.raises(ValueError, match="needs a teacher"):
        trainer(source, tmp_path, dataclasses.replace(TRAIN, stage="semantic"))


def test_a_teacher_that_would_be_ignored_is_refused(source, tmp_path):
    with pytest.raises(ValueError, match="leave out --teacher"):
        trainer(source, tmp_path, teacher=PixelTeacher())


def test_preference_stage_leaves_streams_and_the_human_view_as_they_are(source, tmp_path):
    config = dataclasses.replace(TRAIN, stage="preference", learning_rate=0.01)
    run = trainer(source, tmp_path, config, teacher=PixelTeacher())
    before = run_weights(run)
    z, r = run.codec.eval().encode(torch.rand(1, 3, 64, 64), torch.tensor([20]))

    def view(preference):
        with torch.no_grad():
            return run.codec.eval().decode(z.detach(), r.detach(), torch.tensor([20]), torch.tensor([preference]))

    human, machine = view(0.0), view(1.0)
    curve(run, 2)
    changed = {name for name, value in run_weights(run).items() if not torch.equal(value, before[name])}
    assert changed
    assert all(".preference" in name for name in changed)
    assert torch.equal(view(0.0), human)
    assert not torch.equal(view(1.0), machine)


def test_resume_keeps_the_history(source, tmp_path):
    run = trainer(source, tmp_path, history=[{"stage": "earlier"}])
    curve(run, 1)
    run.save()
    again = trainer(source, tmp_path)
    again.resume()
    assert again.history == [{"stage": "earlier"}]


def test_fit_writes_a_checkpoint_and_reports(source, pictures, tmp_path):
    lines = []
    history = [{"stage": "earlier"}]
    run = trainer(source, tmp_path / "out", history=history)
    fit(run, validation=pictures, validate_every=4, report=lines.append)
    codec, found = load_codec(tmp_path / "out")
    assert found == [*history, dataclasses.asdict(TRAIN) | {"finished_steps": 6}]
    assert torch.equal(codec.synthesis.head.weight, run.average["synthesis.head.weight"])
    assert [line.split()[0] for line in lines] == ["validation", "validation"]
    assert "bpp" in lines[0] and "dB" in lines[0]


def test_log_lines_are_means_over_the_steps_they_cover(source, tmp_path, monkeypatch):
    config = dataclasses.replace(TRAIN, steps=100, batch=1, late_from=1.0)
    run = trainer(source, tmp_path, config)
    run.step = 97
    losses = []
    step = run.train_step

    def recorded():
        loss = step()
        losses.append(loss["loss"].item())
        return loss

    monkeypatch.setattr(run, "train_step", recorded)
    lines = []
    fit(run, report=lines.append)
    assert len(losses) == 3
    assert lines[0].startswith(f"step 100/100 loss {sum(losses) / 3:.4f} ")
    assert "images/s" in lines[0]


def test_accumulated_gradients_are_those_of_the_whole_batch(source, tmp_path):
    """In stage integer, where no noise is drawn, micro-batches must give the step of the whole batch."""
    config = dataclasses.replace(TRAIN, stage="integer", accumulate=2, late_from=1.0)
    parts, whole = (
        trainer(source, tmp_path, c) for c in (config, dataclasses.replace(config, accumulate=1))
    )
    for _ in range(2):
        terms = [run.train_step() for run in (parts, whole)]
        for name, value in terms[1].items():
            torch.testing.assert_close(terms[0][name], value, rtol=1e-4, atol=1e-5)
    gradients = [[p.grad for p in run.codec.parameters() if p.grad is not None] for run in (parts, whole)]
    assert len(gradients[0]) == len(list(parts.codec.scale_network.parameters()))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_a_place_may_move_between_parts_of_a_run(source, tmp_path, caplog):
    config = dataclasses.replace(TRAIN, stage="semantic", teacher="here.safetensors")
    run = trainer(source, tmp_path, config, teacher=PixelTeacher())
    curve(run, 1)
    run.save()
    moved = dataclasses.replace(config, teacher="there.safetensors")
    again = trainer(source, tmp_path, moved, teacher=PixelTeacher())
    again.resume()
    assert again.step == 1
    assert "here.safetensors so far and is there.safetensors" in caplog.text


def test_time_left_counts_by_area(source, tmp_path):
    config = dataclasses.replace(TRAIN, steps=100, batch=4, crop=64, late_batch=2, late_crop=128, late_from=0.5)
    run = trainer(source, tmp_path, config)
    run.step = 40
    # 10 steps of 4 crops, then 50 of 2 crops that take four times as long each: 440 crops of 64 pixels.
    assert time_left(run, 10.0) == "0:00:44"
    run.step = 100
    assert time_left(run, 10.0) == "0:00:00"


def test_tensorboard_gets_losses_and_three_views(source, pictures, tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setattr(fitting, "LINE_EVERY", 2)
    run = trainer(source, tmp_path / "out")
    board = Board(tmp_path / "board")
    fit(run, validation=pictures, validate_every=3, board=board, report=lambda line: None)
    board.close()
    found = accumulator.EventAccumulator(str(tmp_path / "board"))
    found.Reload()
    tags = found.Tags()
    assert {"train/loss", "train/bpp", "train/mse", "train/images_per_second", "validation/psnr_q8"} <= set(tags["scalars"])
    assert [event.step for event in found.Scalars("train/loss")] == [2, 4, 6]
    (image, *_) = found.Images("views/q32")
    assert (image.width, image.height) == (4 * 96, 96)
    shown = views(run.averaged_codec(), source.image(0), 32)
    assert (shown[:, :96] == source.image(0)).all()
    parts = [shown[:, start : start + 96] for start in (96, 192, 288)]
    assert (parts[0] != parts[2]).any()


@pytest.mark.slow
def test_compiled_network_learns_the_same(source, tmp_path, monkeypatch):
    # The backend that compiles graphs to C++ takes minutes for them; this one captures and differentiates the same graphs.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    config = dataclasses.replace(TRAIN, steps=2, late_from=1.0)
    plain = curve(trainer(source, tmp_path / "plain", config), 2)
    compiled = trainer(source, tmp_path / "compiled", dataclasses.replace(config, compile=True))
    assert curve(compiled, 2) == pytest.approx(plain, rel=0.05)
    compiled.save()
    assert load_codec(tmp_path / "compiled")[0].config == NETWORK


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["own", "torchrun"])
@pytest.mark.parametrize("balance", ["plain", "upgrad"])
def test_two_processes_train_one_network(tmp_path, launcher, balance, timm_spec):
    pictures = draw_pictures(tmp_path / "pictures")
    save_weights(tmp_path / "start", NETWORK, tiny_codec().state_dict(), [])
    options = {"steps": 4, "batch": 4, "crop": 64, "late-batch": 2, "late-crop": 64, "precision": "fp32", "warmup": 1}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    if balance == "upgrad":
        words += ["--stage", "semantic", "--balance", balance, "--teacher", timm_spec]
    start = ["-m", "torch.distributed.run", "--nproc-per-node", "2"] if launcher == "torchrun" else []
    command = [sys.executable, *start, "-m", "ugicm_train.cli", "fit", "--data", pictures, "--init", tmp_path / "start"]
    command += ["--out", tmp_path / "run", "--threads", "1", "--processes", "2", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["history"][-1]["finished_steps"] == 4
    trained, _ = load_codec(tmp_path / "run")
    start = tiny_codec().state_dict()
    assert all(torch.isfinite(value).all() for value in trained.state_dict().values())
    assert done.stderr.count("Traceback") == 0
    assert any(not torch.equal(value, start[name]) for name, value in trained.state_dict().items())
