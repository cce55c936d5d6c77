"""One stage as a command runs it: its folder, its data, its teacher, on the devices that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from ugicm_train.allocator import keep_freed_memory
from ugicm_train.blending import write_mean
from ugicm_train.board import Board
from ugicm_train.checkpoint import STATE, load_codec
from ugicm_train.config import AnyNetwork, TrainConfig
from ugicm_train.data import SHORT_SIDE, CropSource
from ugicm_train.fit import fit
from ugicm_train.instances import open_instances
from ugicm_train.loop import Trainer
from ugicm_train.teachers import open_teacher

CACHE = "proposals"
BOARD = "tensorboard"


@dataclass(frozen=True)
class RunOptions:
    """What a run needs besides its configuration; none of it changes the loss curve."""

    data: Sequence[str]
    """Folders with images, searched recursively; one that is named twice counts twice."""
    validation: str | None = None
    """Folder whose first images are validated."""
    validate_every: int = 1000
    """Steps between validations."""
    tensorboard: bool = False
    """Whether losses and reconstructions are logged in the folder `tensorboard` of the run."""
    workers: int = 1
    """Threads that draw batches ahead."""
    cache_gib: float = 4.0
    """Memory for decoded images."""
    proposals: Path | None = None
    """Folder that keeps proposals of objects, for runs that share it; `proposals` of the checkpoint folder if absent."""


def train_stage(
    config: TrainConfig,
    network: AnyNetwork,
    out: Path,
    options: RunOptions,
    fabric: Fabric,
    *,
    init: Path | None = None,
    resume: bool = False,
) -> None:
    """Train a stage to its end in the checkpoint folder `out`, on a launched `fabric`.

    It starts from the checkpoint `init` and its network, or fresh with `network`; `resume` goes on from the state in `out`.
    """
    keep_freed_memory()
    start: dict[str, Any] | None = None
    history: list[dict[str, Any]] = []
    if init is not None:
        codec, history = load_codec(init)
        network, start = codec.config, codec.state_dict()
    smallest = max(config.crop, config.late_crop)
    memory = int(options.cache_gib * 2**30)
    longest = max(SHORT_SIDE, smallest)
    source = CropSource(options.data, longest, smallest=smallest, cache_bytes=memory, shrink=config.shrink, turn=config.turn)
    cache = options.proposals or out / CACHE
    trainer = Trainer(
        config,
        network,
        source,
        out,
        start=start,
        history=history,
        teacher=open_teacher(config.teacher) if config.teacher else None,
        instances=open_instances(config.instances, options.data, cache) if config.instances else None,
        fabric=fabric,
        workers=options.workers,
    )
    if resume:
        trainer.resume()
    board = Board(out / BOARD, trainer.step) if options.tensorboard and fabric.is_global_zero else None
    fit(trainer, validation=options.validation, validate_every=options.validate_every, board=board)
    if board:
        board.close()
    if source.unusable and fabric.is_global_zero:
        print(f"{source.unusable} of {source.distinct} images were corrupt or smaller than {smallest} pixels and left out")
    fabric.barrier()


def mean_of_runs(folders: Sequence[Path], out: Path, fabric: Fabric) -> None:
    """Write the mean of the checkpoints in `folders` to `out`, by one of the processes; the others wait for it."""
    if fabric.is_global_zero:
        write_mean(folders, out)
    fabric.barrier()


def has_state(out: Path) -> bool:
    """Whether a run in `out` can be resumed."""
    return (out / STATE).is_file()
