"""Where the time of encoding and decoding goes: medians over runs, split by stage."""

import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import __version__
from .codec import VIEWS, Codec

STAGES = ("engine", "scale_network", "entropy_coding")


class Stopwatch:
    """A clock (see `entropy.Clock`) that adds up the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to stage `name`."""
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


def measure(codec: Codec, array: np.ndarray, quality: float, runs: int) -> dict[str, Any]:
    """Time `runs` encodings and decodings (human view) of a (H, W, 3) uint8 array, after one of each to warm up.

    Times are medians in milliseconds: total, each stage, and "other" (checks, padding, copies, the stream itself).
    """
    stream = codec.encode(array, quality)
    codec.decode(stream)
    encode = _medians(lambda clock: codec.encode_timed(array, quality, clock), runs)
    decode = _medians(lambda clock: codec.decode_timed(stream, VIEWS["human"], clock), runs)
    height, width = array.shape[:2]
    info = codec.info
    return {
        "model": info["name"],
        "fingerprint": info["fingerprint"],
        "width": width,
        "height": height,
        "quality": quality,
        "bytes": len(stream),
        "bpp": round(len(stream) * 8 / (width * height), 4),
        "threads": info["threads"],
        "engine": info["engine"],
        "variant": info["variant"],
        "provider": info["providers"][0] if info["engine"] == "onnxruntime" else None,
        "runs": runs,
        "encode_ms": encode,
        "decode_ms": decode,
        "ugicm": __version__,
        "machine": platform.machine(),
    }


def as_text(facts: dict[str, Any]) -> str:
    """A small table for people."""
    provider = f", {facts['provider']}" if facts["provider"] else ""
    head = (
        f"{facts['model']} on {facts['width']}x{facts['height']} ({facts['image']}), quality {facts['quality']:g}, "
        f"{facts['bytes']} bytes, {facts['bpp']} bpp\n"
        f"{facts['threads']} thread(s), {facts['engine']} {facts['variant']}{provider}, median of {facts['runs']} runs, milliseconds"
    )
    rows = [
        f"{name.replace('_', ' '):<16}{facts['encode_ms'][name]:>10.2f}{ms:>10.2f}"
        for name, ms in facts["decode_ms"].items()
    ]
    return "\n".join([head, f"{'':<16}{'encode':>10}{'decode':>10}", *rows])


def draw_picture(width: int = 768, height: int = 512) -> np.ndarray:
    """A fixed drawn picture, (height, width, 3) uint8: gradients, rings, edges and a little noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    rings = np.sin(np.hypot(x - width / 3, y - height / 2) ** 1.3 / 40)
    tiles = ((x // 48 + y // 32) % 3 - 1) * (y > height / 2)
    noise = np.random.default_rng(0).normal(0, 4, (height, width, 3))
    base = np.stack([x / width, y / height, 1 - x / width], axis=2)
    picture = 40 + 140 * base + 30 * rings[..., None] + 20 * tiles[..., None] + noise
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _medians(work: Callable[[Stopwatch], object], runs: int) -> dict[str, float]:
    samples: dict[str, list[float]] = {name: [] for name in ("total", *STAGES, "other")}
    for _ in range(runs):
        clock = Stopwatch()
        start = time.perf_counter()
        work(clock)
        total = time.perf_counter() - start
        parts = {"total": total, **clock.seconds, "other": total - sum(clock.seconds.values())}
        for name, seconds in parts.items():
            samples[name].append(seconds * 1000)
    return {name: round(statistics.median(values), 3) for name, values in samples.items()}
