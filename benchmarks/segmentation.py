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
    """See `task.Task`. An observation is a confusion matrix with the truth, where there is one, and one with the original's map."""

    def __init__(self, net: Net, files: Sequence[Path], masks: Sequence[Path] | None = None) -> None:
        """masks: one PNG of class numbers per file, of the file's size; without them agreement alone is scored."""
        self.net = net
        reference = [self.label_map(read_rgb(file)) for file in files]
        self._truths = [reference] if masks is None else [[_read_mask(mask) for mask in masks], reference]
        self.metrics = ("miou", "pixel-accuracy", "miou-agreement", "pixel-agreement")[-2 * len(self._truths) :]

    def label_map(self, image: np.ndarray) -> np.ndarray:
        """The most likely class of every pixel, uint8 (H, W): logits resized to the picture, then arg max.

        Bilinear with half-pixel centres and no antialiasing.
        """
        import torch
        from torch.nn.functional import interpolate

        outputs, _ = self.net.run(image)
        logits = interpolate(torch.from_numpy(outputs["logits"]), image.shape[:2], mode="bilinear", align_corners=False)
        return logits[0].argmax(0).to(torch.uint8).numpy()

    def observe(self, index: int, image: np.ndarray) -> list[np.ndarray]:
        """See `task.Task`."""
        predicted, classes = self.label_map(image), self.net.spec["classes"]
        return [confusion(truth[index], predicted, classes) for truth in self._truths]

    def scorer(self, observations: Sequence[list[np.ndarray]]) -> Scorer:
        """See `task.Task`; one confusion matrix over all pictures."""
        table = np.array(observations)

        def score(chosen: np.ndarray) -> dict[str, float]:
            values = [
                function(counts) for counts in table[chosen].sum(axis=0) for function in (mean_iou, pixel_accuracy)
            ]
            return dict(zip(self.metrics, values))

        return score


def _read_mask(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)
