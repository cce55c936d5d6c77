"""Frequency tables of the entropy coder, computed once at export and stored in entropy.bin; decoding never comes here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ugicm_coder._core import BLOCK, MAX_RADIUS, PRECISION, SCALE_COUNT

SCALES: npt.NDArray[np.float64] = np.exp(np.linspace(math.log(0.11), math.log(64.0), SCALE_COUNT))
"""Scale of each index, float64 (64,), log-spaced from 0.11 to 64: within 3% the standard deviation of its symbols before rounding."""

PARTS = (0.77, 1.15)
"""Standard deviations of the two Gaussians that a symbol comes from with equal odds, in units of its scale.

An index is a guess of the scale; where the guess is sometimes high and sometimes low, the symbols have a higher peak and longer tails
than one Gaussian. docs/entropy.md has the measurement behind the numbers."""

TOTAL = 1 << PRECISION
"""Sum of every frequency table."""

FLAG_CONTEXTS = 4
"""Blocks whose largest scale index is below this carry a zero flag; docs/entropy.md gives the measurements behind the number."""

FLAG_FILL = 0.3
"""Mean probability of a non-zero symbol in a flagged block, relative to that of the block's largest index.

Block DCT latents gave 0.17 to 0.25; indexes made by a network vary less within a block, hence a little more."""

LIFT = 9
"""Smallest scale index used inside a flagged block that is not all zero, where one symbol of `BLOCK` is certainly not zero."""


@dataclass(frozen=True)
class EntropyTables:
    """The static tables of entropy.bin."""

    frequencies: tuple[npt.NDArray[np.uint16], ...]
    """64 arrays of length 2 * radius + 2: values -radius..radius, then the escape; each entry >= 1, each sum 1 << PRECISION."""
    zero_flags: npt.NDArray[np.uint16]
    """Frequency of "all zero" out of 1 << PRECISION for blocks whose largest index is 0, 1, ...; its length is the flag threshold."""
    lift: int
    """Scale index to which smaller ones are raised in a flagged block that is not all zero, 0..63."""


def build_tables() -> EntropyTables:
    """Tables of the 64 `SCALES`, rounded to integers. Uses math.erfc, so bytes may differ between machines."""
    nonzero = np.array([2.0 * _tail_probability(scale, 0.5) for scale in SCALES[:FLAG_CONTEXTS].tolist()])
    zero = np.rint(TOTAL * (1.0 - FLAG_FILL * nonzero) ** BLOCK)
    return EntropyTables(
        frequencies=tuple(_table(scale) for scale in SCALES.tolist()),
        zero_flags=np.clip(zero, 1, TOTAL - 1).astype(np.uint16),
        lift=LIFT,
    )


def ideal_bits(symbols: npt.NDArray[np.int16], scale_indexes: npt.NDArray[np.uint8]) -> float:
    """Bits of an ideal coder: the sum of -log2 of each symbol's probability before it was quantised. Shapes must match."""
    if symbols.shape != scale_indexes.shape:
        raise ValueError(f"symbols has shape {symbols.shape}, scale_indexes {scale_indexes.shape}; expected the same")
    keys, counts = np.unique(
        scale_indexes.astype(np.int64) << 16 | np.abs(symbols.astype(np.int64)), return_counts=True
    )
    bits = [_bin_bits(float(SCALES[key >> 16]), int(key & 0xFFFF)) for key in keys]
    return float(np.dot(bits, counts))


def _tail_probability(scale: float, edge: float) -> float:
    """Probability of a value above `edge` for symbols of this scale."""
    return sum(0.5 * math.erfc(edge / (part * scale * math.sqrt(2.0))) for part in PARTS) / len(PARTS)


def _bin_probability(scale: float, value: int) -> float:
    """Probability that a value of this scale rounds to `value` >= 0."""
    if value == 0:
        return 1.0 - 2.0 * _tail_probability(scale, 0.5)
    return _tail_probability(scale, value - 0.5) - _tail_probability(scale, value + 0.5)


def _bin_bits(scale: float, value: int) -> float:
    """-log2 of `_bin_probability`; where that underflows, of the wider part by the asymptote erfc(x) = exp(-x^2) / (x sqrt(pi))."""
    probability = _bin_probability(scale, value)
    if probability > 1e-280:
        return -math.log2(probability)
    x = (value - 0.5) / (max(PARTS) * scale * math.sqrt(2.0))
    return (x * x + math.log(2.0 * len(PARTS) * x * math.sqrt(math.pi))) / math.log(2.0)


def _table(scale: float) -> npt.NDArray[np.uint16]:
    """Integer frequencies of -radius..radius and escape; the radius ends where a value is worth less than half a slot."""
    radius = 0
    while radius < MAX_RADIUS and _bin_probability(scale, radius + 1) * TOTAL > 0.5:
        radius += 1
    half = [_bin_probability(scale, value) for value in range(radius + 1)]
    tail = 2.0 * _tail_probability(scale, radius + 0.5)
    return _quantise(np.array(half[:0:-1] + half + [tail]))


def _quantise(probability: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    """Frequencies >= 1 with sum 1 << PRECISION; the rounding surplus goes where it costs least expected code length."""
    frequency: npt.NDArray[np.float64] = np.maximum(1.0, np.rint(probability * TOTAL))
    while (missing := TOTAL - frequency.sum()) != 0:
        step = math.copysign(1.0, missing)
        changed = np.maximum(frequency + step, 0.5)  # log2 needs a positive number; entries of 1 are excluded below
        gain = np.where(frequency + step >= 1, probability * np.log2(changed / frequency), -math.inf)
        frequency[int(np.argmax(gain))] += step
    return frequency.astype(np.uint16)
