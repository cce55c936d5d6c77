"""What every machine task offers, and how its scores get confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from .nets import Net

# Scores of a choice of pictures, given as an index array in which pictures may occur several times.
Scorer = Callable[[np.ndarray], dict[str, float]]

REPLICATES = 200
_SEED = 20250101


class Task(Protocol):
    """A net, the truth, and the net's own predictions on the originals."""

    net: Net
    metrics: tuple[str, ...]

    def observe(self, index: int, image: np.ndarray) -> Any:
        """Compare the prediction on a (H, W, 3) uint8 picture with truth and reference of picture `index`."""

    def scorer(self, observations: Sequence[Any]) -> Scorer:
        """A function that scores any choice of the observed pictures (one observation per picture, in order)."""


def summarise(score: Scorer, bits_per_pixel: Sequence[float]) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Scores over all pictures, and over bootstrap samples of them; "bpp" (a mean over pictures) is among both.

    Sample number i draws the same pictures for every codec, view and rate, so differences between two results can be
    taken sample by sample, which is much sharper than comparing two intervals.
    """
    rates = np.asarray(bits_per_pixel)
    generator = np.random.default_rng(_SEED)
    everything = np.arange(len(rates))
    samples = generator.integers(0, len(rates), (REPLICATES, len(rates)))
    rows = [{"bpp": float(rates[chosen].mean()), **score(chosen)} for chosen in (everything, *samples)]
    return rows[0], {name: [row[name] for row in rows[1:]] for name in rows[0]}
