"""Tables and numbers as Markdown that is also readable in a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .config import PLAIN

LABELS = {
    "ugicm": "UG-ICM",
    "ugicm-human": "UG-ICM, human view",
    "ugicm-machine": "UG-ICM, machine view",
    "plain": "plain UG-ICM (no teacher)",
    "jpeg": "JPEG",
    "webp": "WebP",
    "avif": "AVIF",
    "avif444": "AVIF 4:4:4",
    "jxl": "JPEG XL",
    "png": "uncompressed",
    "compressai-mbt2018-mean": "mbt2018-mean (CompressAI)",
    "compressai-cheng2020-anchor": "cheng2020-anchor (CompressAI)",
    "vtm": "VTM",
    "ugicm_coder": "ugicm_coder (ours)",
}


def label(name: str) -> str:
    """What readers call a codec or view."""
    name, _, effort = name.partition("-effort")
    found = LABELS.get(name) or (f"UG-ICM, preference {name[6:]}" if name.startswith("ugicm-") else name)
    return f"{found}, effort {effort.replace('-guidance', ', guidance ')}" if effort else found


def in_order(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Results in the order of `LABELS`: preferences between come after the human view, efforts after none, unknown codecs last."""
    ranks = {name: float(rank) for rank, name in enumerate(LABELS)}

    def place(result: dict[str, Any]) -> tuple[float, str]:
        name, _, effort = result["name"].partition("-effort")
        between = ranks["ugicm-human"] + 0.5 if name.startswith("ugicm-") else float(len(ranks))
        return ranks.get(name, between) + bool(effort) / 4, result["name"]

    return sorted(results.values(), key=place)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table with padded columns, followed by an empty line."""
    columns = list(zip(*[head, *rows]))
    widths = [max(map(len, column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |"

    return [line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows), ""]


def percent(value: float) -> str:
    """A signed percentage, or a dash for a value that could not be taken."""
    return "–" if math.isnan(value) else f"{value:+.1f} %"


def curve(rates: Sequence[float], scores: Sequence[float], digits: int) -> str:
    """The points of a curve on one line."""
    return ", ".join(f"{rate:.3f} → {score:.{digits}f}" for rate, score in zip(rates, scores))


def provenance(results: Sequence[dict[str, Any]]) -> str:
    """One sentence: when the results were measured and, for ours, with which bundle."""
    dates = sorted({result["created"] for result in results})
    ours, plain = (
        _bundles([result["settings"] for result in results if is_plain is (result["name"] == PLAIN)]) for is_plain in (False, True)
    )
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    beside = f"; {label(PLAIN)} is {', '.join(plain)}" if plain else ""
    mixed = " **These are different bundles: run the suite again.**" if len(ours) > 1 else ""
    return f"Measured {when} with {', '.join(ours) or 'peers only'}{beside}.{mixed}"


def _bundles(settings: Sequence[dict[str, Any]]) -> list[str]:
    """Name, fingerprint and hash of each of our bundles, once for all efforts; other codecs have none."""
    own = sorted((one for one in settings if "fingerprint" in one), key=lambda one: one["codec"], reverse=True)
    found = {
        one["bundle_sha256"]: f"{one['codec']} (fingerprint `{one['fingerprint']}`, bundle `{one['bundle_sha256']}`)" for one in own
    }
    return sorted(found.values())
