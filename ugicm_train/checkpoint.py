"""Checkpoints: a folder with `config.json`, `weights.safetensors` (averaged weights) and, to go on, `state.safetensors`."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ugicm_train.config import AnyNetwork, TrainConfig, from_dict, network_from_dict
from ugicm_train.model.build import AnyCodec, build

FORMAT = "ugicm-checkpoint"
VERSION = 1
CONFIG, WEIGHTS, STATE = "config.json", "weights.safetensors", "state.safetensors"


class CheckpointError(ValueError):
    """A checkpoint is missing, truncated, foreign or of another version."""


def _replace(path: Path, write: Any) -> None:
    """Write to a temporary name and rename, so that a killed run leaves the old file or the new one.

    safetensors' own `save_file` makes files that nobody else may read.
    """
    temporary = path.with_name(path.name + ".partial")
    write(temporary)
    os.replace(temporary, path)


def save_weights(
    folder: Path, network: AnyNetwork, weights: dict[str, Tensor], history: list[dict[str, Any]], half: bool = False
) -> None:
    """Write config.json and weights.safetensors; `half` stores the weights in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = torch.float16 if half else torch.float32
    stored = {name: value.detach().to("cpu", kind).contiguous() for name, value in weights.items()}
    _replace(folder / WEIGHTS, lambda path: path.write_bytes(save(stored)))
    text = json.dumps(
        {"format": FORMAT, "version": VERSION, "network": dataclasses.asdict(network), "history": history}, indent=2
    )
    _replace(folder / CONFIG, lambda path: path.write_text(text + "\n"))


def read_config(folder: str | Path) -> tuple[AnyNetwork, list[dict[str, Any]]]:
    """(network, training history) of a checkpoint folder; CheckpointError says what is wrong."""
    path = Path(folder) / CONFIG
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{folder} is not a checkpoint: {CONFIG} is missing") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a UG-ICM checkpoint: format is not {FORMAT!r}")
    if values.get("version") != VERSION:
        raise CheckpointError(f"{path} has version {values.get('version')!r}; this code reads {VERSION}")
    try:
        return network_from_dict(values["network"]), values["history"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {type(error).__name__} {error}") from None


def load_codec(folder: str | Path) -> tuple[AnyCodec, list[dict[str, Any]]]:
    """(codec in evaluation mode with float32 weights, training history) of a checkpoint folder."""
    network, history = read_config(folder)
    path = Path(folder) / WEIGHTS
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{folder} is not a checkpoint: {WEIGHTS} is missing") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from None
    codec = build(network)
    expected = {name: tuple(value.shape) for name, value in codec.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if expected != found:
        differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise CheckpointError(f"{path} does not fit its config: {len(differing)} tensors differ, first {differing[:3]}")
    codec.load_state_dict({name: value.float() for name, value in weights.items()})
    return codec.eval(), history


def save_state(folder: Path, config: TrainConfig, step: int, tensors: dict[str, Tensor]) -> None:
    """Everything needed to go on exactly: raw weights, averages, optimiser moments, the step and the stage's config."""
    metadata = {"step": str(step), "train": json.dumps(dataclasses.asdict(config))}
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    _replace(folder / STATE, lambda path: path.write_bytes(save(stored, metadata)))


def load_state(folder: Path) -> tuple[TrainConfig, int, dict[str, Tensor]]:
    """(config, finished steps, tensors) written by `save_state`; CheckpointError if it cannot be read."""
    from safetensors import safe_open

    path = folder / STATE
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"nothing to resume in {folder}: {STATE} is missing") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if not metadata or not {"train", "step"} <= metadata.keys():
        raise CheckpointError(
            f"{path} is not the state of a training run: its metadata lacks the step and the settings"
        )
    settings = json.loads(metadata["train"])
    absent = sorted({field.name for field in dataclasses.fields(TrainConfig)} - settings.keys())
    if absent:
        raise CheckpointError(
            f"{path} is of a version without the settings {', '.join(absent)} and cannot be resumed exactly; "
            f"train on from its weights with --init {folder} and another --out"
        )
    return from_dict(TrainConfig, settings), int(metadata["step"]), tensors
