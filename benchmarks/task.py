"""What every machine task offers, and how its scores get confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

# Scores of a choice of pictures, given as an index array in which pictures may occur several times.
Scorer = Callable[[np.ndarray], dict[str, float]]

REPLICATES = 200
_SEED = 20250101


class Judge(Protocol):
    """Whoever looks at pictures for a task: mostly a net."""

    name: str


class Task(Protocol):
    """A net, the truth if there is one, and the net's own predictions on the originals."""

    @property
    def net(self) -> Judge:
        """Whoever looks."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the scores."""

    def observe(self, index: int, image: np.ndarray) -> Any:
        """Compare the prediction on a (H, W, 3) uint8 picture with truth and reference of picture `index`."""

    def scorer(self, observations: Sequence[Any]) -> Scorer:
        """A function that scores any choice of the observed pictures (one observation per picture, in order)."""


def summarise(
    score: Scorer, sizes: Sequence[int], pixels: Sequence[int]
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Scores over all pictures, and over bootstrap samples of them; "bpp" is among both.

    sizes: bytes of each file. pixels: of each picture. bpp is all bits over all pixels, since the pictures of a task
    differ in size and a mean over pictures would let the smallest count most.

    Sample number i draws the same pictures for every codec, view and rate, so differences between two results can be
    taken sample by sample, which is much sharper than comparing two intervals.
    """
    bits, areas = 8.0 * np.asarray(sizes), np.asarray(pixels)
    generator = np.random.default_rng(_SEED)
    everything = np.arange(len(bits))
    samples = generator.integers(0, len(bits), (REPLICATES, len(bits)))
    rows = [
        {"bpp": float(bits[chosen].sum() / areas[chosen].sum()), **score(chosen)} for chosen in (everything, *samples)
    ]
    return rows[0], {name: [row[name] for row in rows[1:]] for name in rows[0]}
