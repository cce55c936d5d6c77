"""The same stage from the same start with every balance of the objectives, in one table."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ugicm_train.checkpoint import load_codec
from ugicm_train.config import TrainConfig
from ugicm_train.data import find_images, read_image
from ugicm_train.evaluate import Point, evaluate
from ugicm_train.fit import VALIDATION_PICTURES, VALIDATION_SIDE
from ugicm_train.judges import distance_judge
from ugicm_train.model.build import AnyCodec
from ugicm_train.teachers import open_teacher


@dataclasses.dataclass(frozen=True)
class Row:
    """Rate change at equal PSNR of the human view and at equal teacher distance of the machine view, in percent against the
    common start (less is better), and the points they were made of."""

    balance: str
    human: float
    machine: float
    points: list[dict[str, Any]]


def rate_change(before: Sequence[Point], after: Sequence[Point], quality: Callable[[Point], float]) -> float:
    """Bjontegaard rate difference in percent at equal `quality`, by piecewise cubic interpolation.

    NaN where a curve does not rise with the rate at every step: there is no rate at which it has a given quality.
    """
    import bjontegaard

    curves = [([p.bpp for p in points], [quality(p) for p in points]) for points in (before, after)]
    if any(b <= a for curve in curves for axis in curve for a, b in itertools.pairwise(axis)):
        return math.nan
    (rate, found), (rate_after, found_after) = curves
    return float(bjontegaard.bd_rate(rate, found, rate_after, found_after, method="pchip", require_matching_points=False))


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    """The row with null for figures that there are not, as JSON has it."""
    return row | {name: None for name in ("human", "machine") if math.isnan(row[name])}


def _at(points: Sequence[Point], preference: float) -> list[Point]:
    return [point for point in points if point.preference == preference]


def nearness(point: Point) -> float:
    """Teacher distance as decibels, more is better."""
    return -10 * math.log10(max(point.judged["teacher"], 1e-9))


def measure(codec: AnyCodec, config: TrainConfig, folder: str, levels: Sequence[int]) -> list[Point]:
    """Human and machine views of the first pictures of `folder`, judged by the teacher that trains."""
    pictures = [read_image(path, VALIDATION_SIDE) for path in find_images(folder)[:VALIDATION_PICTURES]]
    teacher = open_teacher(config.teacher)
    return evaluate(codec, pictures, levels, (0.0, 1.0), {"teacher": distance_judge(teacher)})


def compare(
    config: TrainConfig,
    balances: Sequence[str],
    init: Path,
    out: Path,
    folder: str,
    levels: Sequence[int],
    train: Callable[..., None],
    report: Callable[[str], None] = print,
) -> list[Row]:
    """Train `config` with each of `balances` from `init` and measure on the pictures of `folder`.

    `train(config, network, folder, init=...)` trains one. Writes `compare.json` in `out`.
    """
    start, _ = load_codec(init)
    before = measure(start, config, folder, levels)
    rows = []
    report(f"{'balance':8} human view (PSNR)  machine view (teacher)   rate change against the start at equal quality")
    for balance in balances:
        changed = dataclasses.replace(config, balance=balance)
        train(changed, start.config, out / balance, init=init)
        after = measure(load_codec(out / balance)[0], config, folder, levels)
        human = rate_change(_at(before, 0.0), _at(after, 0.0), lambda p: p.psnr)
        machine = rate_change(_at(before, 1.0), _at(after, 1.0), nearness)
        rows.append(Row(balance, human, machine, [dataclasses.asdict(p) for p in after]))
        report(f"{balance:8} {human:+16.2f}%  {machine:+20.2f}%")
    out.mkdir(parents=True, exist_ok=True)
    values = {
        "settings": dataclasses.asdict(config),
        "start": [dataclasses.asdict(p) for p in before],
        "rows": [_without_nan(dataclasses.asdict(row)) for row in rows],
    }
    temporary = out / "compare.json.partial"
    temporary.write_text(json.dumps(values, indent=2) + "\n")
    temporary.replace(out / "compare.json")
    return rows
