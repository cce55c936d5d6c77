"""A random entropy model with few channels; enough to code the symbols of the tiny bundle."""

import numpy as np
from ugicm_coder import EntropyModelSpec, IntegerLayer, pack

HYPER_CHANNELS = 4
LATENT_CHANNELS = 8
_QUALITIES = 64
_WIDE = 8
_NARROW = 6


def random_entropy(seed: int) -> bytes:
    """The bytes of an `entropy.bin`; the same seed gives the same bytes."""
    random = np.random.default_rng(seed)
    shapes = [
        (_WIDE, HYPER_CHANNELS),
        (_WIDE, 3, 3),
        (16 * _NARROW, _WIDE),
        (_NARROW, 3, 3),
        (LATENT_CHANNELS, _NARROW),
    ]
    spec = EntropyModelSpec(
        z_index=random.integers(20, 50, (_QUALITIES, HYPER_CHANNELS)).astype(np.uint8),
        layers=tuple(_layer(random, shape) for shape in shapes),
        quality_bias=random.integers(0, 2000, (_QUALITIES, LATENT_CHANNELS)).astype(np.int32),
    )
    return pack(spec)


def _layer(random: np.random.Generator, shape: tuple[int, ...]) -> IntegerLayer:
    return IntegerLayer(
        weight=random.integers(-60, 61, shape).astype(np.int8),
        bias=random.integers(-500, 4000, shape[0]).astype(np.int32),
        shift=random.integers(6, 8, shape[0]).astype(np.uint8),
    )
