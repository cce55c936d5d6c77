"""Random models and symbols for the coder tests."""

from __future__ import annotations

import struct

import numpy as np
from ugicm_coder import SCALES, EntropyModelSpec, EntropyTables, IntegerLayer, build_tables, crc32c

HYPER, WIDE, NARROW, LATENT, QUALITIES = 5, 9, 3, 7, 4
"""Small, and no multiple of a vector width."""


def random_layer(generator: np.random.Generator, *shape: int, shift: int, level: int) -> IntegerLayer:
    """Random weights whose outputs are spread over about 0..2 * level after the shift."""
    return IntegerLayer(
        weight=generator.integers(-127, 128, shape).astype(np.int8),
        bias=generator.integers(-(level << shift) // 2, 2 * level << shift, shape[0]).astype(np.int32),
        shift=np.clip(generator.integers(shift - 1, shift + 2, shape[0]), 0, 24).astype(np.uint8),
    )


def random_spec(
    seed: int,
    hyper_channels: int = HYPER,
    latent_channels: int = LATENT,
    wide: int = WIDE,
    narrow: int = NARROW,
    qualities: int = QUALITIES,
    tables: EntropyTables | None = None,
) -> EntropyModelSpec:
    """A model with random weights and, by default, the standard tables."""
    generator = np.random.default_rng(seed)
    return EntropyModelSpec(
        z_index=generator.integers(0, 64, (qualities, hyper_channels)).astype(np.uint8),
        layers=(
            random_layer(generator, wide, hyper_channels, shift=7, level=128),
            random_layer(generator, wide, 3, 3, shift=9, level=128),
            random_layer(generator, 16 * narrow, wide, shift=9, level=128),
            random_layer(generator, narrow, 3, 3, shift=9, level=128),
            random_layer(generator, latent_channels, narrow, shift=10, level=25),
        ),
        quality_bias=generator.integers(-20000, 20000, (qualities, latent_channels)).astype(np.int32),
        tables=build_tables() if tables is None else tables,
    )


def random_tables(seed: int) -> EntropyTables:
    """Tables of random radius, asymmetric and often very skewed, and random flags."""
    generator = np.random.default_rng(seed)

    def table() -> np.ndarray:
        size = 2 * int(generator.choice([0, 1, 2, 40, 255])) + 2
        weight = generator.random(size) ** float(generator.choice([1.0, 30.0]))
        frequency = 1 + generator.multinomial(2048 - size, weight / weight.sum())
        return frequency.astype(np.uint16)

    flags = generator.integers(1, 2048, int(generator.choice([0, 1, 30, 64]))).astype(np.uint16)
    return EntropyTables(tuple(table() for _ in range(64)), flags, int(generator.integers(0, 64)))


def fixed_spec() -> EntropyModelSpec:
    """A model made of plain arithmetic, free of generators and floats, for tests that pin bytes."""

    def ramp(*shape: int) -> np.ndarray:
        return np.arange(int(np.prod(shape))).reshape(shape)

    def layer(*shape: int, bias: int, shift: int) -> IntegerLayer:
        weight = (ramp(*shape) * 37 % 255 - 127).astype(np.int8)
        return IntegerLayer(weight, (ramp(shape[0]) * 91 + bias).astype(np.int32), np.full(shape[0], shift, np.uint8))

    def fixed_table(index: int) -> np.ndarray:
        radius = index % 3
        frequency = np.arange(2 * radius + 2) * 7 + index + 1
        frequency[radius] += 2048 - frequency.sum()
        return frequency.astype(np.uint16)

    tables = EntropyTables(
        frequencies=tuple(fixed_table(i) for i in range(64)),
        zero_flags=np.array([2000, 1500, 900], np.uint16),
        lift=5,
    )
    layers = (
        layer(3, 2, bias=9000, shift=7),
        layer(3, 3, 3, bias=5000, shift=6),
        layer(32, 3, bias=4000, shift=8),
        layer(2, 3, 3, bias=9000, shift=9),
        layer(LATENT, 2, bias=12000, shift=9),
    )
    z_index = (ramp(2, 2) * 13 % 64).astype(np.uint8)
    return EntropyModelSpec(z_index, layers, (ramp(2, LATENT) * 700 - 3000).astype(np.int32), tables)


def random_band(seed: int, shape: tuple[int, int, int], spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(symbols, scale indexes): indexes smooth along a channel, symbols drawn from their Gaussians times `spread`."""
    generator = np.random.default_rng(seed)
    channels = shape[0]
    level = generator.uniform(-10, 60, (channels, 1, 1)) + generator.normal(size=shape).cumsum(2)
    indexes = np.clip(level, 0, 63).astype(np.uint8)
    symbols = np.rint(generator.normal(size=shape) * SCALES[indexes] * spread)
    return np.clip(symbols, -32767, 32767).astype(np.int16), indexes


def reseal(data: bytes) -> bytes:
    """entropy.bin with its checksum made right again."""
    return data[:-4] + struct.pack("<I", crc32c(data[:-4]))
