"""Suite "speed": whole calls, pixels to bytes and back, on one thread, all codecs taking turns in one process.

A ratio compares two codecs within the same round, so a machine that slows down for a while slows both. The processor
time of each call is kept beside the wall clock: where the two part, other programs were running.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from . import datasets, metrics
from .codecs import ImageCodec, PillowCodec
from .config import Config
from .datasets import read_rgb
from .errors import BenchmarkError
from .neural import CompressAiCodec
from .ours import UgicmCodec
from .progress import Progress
from .roster import contestants
from .store import Store

SIZE = (768, 512)
ROUNDS, QUICK_ROUNDS = 21, 5
OUR_QUALITY = 50
_TARGET_BPP = 0.5  # rate of the classic codecs where ours takes no part
_PICTURES = 3
_SAMPLES = ("bpp", "encoding_time", "decoding_time", "encoding_cpu_time", "decoding_cpu_time")


def run(config: Config, store: Store) -> None:
    """Measure all codecs together, unless all have fresh results."""
    dataset = datasets.kodak(config.data)
    rounds = QUICK_ROUNDS if config.quick else ROUNDS
    with one_thread():
        codecs = [*contestants(config, "speed"), CompressAiCodec()]
        common = {
            **dataset.identity(),
            "size": list(SIZE),
            "threads": 1,
            "rounds": rounds,
            "processor": processor(),
        }
        settings = {
            codec.name: {**common, "rivals": [one.name for one in codecs], **codec.settings()} for codec in codecs
        }
        if all(store.is_fresh(f"speed-{name}", wanted) for name, wanted in settings.items()):
            print("speed: already measured")
            return
        pictures = _pictures(dataset)
        qualities = {codec.name: [quality_for(codec, codecs, image) for image in pictures] for codec in codecs}
        samples = measure(codecs, pictures, qualities, rounds)
        stages = {codec.name: _stages(codec, pictures[0]) for codec in codecs if isinstance(codec, UgicmCodec)}
    for codec in codecs:
        taken = samples[codec.name]
        store.save(
            f"speed-{codec.name}",
            name=codec.name,
            suite="speed",
            settings=settings[codec.name],
            samples=taken,
            description=f"{codec.settings()['codec']}; whole calls at {SIZE[0]}x{SIZE[1]}, 1 thread, median of {rounds}",
            results={name: [_middle(name, values)] for name, values in taken.items()},
            stages=stages.get(codec.name, {}),
            qualities=qualities[codec.name],
        )


def measure(
    codecs: Sequence[ImageCodec], pictures: Sequence[np.ndarray], qualities: dict[str, list[int]], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Samples by codec, one per round: bpp, and in seconds encoding_time, decoding_time and the same of processor time.

    Every codec takes its turn in every round, on the same picture; one round before the first is not counted.
    """
    samples: dict[str, dict[str, list[float]]] = {codec.name: {name: [] for name in _SAMPLES} for codec in codecs}
    with Progress("speed", (rounds + 1) * len(codecs)) as progress:
        for number in range(-1, rounds):
            which = number % len(pictures)
            for codec in codecs:
                row = _time(codec, pictures[which], qualities[codec.name][which])
                progress.step()
                if number >= 0:
                    for values, value in zip(samples[codec.name].values(), row):
                        values.append(float(f"{value:.6g}"))
    return samples


def quality_for(codec: ImageCodec, codecs: Sequence[ImageCodec], image: np.ndarray) -> int:
    """The quality to time: that of ours, and for the classic codecs the one whose file is nearest to ours in size."""
    if not isinstance(codec, PillowCodec):
        return OUR_QUALITY
    ours = [one for one in codecs if isinstance(one, UgicmCodec)]
    target = len(ours[0].encode(image, OUR_QUALITY)) if ours else int(_TARGET_BPP * image.shape[0] * image.shape[1] / 8)
    return nearest_quality(codec, image, target)


def nearest_quality(codec: ImageCodec, image: np.ndarray, target: int) -> int:
    """The quality 1..100 whose file is nearest to `target` bytes, found by bisection: sizes rise with quality."""
    low, high = 1, 100
    sizes: dict[int, int] = {}
    while low <= high:
        middle = (low + high) // 2
        sizes[middle] = len(codec.encode(image, middle))
        low, high = (middle + 1, high) if sizes[middle] < target else (low, middle - 1)
    return min(sizes, key=lambda quality: abs(sizes[quality] - target))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to one thread and, where the system can, the whole process to one core: no codec escapes that."""
    import torch

    threads = torch.get_num_threads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    torch.set_num_threads(1)
    if cores:
        os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if cores:
            os.sched_setaffinity(0, cores)


def processor() -> str:
    """The name of this machine's processor."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _middle(name: str, values: list[float]) -> float:
    """The mean of a rate, since the rounds use several pictures, and the median of a time."""
    return statistics.fmean(values) if name == "bpp" else statistics.median(values)


def _pictures(dataset: datasets.Dataset) -> list[np.ndarray]:
    """The first pictures of the right size."""
    width, height = SIZE
    found: list[np.ndarray] = []
    for file in dataset.files:
        image = read_rgb(file)
        if image.shape == (height, width, 3) and len(found) < _PICTURES:
            found.append(image)
    if not found:
        raise BenchmarkError(f"{dataset.name} has no picture of {width}x{height}, the size that is timed")
    return found


def _time(codec: ImageCodec, image: np.ndarray, quality: float) -> tuple[float, ...]:
    """One sample, in the order of `_SAMPLES`."""
    clocks = [(time.perf_counter(), time.process_time())]
    data = codec.encode(image, quality)
    clocks.append((time.perf_counter(), time.process_time()))
    codec.decode(data, codec.views[0])
    clocks.append((time.perf_counter(), time.process_time()))
    (wall_encode, cpu_encode), (wall_decode, cpu_decode) = np.diff(clocks, axis=0).tolist()
    return metrics.bits_per_pixel(data, image), wall_encode, wall_decode, cpu_encode, cpu_decode


def _stages(codec: UgicmCodec, image: np.ndarray) -> dict[str, Any]:
    """Milliseconds of each stage of ours, from the runtime's own clock."""
    from ugicm.bench import measure as measure_stages

    facts = measure_stages(codec.codec, image, OUR_QUALITY, QUICK_ROUNDS)
    return {key: facts[key] for key in ("encode_ms", "decode_ms")}
