"""PNG plots of the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import report_rd, report_speed, report_tasks
from .codecs import LOSSLESS
from .markdown import in_order, label

_COLOURS = {
    "ugicm": "tab:blue",
    "ugicm-human": "tab:blue",
    "ugicm-machine": "tab:red",
    "jpeg": "tab:gray",
    "webp": "tab:green",
    "avif": "tab:orange",
    "avif444": "tab:brown",
    "jxl": "tab:purple",
}
_FALLBACK_COLOUR = "tab:cyan"
_DPI = 110


def rate_distortion(results: dict[str, dict[str, Any]], folder: Path) -> list[Path]:
    """One plot per dataset and metric; returns the files."""
    made = []
    for dataset, group in report_rd.by_dataset(results).items():
        for metric, title in report_rd.METRICS.items():
            figure, axes = _axes(f"{title.split(' ')[0]} on {dataset}", "bits per pixel", title)
            for result in group:
                axes.plot(result["results"]["bpp"], report_rd.score(result, metric), **_style(result["name"]))
            axes.legend()
            made.append(_save(figure, folder / f"rd-{dataset}-{metric}.png"))
    return made


def tasks(results: dict[str, dict[str, Any]], folder: Path) -> list[Path]:
    """One plot per net and metric, agreement with a 95 % band for our two main views; returns the files."""
    made = []
    for net, group in report_tasks.by_net(results).items():
        for metric in report_tasks.metric_pair(group[0]):
            title = report_tasks.TITLES[metric]
            figure, axes = _axes(f"{net}: {title}", "bits per pixel", title)
            for result in group:
                _task_curve(axes, result, metric)
            axes.legend()
            made.append(_save(figure, folder / f"tasks-{net}-{metric}.png"))
    return made


def speed(results: dict[str, dict[str, Any]], folder: Path) -> list[Path]:
    """Bars of encode and decode medians on a logarithmic axis; returns the file."""
    group = in_order(results)[::-1]
    figure, axes = _axes("One thread, 768x512", "milliseconds", "")
    height = 0.38
    for offset, (what, title) in zip((height / 2, -height / 2), report_speed.TIMES.items()):
        values = [1000 * result["results"][what][0] for result in group]
        bars = axes.barh(np.arange(len(group)) + offset, values, height, label=title)
        axes.bar_label(bars, [f" {value:.1f}" for value in values])
    axes.set_yticks(range(len(group)), [label(result["name"]) for result in group])
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.legend()
    return [_save(figure, folder / "speed.png")]


def _task_curve(axes: Any, result: dict[str, Any], metric: str) -> None:
    rates, scores = result["results"]["bpp"], result["results"][metric]
    if result["name"] == LOSSLESS:
        if not metric.endswith("agreement"):
            axes.axhline(scores[0], color="black", linestyle=":", label=label(LOSSLESS))
        return
    style = _style(result["name"])
    axes.plot(rates, scores, **style)
    if result["name"] in ("ugicm-human", "ugicm-machine"):
        bands = np.percentile([point[metric] for point in result["replicates"]], (2.5, 97.5), axis=1)
        axes.fill_between(rates, *bands, color=style["color"], alpha=0.12, linewidth=0)


def _style(name: str) -> dict[str, Any]:
    ours = name.startswith("ugicm")
    return {
        "label": label(name),
        "color": _COLOURS.get(name, _FALLBACK_COLOUR),
        "marker": "o",
        "markersize": 4,
        "linewidth": 2.2 if ours else 1.3,
        "linestyle": "-" if name in _COLOURS else "--",
    }


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    return path


MAKERS: dict[str, Any] = {"rd": rate_distortion, "tasks": tasks, "speed": speed}


def make(suite: str, results: dict[str, dict[str, Any]], folder: Path) -> Sequence[Path]:
    """The plots of one suite."""
    return MAKERS[suite](results, folder)
