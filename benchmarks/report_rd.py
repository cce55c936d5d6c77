"""The rate-distortion part of the report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from . import published
from .bd_rate import BdRate, Curve, bd_rate, bd_score, clip_to_rates
from .config import OURS
from .markdown import curve, in_order, label, percent, provenance, table
from .metrics import decibels

RATES = (0.15, 1.2)  # bits per pixel between which ours is judged
METRICS = {"psnr-rgb": "PSNR-RGB (dB)", "ms-ssim-rgb": "MS-SSIM (dB)", "ssimulacra2": "SSIMULACRA 2"}
_UNITS = {"ssimulacra2": ""}
_DIGITS = {"psnr-rgb": 2, "ms-ssim-rgb": 4, "ssimulacra2": 1}


def score(result: dict[str, Any], metric: str) -> list[float]:
    """The values of a metric, MS-SSIM in decibels."""
    values = result["results"][metric]
    return [decibels(value) for value in values] if metric == "ms-ssim-rgb" else values


def by_dataset(results: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Results of the suite, grouped by dataset, each group in the order of the report."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in in_order(results):
        groups.setdefault(result["settings"]["dataset"], []).append(result)
    return groups


def references(group: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Published curves on the pictures of a group."""
    settings = group[0]["settings"]
    return published.curves(settings["dataset"], settings["pictures"])


def lines(results: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Markdown of the section, without the plots."""
    for dataset, group in by_dataset(results).items():
        pictures = group[0]["settings"]["pictures"]
        yield f"### Rate-distortion on {dataset} ({pictures} pictures)\n"
        yield (
            f"{provenance(group)} bpp counts every byte of the file; all values are means over the pictures. SSIMULACRA 2 "
            "(100 equal, 70 good, 30 poor) is a mean over every third of them.\n"
        )
        rows = [[label(result["name"]), result["settings"]["codec"]] for result in group]
        yield from table(["codec", "settings"], rows)
        for metric, title in METRICS.items():
            rows = [
                [label(result["name"]), curve(result["results"]["bpp"], result["results"][metric], _DIGITS[metric])]
                for result in group
                if metric in result["results"]
            ]
            if rows:
                yield from table(["codec", f"bpp → {'MS-SSIM' if metric == 'ms-ssim-rgb' else title}"], rows)
        yield from _differences(group)
        for number, refined in enumerate(group):
            if number and refined["name"].startswith(f"{OURS}-effort"):
                yield from _differences([refined, *(one for one in group if one is not refined)])


def _differences(group: list[dict[str, Any]]) -> Iterable[str]:
    """BD-rate of ours against every peer and published curve; without ours, of the first codec against the others."""
    ours, *peers = group
    published_curves = references(group)
    if not peers and not published_curves:
        return
    low, high = RATES
    yield (
        f"BD-rate of {label(ours['name'])} (PCHIP over the mean curves; below zero means fewer bits than the peer). "
        f"The first column uses our points between {low} and {high} bpp; the range is the scores that both curves "
        "reach, with its share of all that ours spans. The last column is what ours scores more with the same bits.\n"
    )
    for metric, title in METRICS.items():
        rows = []
        for peer in [*peers, *published_curves]:
            if metric not in ours["results"] or metric not in peer["results"]:
                continue
            anchor, test = _curve(peer, metric), _curve(ours, metric)
            inner, whole = bd_rate(anchor, clip_to_rates(test, low, high)), bd_rate(anchor, test)
            name = label(peer["name"]) + (" (published)" if "source" in peer else "")
            found = [percent(inner.percent), _range(inner, metric), percent(whole.percent), _range(whole, metric)]
            rows.append([name, *found, _gain(bd_score(anchor, test), metric)])
        if rows:
            head = [f"{low} to {high} bpp", "compared over", "all rates", "compared over", "at equal rate"]
            yield from table([title, *head], rows)
    if published_curves:
        yield "Published curves were not measured here:\n"
        yield from (f"- {label(line['name'])}: {_source(line['source'])}" for line in published_curves)
        yield ""


def _source(source: dict[str, Any]) -> str:
    repository, commit, path = (source[name] for name in ("repository", "commit", "path"))
    return f"[`{path}`]({repository}/blob/{commit}/{path}) at commit `{commit[:12]}`"


def _curve(result: dict[str, Any], metric: str) -> Curve:
    return result["results"]["bpp"], score(result, metric)


def _gain(value: float, metric: str) -> str:
    return "–" if math.isnan(value) else f"{value:+.2f}{_UNITS.get(metric, ' dB')}"


def _range(rate: BdRate, metric: str) -> str:
    if math.isnan(rate.percent):
        return "no overlap"
    return f"{rate.low:.1f} to {rate.high:.1f}{_UNITS.get(metric, ' dB')} ({100 * rate.share:.0f} %)"
