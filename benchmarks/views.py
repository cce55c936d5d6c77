"""What two views of one stream cost beside one: `python -m benchmarks.views --engine onnxruntime`. Both take turns in one run."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ugicm import Codec, UgicmError

from .datasets import read_rgb
from .errors import BenchmarkError

PHOTO = Path(__file__).parents[1] / "examples" / "kodim23.png"
PREFERENCES = (0.0, 1.0)


def times(codec: Codec, stream: bytes, rounds: int) -> list[tuple[float, float]]:
    """Seconds of decoding one view and both, `rounds` times after a first one that does not count."""
    found = []
    for _ in range(rounds + 1):
        row = []
        for count in (1, 2):
            start = time.perf_counter()
            codec.decode_views(stream, PREFERENCES[:count])
            row.append(time.perf_counter() - start)
        found.append((row[0], row[1]))
    return found[1:]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both medians and the median of the rounds' quotients; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.views", description=__doc__)
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)
    try:
        if options.rounds < 1:
            raise BenchmarkError(f"--rounds is {options.rounds}, expected at least 1")
        codec = Codec.open(engine=options.engine, threads=options.threads)
        found = times(codec, codec.encode(read_rgb(options.photo)), options.rounds)
    except (BenchmarkError, UgicmError) as error:
        print(f"benchmarks.views: {error}", file=sys.stderr)
        return 1
    one, two = (1000 * statistics.median(column) for column in zip(*found))
    ratio = statistics.median(both / single for single, both in found)
    print(f"{options.engine}, {options.threads} threads: one view {one:.0f} ms, two {two:.0f} ms, {ratio:.2f} times as long")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
