"""The training loop: one stage from its config to a checkpoint, resumable exactly at any saved step."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from ugicm_train import checkpoint
from ugicm_train.config import QUALITY_LEVELS, NetworkConfig, TrainConfig
from ugicm_train.data import CropSource, find_images, read_image
from ugicm_train.evaluate import evaluate
from ugicm_train.losses import Loss, training_loss
from ugicm_train.model.codec import Codec
from ugicm_train.model.klt import start_from_klt
from ugicm_train.optimizers import make_optimizers, optimizer_tensors, restore_optimizers, set_learning_rate
from ugicm_train.teacher import Teacher

log = logging.getLogger(__name__)

VALIDATION_LEVELS = (8, 24, 40, 56)
HUMAN_SHARE, MACHINE_SHARE = 0.4, 0.3
"""Shares of the crops at preference 0 (none in stage preference) and at 1; the rest is spread evenly between."""
KLT_PATCHES, KLT_SIDE = 60000, 16


class TrainingError(RuntimeError):
    """The run cannot go on (a loss that is not a number, or a state that does not fit the request)."""


def make_fabric(config: TrainConfig, device: str = "cpu", processes: int = 1) -> Fabric:
    """Fabric for `processes` devices of kind `device` (cpu, cuda, ...); data parallel when there is more than one."""
    precision = "bf16-mixed" if config.precision == "bf16" else "32-true"
    strategy = "ddp" if processes > 1 else "auto"
    return Fabric(accelerator=device, devices=processes, strategy=strategy, precision=precision)  # type: ignore[arg-type]


def _differing(saved: Any, wanted: Any) -> str:
    """Names of the fields in which two config dataclasses differ."""
    names = (field.name for field in dataclasses.fields(saved))
    return ", ".join(name for name in names if getattr(saved, name) != getattr(wanted, name))


def draw_batch(
    config: TrainConfig, source: CropSource, step: int, rank: int = 0, processes: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Crops (N,3,S,S), levels (N,) and preferences (N,) of one process in a step: a pure function of seed, step and rank."""
    rng = np.random.default_rng((config.seed, step, rank))
    count, side = config.shape_at(step)
    if count % processes:
        raise ValueError(f"a batch of {count} crops cannot be shared by {processes} processes; choose a multiple")
    count //= processes
    x = source.crops(rng, count, side)
    level = torch.from_numpy(rng.integers(QUALITY_LEVELS, size=count))
    share = rng.permutation((np.arange(count) + rng.random(count)) / count)
    human_share = 0.0 if config.stage == "preference" else HUMAN_SHARE
    preference = np.where(share < human_share, 0.0, np.where(share > 1 - MACHINE_SHARE, 1.0, rng.random(count)))
    return x, level, torch.from_numpy(preference.astype(np.float32))


class Trainer:
    """A stage in progress: network, averaged weights, optimisers and the step counter."""

    def __init__(
        self,
        config: TrainConfig,
        network: NetworkConfig,
        source: CropSource,
        out: Path,
        *,
        start: dict[str, Tensor] | None = None,
        history: list[dict[str, Any]] | None = None,
        teacher: Teacher | None = None,
        fabric: Fabric | None = None,
    ) -> None:
        """`start` are weights to begin with (the KLT of the data if absent); `history` the stages they went through.

        `fabric` is a launched Fabric; absent, one process on the CPU.
        """
        if config.needs_teacher != (teacher is not None):
            need = "needs a teacher: give" if config.needs_teacher else "has no machine objective: leave out"
            raise ValueError(f"stage {config.stage} {need} --teacher FILE")
        self.config, self.network, self.source, self.out = config, network, source, out
        self.history = history or []
        self.fabric = fabric or make_fabric(config)
        self.device = self.fabric.device
        self.teacher = teacher.to(self.device) if isinstance(teacher, torch.nn.Module) else teacher
        torch.manual_seed(config.seed)
        codec = Codec(network)
        if start is None:
            rng = np.random.default_rng(config.seed)
            start_from_klt(codec, source.crops(rng, KLT_PATCHES, KLT_SIDE))
        else:
            codec.load_state_dict(start)
        self.codec: Codec = codec.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        if config.stage == "preference":
            self.codec.requires_grad_(False)
            for parameter in self.codec.synthesis.preference_parameters():
                parameter.requires_grad_(True)
        self.average = {name: value.detach().clone() for name, value in self.codec.state_dict().items()}
        self.optimizers = make_optimizers(self.codec, config.optimizer, config.learning_rate)
        self.parallel, *self.prepared = self.fabric.setup(self.codec, *self.optimizers)
        self.step = 0

    def resume(self) -> None:
        """Go on from the state in the output folder; TrainingError if it belongs to another config."""
        saved, step, tensors = checkpoint.load_state(self.out)
        network, history = checkpoint.read_config(self.out)
        if network != self.network:
            raise TrainingError(f"{self.out} holds another network: {_differing(network, self.network)} differ")
        if saved != self.config:
            raise TrainingError(f"{self.out} was trained with other settings: {_differing(saved, self.config)} differ")
        self.codec.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        for name in self.average:
            self.average[name] = tensors["average." + name].to(self.device)
        restore_optimizers(self.optimizers, tensors)
        self.history = history[:-1]
        self.step = step

    def save(self) -> None:
        """Write the averaged weights and the state to go on with (the first process only)."""
        if not self.fabric.is_global_zero:
            return
        stage = dataclasses.asdict(self.config) | {"finished_steps": self.step}
        checkpoint.save_weights(self.out, self.network, self.average, [*self.history, stage])
        tensors = {f"model.{k}": v for k, v in self.codec.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        checkpoint.save_state(self.out, self.config, self.step, tensors | optimizer_tensors(self.optimizers))

    def train_step(self) -> Loss:
        """One optimiser step; returns the detached loss terms. TrainingError names a step whose loss is not finite."""
        config = self.config
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        batch = draw_batch(config, self.source, self.step, rank, processes)
        x, level, preference = (t.to(self.device, non_blocking=True) for t in batch)
        x = x.contiguous(memory_format=torch.channels_last)
        torch.manual_seed((config.seed * 1_000_003 + self.step) * processes + rank)
        set_learning_rate(self.optimizers, config.learning_rate_at(self.step))
        coded = self.parallel(x, level, preference, config.stage == "semantic")
        with self.fabric.autocast():
            loss = training_loss(config, coded, x, level, preference, self.teacher)
        if not math.isfinite(loss.total.item()):
            values = {name: round(term.item(), 4) for name, term in loss.terms.items()}
            raise TrainingError(f"loss is not finite at step {self.step}: {values}, levels {level.tolist()}")
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss.total)
        torch.nn.utils.clip_grad_norm_(self.codec.parameters(), config.gradient_clip)
        for optimizer in self.prepared:
            optimizer.step()
        self._update_average()
        self.step += 1
        return loss

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        now = self.codec.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [now[name] for name in self.average], 1 - decay)

    def averaged_codec(self) -> Codec:
        """A copy of the network with the averaged weights, in evaluation mode."""
        codec: Codec = Codec(self.network).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        codec.load_state_dict(self.average)
        return codec.eval()


def fit(
    trainer: Trainer,
    *,
    validation: str | Path | None = None,
    validate_every: int = 1000,
    save_every: float = 180.0,
    report: Callable[[str], None] = tqdm.write,
) -> None:
    """Train to the last step of the config: progress bar with images/s, a line of mean losses per 100 steps,
    validation bpp and PSNR every `validate_every` steps, a checkpoint at least every `save_every` seconds and at the end."""
    config = trainer.config
    first = trainer.fabric.is_global_zero
    pictures = [read_image(path, 768) for path in find_images(validation)[:8]] if validation and first else []
    bar = tqdm(
        total=config.steps, initial=trainer.step, unit="step", dynamic_ncols=True, disable=None if first else True
    )
    sums: dict[str, float] = {}
    since, images, summed, saved = time.monotonic(), 0, 0, time.monotonic()
    while trainer.step < config.steps:
        loss = trainer.train_step()
        bar.update()
        images += config.shape_at(trainer.step - 1)[0]
        for name, term in loss.terms.items():
            sums[name] = sums.get(name, 0.0) + term.item()
        summed += 1
        if trainer.step % 100 == 0 and first:
            rate = images / (time.monotonic() - since)
            text = " ".join(f"{name} {value / summed:.4f}" for name, value in sums.items())
            report(
                f"step {trainer.step}/{config.steps} {text} lr {config.learning_rate_at(trainer.step - 1):.1e} {rate:.1f} images/s"
            )
            bar.set_postfix_str(f"{rate:.1f} images/s")
            sums, summed, since, images = {}, 0, time.monotonic(), 0
        if pictures and (trainer.step % validate_every == 0 or trainer.step == config.steps):
            points = evaluate(trainer.averaged_codec(), pictures, VALIDATION_LEVELS)
            report("validation " + ", ".join(f"q{p.level} {p.bpp:.4f} bpp {p.psnr:.3f} dB" for p in points))
            since, images = time.monotonic(), 0
        if time.monotonic() - saved > save_every or trainer.step == config.steps:
            trainer.save()
            saved = time.monotonic()
    bar.close()
