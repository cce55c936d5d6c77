"""COCO average precision: matching by pycocotools, and a counting step quick enough to be repeated for bootstrap samples.

`COCOeval.accumulate` takes 0.1 s, which 200 samples of every rate, view and codec cannot afford. The counting here gives
the same numbers (a test compares the two) and takes a few milliseconds, since sorting is done once.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Records = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class ClassTable:
    """All detections of one class, best first, and the number of true boxes."""

    hits: np.ndarray  # bool (thresholds, detections): matched a true box at this IoU
    pictures: np.ndarray  # int (detections,): the picture each is in
    truths: np.ndarray  # int (pictures,): true boxes in each picture


def match(truth: Sequence[Records], found: Sequence[Records], limit: int) -> Any:
    """COCOeval after its `evaluate()`: boxes of all sizes, at most `limit` per picture, classes that occur in the truth.

    truth, found: one list of records per picture, each {"bbox": [x, y, w, h], "area", "category_id"}, found also "score".
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_fill(COCO(), truth), _fill(COCO(), found), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [limit]
        evaluation.params.catIds = sorted({record["category_id"] for records in truth for record in records})
        evaluation.evaluate()
    return evaluation


def tabulate(evaluation: Any) -> list[ClassTable]:
    """What `average_precision` needs of `match`, class by class."""
    pictures = len(evaluation.params.imgIds)
    rows = [evaluation.evalImgs[at : at + pictures] for at in range(0, len(evaluation.evalImgs), pictures)]
    return [_class_table(row) for row in rows]


def average_precision(tables: Sequence[ClassTable], weights: np.ndarray) -> tuple[float, float]:
    """AP (mean over IoU 0.50, 0.55 .. 0.95) and AP50 in 0..1, where picture i counts `weights[i]` times.

    Mean over the classes of the precision at recalls 0, 0.01 .. 1, each precision being the best at that recall or a
    higher one (COCO's definition). Classes without truth are left out; without any truth both are 0.
    """
    rows = [precision for precision in (_class_precision(table, weights) for table in tables) if precision is not None]
    if not rows:
        return 0.0, 0.0
    means = np.mean(rows, axis=0)
    return float(means.mean()), float(means[0])


def _class_precision(table: ClassTable, weights: np.ndarray) -> np.ndarray | None:
    """Mean precision over recalls at each threshold, or None without truth."""
    truths = int((table.truths * weights).sum())
    if truths == 0:
        return None
    counts = weights[table.pictures]
    hits = np.cumsum(table.hits * counts, axis=1)
    precision = hits / (np.cumsum(counts) + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recalls = np.linspace(0, 1, 101)
    sums = []
    for row, reached in zip(best, hits / truths):
        at = np.searchsorted(reached, recalls, side="left")
        sums.append(row[at[at < len(row)]].sum())
    return np.array(sums) / len(recalls)


def _class_table(row: Sequence[dict[str, Any] | None]) -> ClassTable:
    """row: COCOeval's entry for each picture, None where the class neither occurs nor is found."""
    entries = [(picture, entry) for picture, entry in enumerate(row) if entry is not None]
    truths = np.zeros(len(row), int)
    for picture, entry in entries:
        truths[picture] = len(entry["gtIds"])
    scores = np.concatenate([entry["dtScores"] for _, entry in entries])
    order = np.argsort(-scores, kind="mergesort")
    hits = np.concatenate([entry["dtMatches"] for _, entry in entries], axis=1) > 0
    pictures = np.repeat([picture for picture, _ in entries], [len(entry["dtScores"]) for _, entry in entries])
    return ClassTable(hits[:, order], pictures.astype(int)[order], truths)


def _fill(coco: Any, pictures: Sequence[Records]) -> Any:
    """Give a COCO object its records; picture and box ids count from 1, since COCOeval takes id 0 for no match."""
    annotations = [
        {**record, "image_id": picture, "iscrowd": 0}
        for picture, records in enumerate(pictures, 1)
        for record in records
    ]
    coco.dataset = {
        "images": [{"id": picture} for picture in range(1, len(pictures) + 1)],
        "annotations": [{**annotation, "id": number} for number, annotation in enumerate(annotations, 1)],
        "categories": [{"id": one} for one in sorted({annotation["category_id"] for annotation in annotations})],
    }
    coco.createIndex()
    return coco
