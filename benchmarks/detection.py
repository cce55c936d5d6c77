"""Task "detect": COCO AP by pycocotools against the labels, and against the detections on the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .average_precision import average_precision, match, tabulate
from .datasets import read_rgb
from .nets import Net
from .task import Scorer

REFERENCE_SCORE = 0.3  # detections on the original that score above this are the truth of the agreement


@dataclass(frozen=True)
class Detections:
    """Boxes found in one picture, best first."""

    boxes: np.ndarray  # float (n,4) x1 y1 x2 y2 in pixels of the picture
    scores: np.ndarray  # float (n,)
    classes: np.ndarray  # int (n,), 0..79

    def above(self, score: float) -> Detections:
        """Those scoring more than `score`."""
        keep = self.scores > score
        return Detections(self.boxes[keep], self.scores[keep], self.classes[keep])

    def records(self) -> list[dict[str, Any]]:
        """The same as COCO annotations; category id = class index + 1."""
        sizes = self.boxes[:, 2:] - self.boxes[:, :2]
        return [
            {"bbox": [*corner, *size], "area": size[0] * size[1], "category_id": one + 1, "score": score}
            for corner, size, one, score in zip(
                self.boxes[:, :2].tolist(), sizes.tolist(), self.classes.tolist(), self.scores.tolist()
            )
        ]


def suppress(boxes: np.ndarray, scores: np.ndarray, limit: float) -> np.ndarray:
    """Greedy non-maximum suppression: indexes kept, best first; a box goes if its IoU with a better one is above."""
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        union = areas[best] + areas[rest] - shared
        order = rest[shared <= limit * union]
    return np.array(kept, int)


class Detection:
    """See `task.Task`. An observation is the list of box records of one picture."""

    def __init__(self, net: Net, files: Sequence[Path], boxes: Sequence[list[dict[str, Any]]] | None = None) -> None:
        """boxes: the labelled boxes of each file, as `datasets.coco64` gives them; without them agreement alone is scored."""
        self.net = net
        reference = [self.detect(read_rgb(file)).above(REFERENCE_SCORE).records() for file in files]
        self._truths = [reference] if boxes is None else [boxes, reference]
        self.metrics = ("ap", "ap50", "ap-agreement", "ap50-agreement")[-2 * len(self._truths) :]

    def detect(self, image: np.ndarray) -> Detections:
        """Boxes of every class above the net's score threshold, suppressed per class, at most its `max_detections`."""
        outputs, prepared = self.net.run(image)
        spec, (height, width) = self.net.spec, image.shape[:2]
        boxes = outputs["boxes"][0].astype(np.float64) / (prepared.scale * 2)
        boxes = np.clip(boxes, 0, [width, height, width, height])
        scores = outputs["scores"][0]
        kept = []
        for one in np.flatnonzero((scores > spec["score_threshold"]).any(axis=0)):
            rows = np.flatnonzero(scores[:, one] > spec["score_threshold"])
            kept += [(row, one) for row in rows[suppress(boxes[rows], scores[rows, one], spec["nms_iou"])]]
        rows, classes = np.array(kept, int).reshape(-1, 2).T
        best = np.argsort(-scores[rows, classes], kind="stable")[: spec["max_detections"]]
        return Detections(boxes[rows[best]], scores[rows[best], classes[best]].astype(float), classes[best])

    def observe(self, index: int, image: np.ndarray) -> list[dict[str, Any]]:
        """See `task.Task`."""
        return self.detect(image).records()

    def scorer(self, observations: Sequence[list[dict[str, Any]]]) -> Scorer:
        """See `task.Task`; boxes are matched once, and only counted again for each choice of pictures."""
        limit = self.net.spec["max_detections"]
        tables = [tabulate(match(truth, observations, limit)) for truth in self._truths]

        def score(chosen: np.ndarray) -> dict[str, float]:
            weights = np.bincount(chosen, minlength=len(observations))
            return dict(zip(self.metrics, [value for table in tables for value in average_precision(table, weights)]))

        return score
