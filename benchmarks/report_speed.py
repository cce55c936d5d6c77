"""The speed part of the report."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .config import OURS
from .markdown import in_order, label, provenance, table

TIMES = {"encoding_time": "encode", "decoding_time": "decode"}
CPU_TIMES = {"encoding_cpu_time": "encode", "decoding_cpu_time": "decode"}
_BUSY = 1.1  # wall clock over processor time from which the machine was not ours alone

Group = list[dict[str, Any]]


def ratio(subject: dict[str, Any], rival: dict[str, Any], what: str) -> float:
    """How many times faster `subject` is: the median over the rounds both took part in of the quotient within a round."""
    return statistics.median(b / a for a, b in zip(subject["samples"][what], rival["samples"][what]))


def by_plan(results: dict[str, dict[str, Any]]) -> list[Group]:
    """Results of the suite, grouped by picture size and threads: smallest picture and one thread first."""
    groups: dict[tuple[Any, ...], Group] = {}
    for result in in_order(results):
        settings = result["settings"]
        groups.setdefault((settings["size"][0] * settings["size"][1], settings["threads"]), []).append(result)
    return [groups[key] for key in sorted(groups)]


def lines(results: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Markdown of the section, without the plot: the first plan in full, and wall clocks of the others."""
    yield (
        "Whole calls, pixels to bytes and back; the codecs take turns in one process that is held to as many cores as threads. "
        "Milliseconds are medians with quartiles over the rounds; ratios are medians of the quotients within a round. Classic "
        "codecs are timed at the quality whose file is nearest to ours in size; CompressAI's models have random weights, so "
        "their rate says nothing, and since they are slow they sit out the later rounds. Pictures larger than the photos are "
        "mosaics of them.\n"
    )
    for number, group in enumerate(by_plan(results)):
        yield from _plan(group, headline=number == 0)


def _plan(group: Group, headline: bool) -> Iterable[str]:
    settings = group[0]["settings"]
    threads = settings["threads"]
    ours = next((result for result in group if result["name"] == OURS), None)
    yield f"### Speed at {title(settings)}\n"
    yield f"{provenance(group)} On {settings['processor']}, {settings['rounds']} rounds.\n"
    if len({(str(result["settings"].get("rivals")), result["settings"]["processor"]) for result in group}) > 1:
        yield "**These results are not of one run, so their ratios mean little: measure all codecs again.**\n"
    if threads == 1 and busy(group) > _BUSY:
        yield (
            f"**Other programs were running: the wall clock shows {busy(group):.1f} times the processor time. "
            "Trust processor time.**\n"
        )
    yield from _times(group, ours, TIMES, "wall clock")
    if headline:
        yield from _times(group, ours, CPU_TIMES, "processor time")
    if ours and ours.get("stages"):
        yield from _stages(ours["stages"])


def title(settings: dict[str, Any]) -> str:
    """Picture size and threads in words."""
    width, height = settings["size"]
    return f"{width}x{height}, {settings['threads']} thread{'s' if settings['threads'] > 1 else ''}"


def _times(group: Group, ours: dict[str, Any] | None, times: dict[str, str], clock: str) -> Iterable[str]:
    """The table of one clock."""
    rows = []
    for result in group:
        rate = "" if "random weights" in result["settings"]["codec"] else f"{result['results']['bpp'][0]:.3f}"
        rounds = str(len(result["samples"]["bpp"]))
        row = [label(result["name"]), result["settings"]["codec"], rate, rounds]
        row += [_milliseconds(result["samples"][what]) for what in times]
        row += [_times_as_fast(ratio(ours, result, what)) for what in times] if ours else []
        rows.append(row)
    ratios = [f"ours {name}s faster by" for name in times.values()] if ours else []
    yield from table([clock, "settings", "bpp", "rounds", *(f"{name} (ms)" for name in times.values()), *ratios], rows)


def busy(group: Group) -> float:
    """Wall clock over processor time, the median over codecs and both directions: 1 on a machine left alone."""
    pairs = zip(TIMES, CPU_TIMES)
    return statistics.median(
        result["results"][wall][0] / max(result["results"][cpu][0], 1e-9) for wall, cpu in pairs for result in group
    )


def _times_as_fast(value: float) -> str:
    return f"{value:.2f}x" if value >= 0.1 else f"{value:.2g}x"


def _milliseconds(seconds: Sequence[float]) -> str:
    low, middle, high = 1000 * np.percentile(seconds, (25, 50, 75))
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def _stages(stages: dict[str, dict[str, float]]) -> Iterable[str]:
    """Where our time goes."""
    encode, decode = stages["encode_ms"], stages["decode_ms"]
    rows = [
        [
            name.replace("_", " "),
            *(f"{part[name]:.2f} ({100 * part[name] / part['total']:.1f} %)" for part in (encode, decode)),
        ]
        for name in encode
    ]
    yield from table(["stage of ours", "encode (ms)", "decode (ms)"], rows)
