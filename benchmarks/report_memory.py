"""The memory part of the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .markdown import in_order, label, provenance, table


def lines(results: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Markdown of the section, one table per direction."""
    group = in_order(results)
    sizes = list(dict.fromkeys(tuple(size) for result in group for size in result["settings"]["sizes"]))
    yield "### Peak memory, 1 thread\n"
    yield (
        f"{provenance(group)} MiB of real memory that a fresh process which only encodes, or only decodes, comes to hold beyond "
        "Python, numpy and the picture or file. In brackets what it holds with the codec ready: libraries and model.\n"
    )
    for step in ("encoding", "decoding"):
        rows = [[label(result["name"]), *(_cell(result, step, size) for size in sizes)] for result in group]
        yield from table([f"{step} (MiB)", *(f"{width}x{height}" for width, height in sizes)], rows)


def _cell(result: dict[str, Any], step: str, size: tuple[int, ...]) -> str:
    places = [tuple(one) for one in result["settings"]["sizes"]]
    if size not in places:
        return "not measured"
    peak, opened = (result["results"][f"{step}_{what}"][places.index(size)] for what in ("peak", "open"))
    return f"{peak:.0f} ({opened:.0f})"
