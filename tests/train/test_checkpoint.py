"""Checkpoints: what is written can be read, and every kind of damage is named."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_train import NETWORK, TRAIN

from ugicm_train.checkpoint import (
    CONFIG,
    STATE,
    WEIGHTS,
    CheckpointError,
    load_codec,
    load_state,
    read_config,
    save_state,
    save_weights,
)


@pytest.fixture
def saved(codec, tmp_path):
    """A checkpoint folder with weights and state."""
    folder = tmp_path / "run"
    save_weights(folder, NETWORK, codec.state_dict(), [{"stage": "rate_distortion"}])
    save_state(folder, TRAIN, 3, {"model.a": torch.arange(4.0)})
    return folder


def test_weights_return_exactly(codec, saved):
    loaded, history = load_codec(saved)
    assert history == [{"stage": "rate_distortion"}]
    assert loaded.config == NETWORK
    assert not loaded.training
    for name, value in codec.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_half_precision_weights_load_as_float(codec, tmp_path):
    save_weights(tmp_path, NETWORK, codec.state_dict(), [], half=True)
    assert {value.dtype for value in load_file(tmp_path / WEIGHTS).values()} == {torch.float16}
    loaded, _ = load_codec(tmp_path)
    for name, value in codec.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float()), name


def test_state_returns_exactly(saved):
    config, step, tensors = load_state(saved)
    assert config == TRAIN
    assert step == 3
    assert torch.equal(tensors["model.a"], torch.arange(4.0))


def test_no_partial_file_is_left(saved):
    assert {path.name for path in saved.iterdir()} == {CONFIG, WEIGHTS, STATE}


def test_files_may_be_read_by_whom_the_system_lets(saved, tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    for name in (WEIGHTS, STATE, CONFIG):
        assert (saved / name).stat().st_mode == ordinary.stat().st_mode, name


def test_a_failed_write_keeps_the_old_file(codec, saved, monkeypatch):
    def fails(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError("disk full")

    before = (saved / WEIGHTS).read_bytes()
    monkeypatch.setattr(Path, "write_bytes", fails)
    with pytest.raises(OSError, match="disk full"):
        save_weights(saved, NETWORK, codec.state_dict(), [])
    assert (saved / WEIGHTS).read_bytes() == before


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_missing_files_are_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        load_codec(saved)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ("[]", "not a UG-ICM checkpoint"),
        ('{"format": "other"}', "not a UG-ICM checkpoint"),
        ('{"format": "ugicm-checkpoint", "version": 99}', "has version 99; this code reads 1"),
        ('{"format": "ugicm-checkpoint", "version": 1}', "damaged"),
        ('{"format": "ugicm-checkpoint", "version": 1, "network": 5, "history": []}', "damaged"),
        ('{"format": "ugicm-checkpoint", "version": 1, "network": {"latent": "x"}, "history": []}', "damaged"),
        ('{"format": "ugicm-checkpoint", "version": 1, "network": {"wings": 2}, "history": []}', "wings"),
    ],
)
def test_bad_configs_are_refused(saved, text, words):
    (saved / CONFIG).write_text(text)
    with pytest.raises(CheckpointError, match=words):
        read_config(saved)


def test_binary_config_is_refused(saved):
    (saved / CONFIG).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="damaged"):
        read_config(saved)


@pytest.mark.parametrize("kept", [0, 7, 1000])
def test_truncated_files_are_refused(saved, kept):
    for name, load in ((WEIGHTS, load_codec), (STATE, load_state)):
        data = (saved / name).read_bytes()
        (saved / name).write_bytes(data[: min(kept, len(data) - 1)])
        with pytest.raises(CheckpointError, match=name):
            load(saved)


def test_weights_of_another_network_are_refused(saved):
    values = json.loads((saved / CONFIG).read_text())
    values["network"] = dataclasses.asdict(dataclasses.replace(NETWORK, hyper=12))
    (saved / CONFIG).write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="does not fit its config"):
        load_codec(saved)


def test_foreign_state_is_refused(saved):
    save_file({"a": torch.zeros(1)}, saved / STATE)
    with pytest.raises(CheckpointError, match="not the state of a training run"):
        load_state(saved)


def test_missing_state_is_named(saved):
    (saved / STATE).unlink()
    with pytest.raises(CheckpointError, match="nothing to resume"):
        load_state(saved)


def test_a_state_without_a_setting_of_today_is_refused(saved):
    old = {name: value for name, value in dataclasses.asdict(TRAIN).items() if name != "crop_balance"}
    save_file({"model.a": torch.zeros(1)}, saved / STATE, {"step": "3", "train": json.dumps(old)})
    with pytest.raises(CheckpointError, match=r"without the settings crop_balance .*train on from its weights with --init"):
        load_state(saved)
