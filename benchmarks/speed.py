"""Suite "speed": whole calls, pixels to bytes and back, all codecs taking turns in one process; and the memory they need.

A ratio compares two codecs within the same round, so a machine that slows down for a while slows both. The processor
time of each call is kept beside the wall clock: where the two part on one thread, other programs were running.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import datasets, memory, metrics
from .codecs import ImageCodec
from .config import Config
from .datasets import Dataset
from .machine import can_tell_memory, held_to, processor, usable_cores
from .neural import CompressAiCodec
from .ours import UgicmCodec
from .progress import Progress
from .roster import open_codec
from .scenes import OUR_QUALITY, PHOTO, pictures, quality_for
from .store import Store

QUICK_ROUNDS = 5
_SAMPLES = ("bpp", "encoding_time", "decoding_time", "encoding_cpu_time", "decoding_cpu_time")


@dataclass(frozen=True)
class Plan:
    """One table: all codecs at one picture size on so many threads."""

    size: tuple[int, int]  # width, height
    threads: int
    rounds: int
    neural_rounds: int  # of CompressAI's models, which take a second or more per megapixel
    models: tuple[str, ...] = ("mbt2018_mean",)

    @property
    def name(self) -> str:
        """For files and progress."""
        return f"{self.size[0]}x{self.size[1]}-{self.threads}t"


# cheng2020_anchor decodes one position after the other, half a minute per megapixel: it is timed once, where it is quickest.
PLANS = (
    Plan(PHOTO, 1, 21, 3, ("mbt2018_mean", "cheng2020_anchor")),
    Plan(PHOTO, 2, 21, 3),
    Plan((1920, 1080), 1, 7, 3),
    Plan((1920, 1080), 2, 7, 3),
    Plan((4096, 3072), 1, 3, 1),
    Plan((4096, 3072), 2, 3, 1),
)
QUICK_PLANS = (Plan(PHOTO, 1, QUICK_ROUNDS, 3),)


def run(config: Config, store: Store) -> None:
    """Time every plan that has no fresh results, then measure memory the same way."""
    dataset = datasets.kodak(config.data)
    plans = QUICK_PLANS if config.quick else PLANS
    for plan in plans:
        if plan.threads > usable_cores():
            print(f"speed {plan.name}: LEFT OUT, it needs {plan.threads} cores and this process may use {usable_cores()}")
            continue
        with held_to(plan.threads):
            _run_plan(config, store, dataset, plan)
    if can_tell_memory():
        with held_to(1):
            memory.run(config, store, dataset, list(dict.fromkeys((plan.size, plan.models) for plan in plans if plan.threads == 1)))
    else:
        print("memory: LEFT OUT, this system does not tell a process's peak (Linux does)")


def _run_plan(config: Config, store: Store, dataset: Dataset, plan: Plan) -> None:
    """Measure all codecs of a plan together, unless all have fresh results."""
    codecs = [open_codec(name, config, plan.threads) for name in config.codecs]
    codecs += [CompressAiCodec(model) for model in plan.models]
    common = {
        **dataset.identity(),
        "size": list(plan.size),
        "threads": plan.threads,
        "rounds": plan.rounds,
        "neural_rounds": plan.neural_rounds,
        "processor": processor(),
        "rivals": [codec.name for codec in codecs],
    }
    settings = {codec.name: {**common, **codec.settings()} for codec in codecs}
    if all(store.is_fresh(_key(plan, name), wanted) for name, wanted in settings.items()):
        print(f"speed {plan.name}: already measured")
        return
    images = pictures(dataset, plan.size)
    qualities = {codec.name: [quality_for(codec, codecs, image) for image in images] for codec in codecs}
    samples = measure(codecs, images, qualities, plan)
    for codec in codecs:
        taken = samples[codec.name]
        store.save(
            _key(plan, codec.name),
            name=codec.name,
            suite="speed",
            settings=settings[codec.name],
            samples=taken,
            description=f"{codec.settings()['codec']}; whole calls, {plan.name}, median of {len(taken['bpp'])}",
            results={name: [_middle(name, values)] for name, values in taken.items()},
            stages=_stages(codec, images[0], plan) if isinstance(codec, UgicmCodec) else {},
            qualities=qualities[codec.name],
        )


def measure(
    codecs: Sequence[ImageCodec], images: Sequence[np.ndarray], qualities: dict[str, list[int]], plan: Plan
) -> dict[str, dict[str, list[float]]]:
    """Samples by codec, one per round: bpp, and in seconds encoding_time, decoding_time and the same of processor time.

    Every codec takes its turn in every round, on the same picture; one round before the first is not counted.
    CompressAI's models take part in the first rounds alone, and not in the uncounted one if they have a single round.
    """
    samples: dict[str, dict[str, list[float]]] = {codec.name: {name: [] for name in _SAMPLES} for codec in codecs}
    turns = [(number, codec) for number in range(-1, plan.rounds) for codec in codecs if _takes_part(codec, number, plan)]
    with Progress(f"speed {plan.name}", len(turns)) as progress:
        for number, codec in turns:
            which = number % len(images)
            row = _time(codec, images[which], qualities[codec.name][which])
            progress.step()
            if number >= 0:
                for values, value in zip(samples[codec.name].values(), row):
                    values.append(float(f"{value:.6g}"))
    return samples


def _takes_part(codec: ImageCodec, number: int, plan: Plan) -> bool:
    """Whether a codec has its turn in round `number`, -1 being the uncounted one."""
    if not isinstance(codec, CompressAiCodec):
        return True
    return (0 if plan.neural_rounds == 1 else -1) <= number < plan.neural_rounds


def _middle(name: str, values: list[float]) -> float:
    """The mean of a rate, since the rounds use several pictures, and the median of a time."""
    return statistics.fmean(values) if name == "bpp" else statistics.median(values)


def _time(codec: ImageCodec, image: np.ndarray, quality: float) -> tuple[float, ...]:
    """One sample, in the order of `_SAMPLES`."""
    clocks = [(time.perf_counter(), time.process_time())]
    data = codec.encode(image, quality)
    clocks.append((time.perf_counter(), time.process_time()))
    codec.decode(data, codec.views[0])
    clocks.append((time.perf_counter(), time.process_time()))
    (wall_encode, cpu_encode), (wall_decode, cpu_decode) = np.diff(clocks, axis=0).tolist()
    return metrics.bits_per_pixel(data, image), wall_encode, wall_decode, cpu_encode, cpu_decode


def _stages(codec: UgicmCodec, image: np.ndarray, plan: Plan) -> dict[str, Any]:
    """Milliseconds of each stage of ours, from the runtime's own clock."""
    from ugicm.bench import measure as measure_stages

    facts = measure_stages(codec.codec, image, OUR_QUALITY, min(QUICK_ROUNDS, plan.rounds))
    return {key: facts[key] for key in ("encode_ms", "decode_ms")}


def _key(plan: Plan, name: str) -> str:
    return f"speed-{plan.name}-{name}"
