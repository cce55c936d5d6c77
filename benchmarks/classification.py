"""Task "classify": top-1 and top-5 against the label, top-1 agreement with the prediction on the original."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .datasets import read_rgb
from .nets import Net
from .task import Scorer

_TOP = 5


class Classification:
    """See `task.Task`. An observation is (label is first, label is in the first five, same first as the original)."""

    metrics = ("top1", "top5", "top1-agreement")

    def __init__(self, net: Net, files: Sequence, labels: Sequence[int]) -> None:
        """labels: class index of each file."""
        self.net, self._labels = net, labels
        self._reference = [self.ranking(read_rgb(file))[0] for file in files]

    def ranking(self, image: np.ndarray) -> np.ndarray:
        """The five most likely classes, best first."""
        outputs, _ = self.net.run(image)
        return np.argsort(-outputs["logits"][0], kind="stable")[:_TOP]

    def observe(self, index: int, image: np.ndarray) -> tuple[bool, bool, bool]:
        """See `task.Task`."""
        ranking, label = self.ranking(image), self._labels[index]
        return bool(ranking[0] == label), bool(label in ranking), bool(ranking[0] == self._reference[index])

    def scorer(self, observations: Sequence[tuple[bool, bool, bool]]) -> Scorer:
        """See `task.Task`."""
        table = np.array(observations, float)
        return lambda chosen: dict(zip(self.metrics, table[chosen].mean(axis=0).tolist()))
