"""How far below a wanted size streams end: `python -m benchmarks.rate_control examples/kodim23.png --targets 40`.

Targets are spread evenly in the logarithm between the sizes at quality 0 and 100.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ugicm import Codec, UgicmError
from ugicm.rate import TOLERANCE

from .datasets import read_rgb
from .errors import BenchmarkError


@dataclass(frozen=True)
class Miss:
    """One target: bytes wanted, the part of them that the stream lacks, and engine passes."""

    target: int
    shortfall: float
    passes: int


def misses(codec: Codec, picture: np.ndarray, count: int) -> list[Miss]:
    """`count` targets for one picture (H, W, 3) uint8; BenchmarkError if a stream exceeds its target."""
    ends = [len(codec.encode(picture, quality)) for quality in (0, 100)]
    return [_miss(codec, picture, target) for target in np.geomspace(*ends, count).round().astype(int).tolist()]


def _miss(codec: Codec, picture: np.ndarray, target: int) -> Miss:
    passes: list[bool] = []
    stream = codec.encode_to_size(picture, target, progress=lambda done, tiles: passes.append(done == tiles))
    if len(stream) > target:
        raise BenchmarkError(f"{target} bytes were wanted, the stream has {len(stream)}")
    return Miss(target, 1 - len(stream) / target, sum(passes))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per picture; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rate_control", description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--targets", type=int, default=40, help="sizes to ask for, per photo")
    parser.add_argument("--crop", type=int, help="take only the upper left square of this side")
    parser.add_argument("--bundle", type=Path, help="our model, folder or .zip (default: the one inside ugicm)")
    options = parser.parse_args(arguments)
    try:
        if options.targets < 1:
            raise BenchmarkError(f"--targets is {options.targets}, expected at least 1")
        codec = Codec.open(options.bundle, threads=1)
        for photo in options.photos:
            picture = read_rgb(photo)[: options.crop, : options.crop]
            print(f"{photo.name} {picture.shape[1]}x{picture.shape[0]}, {_line(misses(codec, picture, options.targets))}")
    except (BenchmarkError, UgicmError) as error:
        print(f"benchmarks.rate_control: {error}", file=sys.stderr)
        return 1
    return 0


def _line(found: Sequence[Miss]) -> str:
    worst = max(found, key=lambda miss: miss.shortfall)
    return (
        f"{found[0].target} to {found[-1].target} bytes: worst {worst.shortfall:.2%} below {worst.target}, "
        f"mean {statistics.mean(m.shortfall for m in found):.2%}, "
        f"{sum(m.shortfall > TOLERANCE for m in found)} of {len(found)} beyond {TOLERANCE:.0%}; passes "
        f"{statistics.mean(m.passes for m in found):.1f}, at most {max(m.passes for m in found)}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
