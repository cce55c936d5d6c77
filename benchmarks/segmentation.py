"""Task "segment": mean IoU and pixel accuracy against the mask, and against the label map of the original."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .datasets import read_rgb
from .nets import Net
from .task import Scorer

VOID = 255


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes) int64 of pixels by true (row) and predicted (column) class; truth 255 is left out."""
    valid = truth != VOID
    pairs = truth[valid].astype(np.int64) * classes + predicted[valid]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def mean_iou(counts: np.ndarray) -> float:
    """Mean of intersection over union over the classes that occur in the truth; 0 if none does."""
    hits, truth, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    occurs = truth > 0
    return float(np.mean(hits[occurs] / (truth + predicted - hits)[occurs])) if occurs.any() else 0.0


def pixel_accuracy(counts: np.ndarray) -> float:
    """Share of the counted pixels that are right; 0 if there are none."""
    return float(np.trace(counts) / max(counts.sum(), 1))


class Segmentation:
    """See `task.Task`. An observation is a pair of confusion matrices: with the truth, with the original's map."""

    metrics = ("miou", "pixel-accuracy", "miou-agreement", "pixel-agreement")

    def __init__(self, net: Net, files: Sequence[Path], masks: Sequence[Path]) -> None:
        """masks: one PNG of class numbers per file, of the file's size."""
        self.net = net
        self._truth = [_read_mask(mask) for mask in masks]
        self._reference = [self.label_map(read_rgb(file)) for file in files]

    def label_map(self, image: np.ndarray) -> np.ndarray:
        """The most likely class of every pixel, uint8 (H, W): logits resized to the picture, then arg max.

        Bilinear with half-pixel centres and no antialiasing.
        """
        import torch
        from torch.nn.functional import interpolate

        outputs, _ = self.net.run(image)
        logits = interpolate(torch.from_numpy(outputs["logits"]), image.shape[:2], mode="bilinear", align_corners=False)
        return logits[0].argmax(0).to(torch.uint8).numpy()

    def observe(self, index: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `task.Task`."""
        predicted, classes = self.label_map(image), self.net.spec["classes"]
        return (
            confusion(self._truth[index], predicted, classes),
            confusion(self._reference[index], predicted, classes),
        )

    def scorer(self, observations: Sequence[tuple[np.ndarray, np.ndarray]]) -> Scorer:
        """See `task.Task`; one confusion matrix over all pictures."""
        table = np.array(observations)

        def score(chosen: np.ndarray) -> dict[str, float]:
            truth, reference = table[chosen].sum(axis=0)
            values = mean_iou(truth), pixel_accuracy(truth), mean_iou(reference), pixel_accuracy(reference)
            return dict(zip(self.metrics, values))

        return score


def _read_mask(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)
