"""What a process sees in a step: a pure function of seed, step and rank, drawn ahead by threads while the network trains."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ugicm_train.config import QUALITY_LEVELS, TrainConfig
from ugicm_train.data import CropSource
from ugicm_train.instances import InstanceSource, pick_box


@dataclass
class Batch:
    """Crops x (N,3,S,S) uint8 or float in [0,1], level (N,) int64, preference (N,), boxes (N,4) of one object in each crop as
    x0, y0, x1, y1 in pixels (all 0 where there is none), and the crops' files."""

    x: Tensor
    level: Tensor
    preference: Tensor
    boxes: Tensor
    names: list[str]

    def parts(self, count: int) -> Iterator[Batch]:
        """`count` micro-batches of equal size."""
        size = len(self.names) // count
        for first in range(0, len(self.names), size):
            own = slice(first, first + size)
            yield Batch(self.x[own], self.level[own], self.preference[own], self.boxes[own], self.names[own])

    def to(self, device: torch.device) -> Batch:
        """The batch on a device, x as float in [0,1] with channels last."""
        x, level, preference = (t.to(device, non_blocking=True) for t in (self.x, self.level, self.preference))
        x = x.float().div_(255).contiguous(memory_format=torch.channels_last)
        return Batch(x, level, preference, self.boxes, self.names)

    def pinned(self) -> Batch:
        """The batch in memory that a GPU can fetch by itself."""
        return Batch(self.x.pin_memory(), self.level.pin_memory(), self.preference.pin_memory(), self.boxes, self.names)


def draw_batch(
    config: TrainConfig,
    source: CropSource,
    step: int,
    rank: int = 0,
    processes: int = 1,
    instances: InstanceSource | None = None,
) -> Batch:
    """The share of one process in a step's batch. Preferences are stratified: every batch has its part of both ends."""
    rng = np.random.default_rng((config.seed, step, rank))
    count, side = config.shape_at(step)
    if count % (processes * config.accumulate):
        raise ValueError(
            f"a batch of {count} crops cannot be shared by {processes} processes with {config.accumulate} micro-batches; "
            "choose a multiple"
        )
    count //= processes
    x, places = source.draw(rng, count, side)
    level = torch.from_numpy(rng.integers(QUALITY_LEVELS, size=count))
    share = rng.permutation((np.arange(count) + rng.random(count)) / count)
    between = rng.random(count)
    preference = np.where(share > 1 - config.rules.machine_share, 1.0, between)
    preference = np.where(share < config.rules.human_share, 0.0, preference).astype(np.float32)
    boxes = np.zeros((count, 4), np.float32)
    if instances is not None:
        boxes = np.stack([pick_box(rng, instances.boxes(place.path), place, side) for place in places])
    names = [str(place.path) for place in places]
    return Batch(x, level, torch.from_numpy(preference), torch.from_numpy(boxes), names)


class BatchStream:
    """The batches of a stage from a step on, drawn by `workers` threads up to `workers` steps ahead."""

    def __init__(
        self,
        config: TrainConfig,
        source: CropSource,
        *,
        rank: int = 0,
        processes: int = 1,
        workers: int = 1,
        pin: bool = False,
        instances: InstanceSource | None = None,
    ) -> None:
        self.config, self.source, self.instances = config, source, instances
        self.rank, self.processes, self.workers, self.pin = rank, processes, workers, pin
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
        self._ahead: dict[int, Future[Batch]] = {}

    def at(self, step: int) -> Batch:
        """The batch of `step`; whatever was drawn ahead for earlier steps is forgotten."""
        self._ahead = {number: future for number, future in self._ahead.items() if number >= step}
        for number in range(step, min(step + self.workers + 1, self.config.steps)):
            if number not in self._ahead:
                self._ahead[number] = self._pool.submit(self._draw, number)
        if step not in self._ahead:
            return self._draw(step)
        return self._ahead.pop(step).result()

    def close(self) -> None:
        """Stop the threads; what they drew ahead is forgotten."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _draw(self, step: int) -> Batch:
        batch = draw_batch(self.config, self.source, step, self.rank, self.processes, self.instances)
        return batch.pinned() if self.pin else batch
