"""The rate-distortion part of the report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .bd_rate import BdRate, Curve, bd_rate, clip_to_rates
from .markdown import curve, in_order, label, percent, provenance, table

RATES = (0.15, 1.2)  # bits per pixel between which ours is judged
METRICS = {"psnr-rgb": "PSNR-RGB (dB)", "ms-ssim-rgb": "MS-SSIM (dB)"}


def score(result: dict[str, Any], metric: str) -> list[float]:
    """The values of a metric; MS-SSIM as -10 log10(1 - x) dB, which spreads out what lies near 1."""
    values = result["results"][metric]
    return [-10 * math.log10(max(1 - value, 1e-10)) for value in values] if metric == "ms-ssim-rgb" else values


def by_dataset(results: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Results of the suite, grouped by dataset, each group in the order of the report."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in in_order(results):
        groups.setdefault(result["settings"]["dataset"], []).append(result)
    return groups


def lines(results: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Markdown of the section, without the plots."""
    for dataset, group in by_dataset(results).items():
        pictures = group[0]["settings"]["pictures"]
        yield f"### Rate-distortion on {dataset} ({pictures} pictures)\n"
        yield provenance(group) + " bpp counts every byte of the file; all values are means over the pictures.\n"
        yield from _points(group)
        yield from _differences(group)


def _points(group: list[dict[str, Any]]) -> Iterable[str]:
    rows = []
    for result in group:
        rates = result["results"]["bpp"]
        rows.append([label(result["name"]), result["settings"]["codec"], curve(rates, score(result, "psnr-rgb"), 2)])
    yield from table(["codec", "settings", "bpp → PSNR-RGB (dB)"], rows)
    rows = [
        [label(result["name"]), curve(result["results"]["bpp"], result["results"]["ms-ssim-rgb"], 4)]
        for result in group
    ]
    yield from table(["codec", "bpp → MS-SSIM"], rows)


def _differences(group: list[dict[str, Any]]) -> Iterable[str]:
    """BD-rate of ours against every peer; without ours, of the first codec against the others."""
    ours, *peers = group
    if not peers:
        return
    low, high = RATES
    yield (
        f"BD-rate of {label(ours['name'])} (PCHIP over the mean curves; below zero means fewer bits than the peer). "
        f"The first column uses our points between {low} and {high} bpp; the range is the scores that both curves "
        "reach, with its share of all that ours spans.\n"
    )
    for metric, title in METRICS.items():
        rows = []
        for peer in peers:
            anchor, test = _curve(peer, metric), _curve(ours, metric)
            inner, whole = bd_rate(anchor, clip_to_rates(test, low, high)), bd_rate(anchor, test)
            rows.append(
                [label(peer["name"]), percent(inner.percent), _range(inner), percent(whole.percent), _range(whole)]
            )
        yield from table([title, f"{low} to {high} bpp", "compared over", "all rates", "compared over"], rows)


def _curve(result: dict[str, Any], metric: str) -> Curve:
    return result["results"]["bpp"], score(result, metric)


def _range(rate: BdRate) -> str:
    return (
        "no overlap" if math.isnan(rate.percent) else f"{rate.low:.1f} to {rate.high:.1f} dB ({100 * rate.share:.0f} %)"
    )
