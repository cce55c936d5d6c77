"""The machine-task part of the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .bd_rate import bd_rate
from .codecs import LOSSLESS
from .markdown import curve, in_order, label, percent, provenance, table
from .ours import HUMAN, MACHINE, view_name

# For each kind of score: the metric against the truth, and against the net's own answer on the original.
PAIRS = (("top1", "top1-agreement"), ("ap", "ap-agreement"), ("miou", "miou-agreement"))
TITLES = {
    "top1": "top-1",
    "top1-agreement": "top-1 agreement",
    "ap": "AP",
    "ap-agreement": "AP agreement",
    "miou": "mIoU",
    "miou-agreement": "mIoU agreement",
    "pixel-agreement": "pixel agreement",
    "divergence": "divergence",
    "closeness": "divergence",
    "psnr": "PSNR",
}
_CONFIDENCE = (2.5, 97.5)
_MIN_SAMPLES = 0.9


def by_net(results: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Results of the suite, grouped by net, each group in the order of the report."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in in_order(results):
        groups.setdefault(result["net"], []).append(result)
    return groups


def metric_pair(result: dict[str, Any]) -> tuple[str, str]:
    """The names of the two metrics of a result."""
    return next(pair for pair in PAIRS if pair[0] in result["results"])


def lines(results: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Markdown of the section, without the plots."""
    for net, group in by_net(results).items():
        settings, pair = group[0]["settings"], metric_pair(group[0])
        yield f"### {net} on {settings['dataset']} ({settings['pictures']} pictures)\n"
        yield (
            f"{provenance(group)} bpp is all bits of the files over all pixels. Agreement takes the net's own answer on "
            "the original as the truth.\n"
        )
        codecs = [result for result in group if result["name"] != LOSSLESS]
        for metric in pair:
            rows = [
                [label(result["name"]), curve(result["results"]["bpp"], result["results"][metric], 3)]
                for result in (group if metric == pair[0] else codecs)
            ]
            yield from table(["codec", f"bpp → {TITLES[metric]}"], rows)
        yield from views_compared(codecs, pair[1])
        yield from rate_differences(codecs, pair[1])


def interval(samples: Sequence[float] | np.ndarray) -> str:
    """A 95 % interval in brackets, or a dash if too many bootstrap samples gave no number."""
    values = np.asarray(samples, float)
    finite = values[np.isfinite(values)]
    if len(finite) < _MIN_SAMPLES * len(values):
        return "[–]"
    low, high = np.percentile(finite, _CONFIDENCE)
    digits = 1 if max(abs(low), abs(high)) > 1 else 3
    return f"[{low:+.{digits}f}, {high:+.{digits}f}]"


def views_compared(group: list[dict[str, Any]], metric: str) -> Iterable[str]:
    """Machine against human view of the very same streams."""
    views = {result["name"]: result for result in group}
    human, machine = views.get(view_name(HUMAN)), views.get(view_name(MACHINE))
    if human is None or machine is None:
        return
    same = human["streams_sha256"] == machine["streams_sha256"]
    yield (
        f"The same streams decoded for people and for machines ({'checked by hash' if same else '**NOT the same**'}); "
        "95 % bootstrap interval of the difference over the pictures.\n"
    )
    rows = []
    for at, rate in enumerate(human["results"]["bpp"]):
        pair = [result["results"][metric][at] for result in (human, machine)]
        samples = [np.array(result["replicates"][at][metric]) for result in (human, machine)]
        difference = f"{pair[1] - pair[0]:+.3f} {interval(samples[1] - samples[0])}"
        rows.append([f"{rate:.3f}", f"{pair[0]:.3f}", f"{pair[1]:.3f}", difference])
    yield from table(["bpp", f"{TITLES[metric]}, human", "machine", "machine − human"], rows)


def rate_differences(group: list[dict[str, Any]], metric: str) -> Iterable[str]:
    """BD-rate at equal score of each of our views against the others; without ours, of the first codec."""
    ours = [result for result in group if result["name"].startswith("ugicm")] or group[:1]
    anchors = [result for result in group if result not in ours or result["name"] == view_name(HUMAN)]
    if len(group) < 2:
        return
    yield f"BD-rate at equal {TITLES[metric]} (below zero means fewer bits), with its 95 % bootstrap interval.\n"
    rows = [
        [label(test["name"]), *("" if anchor is test else _difference(anchor, test, metric) for anchor in anchors)]
        for test in ours
    ]
    yield from table(["", *(f"against {label(anchor['name'])}" for anchor in anchors)], rows)


def _difference(anchor: dict[str, Any], test: dict[str, Any], metric: str) -> str:
    pair = [(one["results"]["bpp"], one["results"][metric]) for one in (anchor, test)]
    value = bd_rate(*pair)
    if math.isnan(value.percent):
        return "no overlap"
    count = len(test["replicates"][0]["bpp"])
    samples = [bd_rate(_sample(anchor, metric, n), _sample(test, metric, n)).percent for n in range(count)]
    return f"{percent(value.percent)} {interval(samples)}"


def _sample(result: dict[str, Any], metric: str, number: int) -> tuple[list[float], list[float]]:
    """The curve of one bootstrap sample."""
    points = result["replicates"]
    return [point["bpp"][number] for point in points], [point[metric][number] for point in points]
