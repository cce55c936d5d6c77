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
    "plain": "black",
    "jpeg": "tab:gray",
    "webp": "tab:green",
    "avif": "tab:orange",
    "avif444": "tab:brown",
    "jxl": "tab:purple",
    "compressai-mbt2018-mean": "tab:olive",
    "compressai-cheng2020-anchor": "tab:pink",
}
_BETWEEN = "#a06aa8"  # preferences between human (blue) and machine (red)
_PUBLISHED = {"linewidth": 0.9, "color": "0.35", "markersize": 0}
_PUBLISHED_DASHES = ("-", "--", "-.", ":")
_LOWEST = {"ssimulacra2": -10}  # scores below are cut off: nobody would look at such a picture
_DPI = 110


def rate_distortion(results: dict[str, dict[str, Any]], folder: Path) -> list[Path]:
    """One plot per dataset and metric, with the published curves as thin lines; returns the files."""
    made = []
    for dataset, group in report_rd.by_dataset(results).items():
        for metric, title in report_rd.METRICS.items():
            measured = [result for result in group if metric in result["results"]]
            if not measured:
                continue
            figure, axes = _axes(f"{title.removesuffix(' (dB)').removesuffix('-RGB')} on {dataset}", "bits per pixel", title)
            for result in measured:
                axes.plot(result["results"]["bpp"], report_rd.score(result, metric), **_style(result["name"]))
            axes.set_ylim(bottom=max(axes.get_ylim()[0], _LOWEST.get(metric, -np.inf)))
            # Peers and published curves may run out of the picture; ours may not.
            axes.set(xlim=(0, 1.15 * max(group[0]["results"]["bpp"])), ylim=axes.get_ylim())
            for dashes, curve in zip(_PUBLISHED_DASHES, report_rd.references(group)):
                if metric in curve["results"]:
                    name = f"{label(curve['name'])} (published)"
                    scores = report_rd.score(curve, metric)
                    axes.plot(curve["results"]["bpp"], scores, label=name, linestyle=dashes, zorder=1.5, **_PUBLISHED)
            axes.legend(loc="lower right", fontsize=9)
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
            axes.legend(loc="lower right", fontsize=9)
            made.append(_save(figure, folder / f"tasks-{net}-{metric}.png"))
    return made


def speed(results: dict[str, dict[str, Any]], folder: Path) -> list[Path]:
    """Bars of encode and decode medians at the smallest size on one thread, on a logarithmic axis; returns the file."""
    group = report_speed.by_plan(results)[0][::-1]
    figure, axes = _axes(report_speed.title(group[0]["settings"]), "milliseconds", "")
    height = 0.38
    for offset, (what, title) in zip((height / 2, -height / 2), report_speed.TIMES.items()):
        values = [1000 * result["results"][what][0] for result in group]
        bars = axes.barh(np.arange(len(group)) + offset, values, height, label=title)
        axes.bar_label(bars, [f" {value:.1f}" if value < 1000 else f" {value:.0f}" for value in values])
    axes.set_yticks(range(len(group)), [label(result["name"]) for result in group])
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.legend(loc="upper right")
    return [_save(figure, folder / "speed.png")]


def memory(results: dict[str, dict[str, Any]], folder: Path) -> list[Path]:
    """Peak memory over picture size, one panel per direction; returns the file."""
    figure, (left, right) = _axes("encode", "megapixels", "peak memory (MiB)", panels=2)
    right.set_title("decode")
    for result in in_order(results):
        sizes = [width * height / 1e6 for width, height in result["settings"]["sizes"]]
        for axes, step in ((left, "encoding"), (right, "decoding")):
            axes.plot(sizes, result["results"][f"{step}_peak"], **_style(result["name"]))
    for axes in (left, right):
        axes.set(xscale="log", yscale="log")
        _plain_numbers(axes.yaxis, (1, 2, 5))
        _plain_numbers(axes.xaxis, (1, 2, 4, 8))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return [_save(figure, folder / "memory.png")]


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


def _style(given: str) -> dict[str, Any]:
    """Ours thick, dotted with an effort, preferences between thin and broken, peers in between."""
    name, _, effort = given.partition("-effort")
    between = name.startswith("ugicm-") and name not in _COLOURS
    ours = name.startswith("ugicm") and not between
    return {
        "label": label(given),
        "color": _COLOURS.get(name, _BETWEEN if between else "tab:cyan"),
        "marker": "o",
        "markersize": 2.5 if between else 4,
        "linewidth": 2.2 if ours else 0.9 if between else 1.3,
        "linestyle": ":" if effort else (0, (2 + 6 * float(name[6:]), 1.5)) if between else "-" if name in _COLOURS else "--",
        "zorder": 2.5 if ours else 2,
    }


def _axes(title: str, x: str, y: str, panels: int = 1) -> tuple[Any, Any]:
    """A figure with one panel, or with several side by side that share their y axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5 if panels == 1 else 10, 5), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True)
    for one in np.ravel(axes):
        one.set(title=title, xlabel=x)
        one.grid(alpha=0.3)
    np.ravel(axes)[0].set_ylabel(y)
    return figure, axes


def _plain_numbers(axis: Any, steps: Sequence[int]) -> None:
    """Ticks of a logarithmic axis at these multiples of powers of ten, written out."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    return path


MAKERS: dict[str, Any] = {"rd": rate_distortion, "tasks": tasks, "speed": speed, "memory": memory}


def make(part: str, results: dict[str, dict[str, Any]], folder: Path) -> Sequence[Path]:
    """The plots of one kind of results; none without results, or where there is nothing to draw."""
    return MAKERS[part](results, folder) if results and part in MAKERS else []
