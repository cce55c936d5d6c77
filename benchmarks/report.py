"""Write `docs/results.md` and its plots from the JSON: `python -m benchmarks.report`. No number in it is typed by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import report_rd, report_speed, report_tasks
from .config import DEFAULT_RESULTS, ROOT, SUITES
from .errors import BenchmarkError
from .store import Store

DEFAULT_REPORT = ROOT / "docs" / "results.md"
_WRITERS = {"rd": report_rd.lines, "tasks": report_tasks.lines, "speed": report_speed.lines}
_TITLES = {"rd": "Rate-distortion", "tasks": "Machine tasks", "speed": "Speed"}
_HEAD = """# Results

Written by `python -m benchmarks.report` from the JSON in `benchmarks/results`, which `python -m benchmarks.run` measures.
The settings of every codec, its version and the hash of the pictures are in the JSON.
"""


def sections(store: Store, suites: Sequence[str]) -> list[str]:
    """Markdown lines for the suites that have results."""
    lines: list[str] = []
    for suite in suites:
        results = store.load(suite)
        if results:
            lines += _WRITERS[suite](results)
    return lines


def write(store: Store, path: Path) -> None:
    """Write the report, and its plots into `images/` beside it; raises `BenchmarkError` if there are no results."""
    from . import plots

    text = [_HEAD]
    for suite in SUITES:
        results = store.load(suite)
        if not results:
            continue
        text.append(f"## {_TITLES[suite]}\n")
        text += [f"![{file.stem}](images/{file.name})" for file in plots.make(suite, results, path.parent / "images")]
        text += ["", *_WRITERS[suite](results)]
    if len(text) == 1:
        raise BenchmarkError(f"there are no results in '{store.folder}'; run `python -m benchmarks.run` first")
    path.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=DEFAULT_RESULTS, help="folder of JSON")
    parser.add_argument("--out", type=Path, default=DEFAULT_REPORT, help="the Markdown file")
    options = parser.parse_args(arguments)
    try:
        write(Store(options.results), options.out)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
