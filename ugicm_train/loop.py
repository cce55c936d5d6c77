"""The training loop: one stage from its config to a checkpoint, resumable exactly at any saved step."""

from __future__ import annotations

import dataclasses
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from ugicm_train import checkpoint
from ugicm_train.balance import make_balance
from ugicm_train.batches import Batch, BatchStream
from ugicm_train.config import AnyNetwork, TrainConfig
from ugicm_train.data import CropSource
from ugicm_train.instances import InstanceSource
from ugicm_train.integer import check_integers
from ugicm_train.losses import Loss, training_loss
from ugicm_train.model.build import AnyCodec, as_codec, build
from ugicm_train.model.codec import Codec
from ugicm_train.model.klt import start_from_klt
from ugicm_train.optimizers import make_optimizers, optimizer_tensors, restore_optimizers, set_learning_rate
from ugicm_train.teachers import Teacher

log = logging.getLogger(__name__)

PLACES = ("teacher", "instances")
"""Settings that say where something lies; a resumed run may find it elsewhere."""
INTEGER_CROPS = 16
"""Crops of the comparison with the integer code."""
KLT_PATCHES, KLT_SIDE = 60000, 16


class TrainingError(RuntimeError):
    """The run cannot go on (a loss that is not a number, or a state that does not fit the request)."""


def make_fabric(precision: str, device: str = "cpu", processes: int = 1, nodes: int = 1) -> Fabric:
    """Fabric for `processes` devices of kind `device` (cpu, cuda, ...) on each of `nodes` machines; data parallel when there
    is more than one in all. `precision` as in TrainConfig."""
    kind: Any = "bf16-mixed" if precision == "bf16" else "32-true"
    strategy = "ddp" if processes * nodes > 1 else "auto"
    return Fabric(accelerator=device, devices=processes, num_nodes=nodes, strategy=strategy, precision=kind)


def _differing(saved: Any, wanted: Any) -> str:
    """Names of the fields in which two config dataclasses differ."""
    names = (field.name for field in dataclasses.fields(saved))
    return ", ".join(name for name in names if getattr(saved, name) != getattr(wanted, name))


def _trained(codec: AnyCodec, config: TrainConfig) -> None:
    """Freeze what the stage leaves alone."""
    part = config.rules.trains
    if part == "all":
        return
    codec.requires_grad_(False)
    if part == "preference":
        chosen = codec.synthesis.preference_parameters()
    else:
        chosen = list(as_codec(codec, f"stage {config.stage}").scale_network.parameters())
    for parameter in chosen:
        parameter.requires_grad_(True)


def _mean_terms(losses: list[Loss]) -> dict[str, Tensor]:
    """The terms of a step, means over its micro-batches."""
    return {name: torch.stack([loss.terms[name].detach() for loss in losses]).mean() for name in losses[0].terms}


class Trainer:
    """A stage in progress: network, averaged weights, optimisers and the step counter."""

    def __init__(
        self,
        config: TrainConfig,
        network: AnyNetwork,
        source: CropSource,
        out: Path,
        *,
        start: dict[str, Tensor] | None = None,
        history: list[dict[str, Any]] | None = None,
        teacher: Teacher | None = None,
        instances: InstanceSource | None = None,
        fabric: Fabric | None = None,
        workers: int = 1,
    ) -> None:
        """`start` are weights to begin with (the KLT of the data if absent); `history` the stages they went through.

        `fabric` is a launched Fabric; absent, one process on the CPU. `workers` threads draw batches ahead.
        """
        if config.needs_teacher != (teacher is not None):
            need = "needs a teacher: give" if config.needs_teacher else "has no machine objective: leave out"
            raise ValueError(f"stage {config.stage} {need} --teacher FILE")
        if bool(config.instances) != (instances is not None):
            raise ValueError(f"the configuration names instances {config.instances!r}, the trainer got {instances!r}")
        self.config, self.network, self.source, self.out = config, network, source, out
        self.history = history or []
        self.fabric = fabric or make_fabric(config.precision)
        self.device = self.fabric.device
        self.teacher = teacher.to(self.device) if isinstance(teacher, torch.nn.Module) else teacher
        torch.manual_seed(config.seed)
        codec = build(network)
        if start is not None:
            codec.load_state_dict(start)
        elif isinstance(codec, Codec):
            rng = np.random.default_rng(config.seed)
            start_from_klt(codec, source.crops(rng, KLT_PATCHES, KLT_SIDE))
        self.codec: AnyCodec = codec.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.codec.train(not config.rules.exact_rate)
        _trained(self.codec, config)
        self.average = {name: value.detach().clone() for name, value in self.codec.state_dict().items()}
        self.optimizers = make_optimizers(self.codec, config.optimizer, config.learning_rate)
        self.balance = make_balance(config, self.codec.parameters(), self.fabric)
        compiled: Any = torch.compile(self.codec) if config.compile else self.codec
        self.bare: torch.nn.Module = compiled
        self.parallel, *self.prepared = self.fabric.setup(self.bare, *self.optimizers)
        self.batches = BatchStream(
            config,
            source,
            rank=self.fabric.global_rank,
            processes=self.fabric.world_size,
            workers=workers,
            pin=self.device.type == "cuda",
            instances=instances,
        )
        self.step = 0

    def resume(self) -> None:
        """Go on from the state in the output folder; TrainingError if it belongs to another config."""
        saved, step, tensors = checkpoint.load_state(self.out)
        network, history = checkpoint.read_config(self.out)
        if network != self.network:
            raise TrainingError(f"{self.out} holds another network: {_differing(network, self.network)} differ")
        moved = {name: getattr(self.config, name) for name in PLACES}
        if dataclasses.replace(saved, **moved) != self.config:
            raise TrainingError(f"{self.out} was trained with other settings: {_differing(saved, self.config)} differ")
        for name, value in moved.items():
            if getattr(saved, name) not in ("", value):
                log.warning("%s was %s so far and is %s from step %d on", name, getattr(saved, name), value, step)
        self.codec.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        for name in self.average:
            self.average[name] = tensors["average." + name].to(self.device)
        restore_optimizers(self.optimizers, tensors)
        self.balance.load(tensors)
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
        tensors |= optimizer_tensors(self.optimizers) | self.balance.state()
        checkpoint.save_state(self.out, self.config, self.step, tensors)

    def train_step(self) -> dict[str, Tensor]:
        """One optimiser step; returns the mean loss terms, `loss` first. TrainingError names a step whose loss is not finite."""
        config = self.config
        whole = self.batches.at(self.step)
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        torch.manual_seed((config.seed * 1_000_003 + self.step) * processes + rank)
        set_learning_rate(self.optimizers, config.learning_rate_at(self.step))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        losses = []
        for number, part in enumerate(whole.parts(config.accumulate), start=1):
            with self.fabric.no_backward_sync(self.parallel, enabled=number < config.accumulate):
                losses.append(self._loss(part.to(self.device)))
                self._check_finite(losses[-1], part)
                self.balance.backward(losses[-1], 1 / config.accumulate)
        self.balance.finish()
        torch.nn.utils.clip_grad_norm_(self.codec.parameters(), config.gradient_clip)
        for optimizer in self.prepared:
            optimizer.step()
        self._update_average()
        self.step += 1
        return _mean_terms(losses)

    def _loss(self, batch: Batch) -> Loss:
        # A balance that takes gradients apart needs the bare network: Fabric's wrapper allows its own backward pass only.
        network = self.bare if self.balance.own_reduction else self.parallel
        with self.fabric.autocast():
            coded = network(batch.x, batch.level, batch.preference, self.config.rules.hold_human)
            return training_loss(
                self.config, coded, batch.x, batch.level, batch.preference, self.teacher, batch.boxes
            )

    def _check_finite(self, loss: Loss, batch: Batch) -> None:
        """TrainingError in every process when the loss of one is not finite; that one names what it saw."""
        if not math.isfinite(loss.total.item()):
            values = {name: round(term.item(), 4) for name, term in loss.terms.items()}
            self._anywhere(True)
            raise TrainingError(
                f"loss is not finite at step {self.step}: {values}, levels {batch.level.tolist()}, "
                f"preferences {[round(p, 3) for p in batch.preference.tolist()]}, pictures {batch.names}; "
                "nothing of this step was kept, go on from the last save with a lower learning rate or without the pictures"
            )
        if self._anywhere(False):
            raise TrainingError(f"loss is not finite at step {self.step} in another process, which says more")

    def _anywhere(self, flag: bool) -> bool:
        """Whether `flag` is set in any process."""
        if self.fabric.world_size == 1:
            return flag
        total = self.fabric.all_reduce(torch.tensor(float(flag), device=self.device), reduce_op="sum")
        return bool(total > 0)  # type: ignore[operator]

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        now = self.codec.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [now[name] for name in self.average], 1 - decay)

    def averaged_codec(self) -> AnyCodec:
        """A copy of the network with the averaged weights, in evaluation mode."""
        codec: AnyCodec = build(self.network).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        codec.load_state_dict(self.average)
        return codec.eval()

    def finish(self) -> None:
        """Stop the threads; a stage of integers is compared with the integer code (IntegerMismatch)."""
        self.batches.close()
        if self.config.rules.checks_integers and self.fabric.is_global_zero:
            rng, side = np.random.default_rng(self.config.seed), self.config.shape_at(self.config.steps - 1)[1]
            pictures = self.source.crops(rng, INTEGER_CROPS, side)
            compared = check_integers(as_codec(self.averaged_codec().cpu(), "the integer check"), pictures)
            log.info("integer code and simulation agree bit for bit on %d scale indexes", compared)
