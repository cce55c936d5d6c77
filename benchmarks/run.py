"""Measure, print tables and write the report: `python -m benchmarks.run --suite all --report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ugicm import UgicmError

from .config import DEFAULT_DATA, DEFAULT_RESULTS, OURS, PEERS, SUITES, Config, Effort
from .errors import BenchmarkError
from .machine import usable_cores
from .store import Store


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--suite", choices=[*SUITES, "all"], default="all", help="what to measure (default: all)")
    parser.add_argument("--bundle", type=Path, help="our model, folder or .zip (default: the one inside ugicm)")
    parser.add_argument("--plain-bundle", type=Path, help="a model trained without a teacher, for rd and tasks")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder with eval/ and nets/")
    parser.add_argument("--images", type=Path, help="folder of pictures for rd (default: Kodak)")
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="where the JSON goes")
    parser.add_argument("--codecs", default=",".join((OURS, *PEERS)), help="comma-separated (default: %(default)s)")
    words = "measure ours with these encoding efforts too, in rd (default: 8) and tasks (default: 0, none); 3:1 has a guidance of 1"
    parser.add_argument("--efforts", type=Effort.parse, nargs="+", default=[], help=words)
    parser.add_argument(
        "--stride", type=int, default=1, help="use every n-th picture; results go to a folder of their own"
    )
    parser.add_argument("--threads", type=int, default=usable_cores(), help="pictures at a time in tasks (default: all cores)")
    parser.add_argument(
        "--quick", action="store_true", help="a small run that shows all works; its results go to a folder of their own"
    )
    parser.add_argument("--report", action="store_true", help="write docs/results.md and its plots as well")
    return parser


def run(suites: Sequence[str], config: Config) -> None:
    """Run suites one after the other, skipping what is already measured; raises `BenchmarkError`."""
    from . import entropy_coding, rate_distortion, speed, tasks

    store = Store(config.out)
    runners = {"rd": rate_distortion.run, "tasks": tasks.run, "speed": speed.run, "coder": entropy_coding.run}
    for suite in suites:
        runners[suite](config, store)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; returns the exit code."""
    options = parser().parse_args(arguments)
    suites = SUITES if options.suite == "all" else (options.suite,)
    config = Config(
        data=options.data,
        out=_folder(options.out, options.stride, options.quick),
        bundle=options.bundle,
        plain_bundle=options.plain_bundle,
        images=options.images,
        codecs=tuple(options.codecs.split(",")),
        efforts=tuple(options.efforts),
        stride=max(1, options.stride),
        quick=options.quick,
        threads=max(1, options.threads),
    )
    try:
        run(suites, config)
        from . import report

        store = Store(config.out)
        print("\n" + "\n".join(report.sections(store, suites)))
        if options.report:
            report.write(store, report.DEFAULT_REPORT, report.Grid(config.bundle))
    except (BenchmarkError, UgicmError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


def _folder(out: Path, stride: int, quick: bool) -> Path:
    """Where results go: those of fewer pictures must not take the place of the whole set's."""
    return out / "quick" if quick else out / f"every-{stride}" if stride > 1 else out


if __name__ == "__main__":
    sys.exit(main())
