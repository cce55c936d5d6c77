"""The figures that the README shows, written between two marks in it from the same JSON as the report."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .bd_rate import bd_rate, clip_to_rates
from .config import OURS, PEERS, PLAIN
from .errors import BenchmarkError
from .markdown import label, percent, table
from .ours import MACHINE, view_name
from .report_rd import RATES, by_dataset, score
from .report_speed import by_plan, ratio, title
from .report_tasks import TITLES, by_net, metric_pair
from .store import Store

BEGIN, END = "<!-- results: begin, written by `python -m benchmarks.report` -->", "<!-- results: end -->"
_SLOW = "compressai-mbt2018-mean"
_CODED = (*PEERS, PLAIN)
Row = tuple[str, dict[str, str]]  # a claim, and its figure against each peer


def lines(store: Store) -> Iterable[str]:
    """Markdown: one row per claim, one column per peer; what was not measured is left empty."""
    rows = [*_sizes(store.load("rd")), *_tasks(store.load("tasks")), *_times(store.load("speed"))]
    if rows:
        plain = [PLAIN] if any(PLAIN in found for _, found in rows) else []
        columns = [*PEERS, *plain, _SLOW]
        cells = [[name, *(found.get(peer, "") for peer in columns)] for name, found in rows]
        yield from table(["UG-ICM against", *map(label, columns)], cells)


def write(store: Store, path: Path) -> None:
    """Replace what is between the marks of the Markdown file `path`; raises `BenchmarkError` where they are missing."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchmarkError(f"'{path}' has no place for the results: it needs the lines '{BEGIN}' and '{END}'")
    path.write_text(before + begin + "\n" + "\n".join(lines(store)) + end + after, encoding="utf-8")


def _sizes(results: dict[str, dict[str, Any]]) -> Iterable[Row]:
    """Bits of the human view at equal score, without and with an effort; other pictures than Kodak do not count."""
    group = by_dataset(results).get("kodak", [])
    for metric, name in (("psnr-rgb", "PSNR"), ("ms-ssim-rgb", "MS-SSIM")):
        measured = [one for one in group if metric in one["results"]]
        curves = {one["name"]: (one["results"]["bpp"], score(one, metric)) for one in measured}
        for own in (one for one in curves if one.partition("-effort")[0] == OURS):
            ours, effort = clip_to_rates(curves[own], *RATES), own.partition("-effort")[2]
            found = {peer: percent(bd_rate(curves[peer], ours).percent) for peer in _CODED if peer in curves}
            view = f"human view, effort {effort}" if effort else "human view"
            yield f"bits at equal {name}, {view}, Kodak, {RATES[0]} to {RATES[1]} bpp", found


def _tasks(results: dict[str, dict[str, Any]]) -> Iterable[Row]:
    """Bits of the machine view at equal agreement."""
    for net, group in by_net(results).items():
        metric = metric_pair(group[0])[1]
        curves = {one["name"]: (one["results"]["bpp"], one["results"][metric]) for one in group}
        ours = curves.get(view_name(MACHINE))
        if ours:
            found = {peer: percent(bd_rate(curves[peer], ours).percent) for peer in _CODED if peer in curves}
            yield f"bits at equal {TITLES[metric]}, machine view, {net}", found


def _times(results: dict[str, dict[str, Any]]) -> Iterable[Row]:
    """How many times as fast, at the smallest size with one thread."""
    groups = by_plan(results)
    codecs = {result["name"]: result for result in groups[0]} if groups else {}
    if OURS not in codecs:
        return
    for what, name in (("encoding_time", "encoding"), ("decoding_time", "decoding")):
        found = {peer: f"{ratio(codecs[OURS], codecs[peer], what):.2g}x" for peer in (*PEERS, _SLOW) if peer in codecs}
        yield f"speed of {name}, {title(codecs[OURS]['settings'])}", found
