"""Training speed, as the command itself reports it: `python -m benchmarks.training --data photos`.

One process held to one core, then two data-parallel ones held to two. Crops of 256 pixels; the first line of a run, which reads
the pictures, does not count. First it says what would be possible if a step of stage `rate_distortion` were nothing but matrix products,
and those as fast as the fastest that this core does. Options that are not listed here go to `ugicm-train fit`: `--compile`, `--stage ...`.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .config import DEFAULT_DATA
from .errors import BenchmarkError
from .machine import held_to, usable_cores

SIDE = 256
PRODUCTS = ((8192, 160, 192), (8192, 640, 192), (4096, 1024, 1024))
"""Matrix products (rows, inner, columns): two as in the nano preset with batches of 8, and one that favours the processor."""


def multiplications(preset: str) -> float:
    """Multiply-accumulates of a training step per crop: the forward pass, and twice that for both gradients."""
    import torch

    from ugicm_train.config import network_preset
    from ugicm_train.describe import kmac
    from ugicm_train.model.build import build

    codec = build(network_preset(preset)).train()
    with torch.no_grad():
        forward = kmac(lambda: codec(torch.rand(1, 3, SIDE, SIDE), torch.tensor([32]), torch.zeros(1)), SIDE)
    return 3 * forward * 1000 * SIDE**2


def product_speed(repeats: int = 20) -> float:
    """Multiply-accumulates per second of the fastest bfloat16 product of `PRODUCTS` on one core."""
    import torch

    fastest = 0.0
    with held_to(1):
        for rows, inner, columns in PRODUCTS:
            a, b = (torch.randn(shape, dtype=torch.bfloat16) for shape in ((rows, inner), (inner, columns)))
            for _ in range(repeats):
                start = time.perf_counter()
                torch.mm(a, b)
                fastest = max(fastest, rows * inner * columns / (time.perf_counter() - start))
    return fastest


def speeds(output: str) -> list[float]:
    """The images/s of every line but the first; BenchmarkError if there is none."""
    found = [float(value) for value in re.findall(r"^step .* ([\d.]+) images/s", output, re.MULTILINE)][1:]
    if not found:
        raise BenchmarkError("training printed no speed beyond its first line; give more --steps")
    return found


def train(processes: int, words: Sequence[str]) -> list[float]:
    """Speeds of `ugicm-train fit` with so many processes, one core each; BenchmarkError says what it printed if it fails."""
    command = [sys.executable, "-m", "ugicm_train.cli", "fit", *words, "--processes", str(processes), "--threads", "1"]
    with tempfile.TemporaryDirectory() as folder, held_to(processes):
        done = subprocess.run(
            [*command, "--out", folder],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    if done.returncode:
        raise BenchmarkError(f"training failed: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    return speeds(done.stdout + done.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print images/s per number of processes, and their quotient; returns the exit code."""
    from ugicm_train.config import PRESET_NAMES

    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA / "train" / "photos", help="folder with images")
    parser.add_argument("--preset", choices=PRESET_NAMES, default="nano", help="network (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="crops per process and step")
    parser.add_argument("--steps", type=int, default=300, help="200 or more: there is a line every 100")
    options, more = parser.parse_known_args(arguments)
    first = 0.0
    work, reach = multiplications(options.preset), product_speed()
    print(f"a crop takes {work / 1e9:.2f} GMAC, matrix products do {reach / 1e9:.0f} GMAC/s on a core:", end=" ")
    print(f"{reach / work:.1f} crops/s if there were nothing else", flush=True)
    try:
        for processes in range(1, min(2, usable_cores()) + 1):
            batch = str(options.batch * processes)
            words = ["--data", str(options.data), "--preset", options.preset, "--steps", str(options.steps), *more]
            words += ["--crop", str(SIDE), "--batch", batch, "--late-crop", str(SIDE), "--late-batch", batch]
            speed = statistics.median(train(processes, words))
            first = first or speed
            print(f"{processes} of one thread: {speed:.1f} crops/s, {speed / first:.2f} times one", flush=True)
    except BenchmarkError as error:
        print(f"benchmarks.training: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
