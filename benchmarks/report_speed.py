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


def ratio(subject: dict[str, Any], rival: dict[str, Any], what: str) -> float:
    """How many times faster `subject` is: the median over rounds of the quotient within a round."""
    return statistics.median(b / a for a, b in zip(subject["samples"][what], rival["samples"][what]))


def lines(results: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Markdown of the section, without the plot."""
    group = in_order(results)
    settings = group[0]["settings"]
    width, height = settings["size"]
    yield f"### Speed at {width}x{height}, {settings['threads']} thread\n"
    yield (
        f"{provenance(group)} Whole calls, pixels to bytes and back, on {settings['processor']}; {settings['rounds']} "
        "rounds in which the codecs take turns in one process held to one core. Milliseconds are medians with quartiles; "
        "classic codecs are timed at the quality whose file is nearest to ours in size; random weights have no rate "
        "worth stating.\n"
    )
    if busy(group) > _BUSY:
        yield (
            f"**Other programs were running: the wall clock shows {busy(group):.1f} times the processor time. "
            "Trust the second table.**\n"
        )
    ours = results.get(f"speed-{OURS}")
    yield from _times(group, ours, TIMES, "wall clock")
    yield from _times(group, ours, CPU_TIMES, "processor time")
    if ours and ours.get("stages"):
        yield from _stages(ours["stages"])


def _times(
    group: Sequence[dict[str, Any]], ours: dict[str, Any] | None, times: dict[str, str], clock: str
) -> Iterable[str]:
    """The table of one clock."""
    rows = []
    for result in group:
        rate = "" if "random weights" in result["settings"]["codec"] else f"{result['results']['bpp'][0]:.3f}"
        row = [label(result["name"]), result["settings"]["codec"], rate]
        row += [_milliseconds(result["samples"][what]) for what in times]
        row += [f"{ratio(ours, result, what):.2f}x" for what in times] if ours else []
        rows.append(row)
    ratios = [f"ours {name}s faster by" for name in times.values()] if ours else []
    yield from table([clock, "settings", "bpp", *(f"{name} (ms)" for name in times.values()), *ratios], rows)


def busy(group: Sequence[dict[str, Any]]) -> float:
    """Wall clock over processor time, the median over codecs and both directions: 1 on a machine left alone."""
    pairs = zip(TIMES, CPU_TIMES)
    return statistics.median(
        result["results"][wall][0] / max(result["results"][cpu][0], 1e-9) for wall, cpu in pairs for result in group
    )


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
