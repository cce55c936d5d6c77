"""Write `docs/results.md`, its plots and the README's figures from the JSON: `python -m benchmarks.report`. No number is typed by hand."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import report_coder, report_memory, report_rd, report_speed, report_summary, report_tasks
from .config import DEFAULT_RESULTS, ROOT, SUITES
from .errors import BenchmarkError
from .markdown import provenance
from .picture_grid import DEFAULT_PHOTO
from .store import Store

DEFAULT_REPORT = ROOT / "docs" / "results.md"
README = ROOT / "README.md"
PARTS = {"rd": ("rd",), "tasks": ("tasks",), "speed": ("speed", "memory"), "coder": ("coder",)}  # kinds of results by suite
_WRITERS: dict[str, Any] = {
    "rd": report_rd.lines,
    "tasks": report_tasks.lines,
    "speed": report_speed.lines,
    "memory": report_memory.lines,
    "coder": report_coder.lines,
}
_TITLES = {"rd": "Rate-distortion", "tasks": "Machine tasks", "speed": "Speed and memory", "coder": "Entropy coder"}
_HEAD = """# Results

Written by `python -m benchmarks.report` from the JSON in `benchmarks/results`, which `python -m benchmarks.run` measures;
[evaluation.md](evaluation.md) tells what each number means and how to measure it again. The settings of every codec, its version and
the hash of the pictures are in the JSON.
"""


@dataclass(frozen=True)
class Grid:
    """The picture grid, which needs a model besides the JSON."""

    bundle: Path | None = None  # None is the default of the runtime
    photo: Path = DEFAULT_PHOTO


def sections(store: Store, suites: Sequence[str]) -> list[str]:
    """Markdown lines for the suites that have results."""
    return [line for suite in suites for line in _section(store, suite)]


def write(store: Store, path: Path, grid: Grid | None = None) -> None:
    """Write the report, and its plots into `images/` beside it; raises `BenchmarkError` if there are no results.

    The report in its own place has its main figures in the README too.

    grid: None leaves the picture grid out.
    """
    from . import picture_grid, plots

    images = path.parent / "images"
    everything = [result for parts in PARTS.values() for part in parts for result in store.load(part).values()]
    if not everything:
        raise BenchmarkError(f"there are no results in '{store.folder}'; run `python -m benchmarks.run` first")
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    text = [_HEAD, f"Written {today}. {provenance(everything)}\n"]
    if grid:
        caption = picture_grid.make(grid.bundle, grid.photo, images / "views.png")
        text += ["## The two views\n", "![views](images/views.png)\n", f"{caption}\n"]
    for suite in SUITES:
        section = _section(store, suite)
        if section:
            made = [file for part in PARTS[suite] for file in plots.make(part, store.load(part), images)]
            plotted = [f"![{file.stem}](images/{file.name})" for file in made] + [""] * bool(made)
            text += [f"## {_TITLES[suite]}\n", *plotted, *section]
    path.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    if path.resolve() == DEFAULT_REPORT.resolve():
        report_summary.write(store, README)


def _section(store: Store, suite: str) -> list[str]:
    """Markdown lines of one suite; none without results."""
    loaded = [(part, store.load(part)) for part in PARTS[suite]]
    return [line for part, results in loaded if results for line in _WRITERS[part](results)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=DEFAULT_RESULTS, help="folder of JSON")
    parser.add_argument("--out", type=Path, default=DEFAULT_REPORT, help="the Markdown file")
    parser.add_argument("--bundle", type=Path, help="our model for the picture grid (default: the one inside ugicm)")
    parser.add_argument("--photo", type=Path, default=DEFAULT_PHOTO, help="the photo of the picture grid")
    parser.add_argument("--no-grid", action="store_true", help="leave the picture grid out; it alone needs a model")
    options = parser.parse_args(arguments)
    try:
        grid = None if options.no_grid else Grid(options.bundle, options.photo)
        write(Store(options.results), options.out, grid)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
