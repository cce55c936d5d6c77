"""The only writer of entropy.bin.

Byte table, little-endian, without padding (Q qualities, Z hyper, K1 wide, K2 narrow, M latent channels):

====================  =====================================================================================
bytes                 field
====================  =====================================================================================
8                     magic 8B 55 47 45 0D 0A 1A 0A
1                     version = 2
1                     precision of the frequency tables in bits = 11
1                     symbols per block = 16
1                     number of scale indexes = 64
1                     F, number of zero-flag contexts, 0..64
1                     lift index, 0..63
2 each                Q (1..256), Z, K1, K2, M (1..1024)
64 tables             radius R (1 byte, 0..255), then 2R + 2 frequencies (2 bytes each)
2 F                   zero-flag frequencies
Q Z                   scale index of each hyper channel at each quality, (Q, Z), 0..63
5 layers              weights (int8, (outputs, inputs)), biases (int32), shifts (1 byte, 0..24), per output channel
4 Q M                 quality bias (int32, (Q, M))
4                     CRC-32C of all bytes before it
====================  =====================================================================================

Layer shapes (outputs, inputs): (K1, Z), (K1, 9), (16 K2, K1), (K2, 9), (M, K2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ugicm_coder._core import BLOCK, PRECISION, SCALE_COUNT, EntropyModel, crc32c
from ugicm_coder.tables import EntropyTables, build_tables

MAGIC = b"\x8bUGE\r\n\x1a\n"
VERSION = 2


@dataclass(frozen=True)
class IntegerLayer:
    """One layer of the scale network: out = clip((sum weight * in + bias + rounding) >> shift, 0, 255; the last layer to 63)."""

    weight: npt.NDArray[np.int8]
    """Pointwise: int8 (outputs, inputs); depthwise: int8 (channels, 3, 3). In [-127, 127]."""
    bias: npt.NDArray[np.int32]
    """int32 (outputs,)."""
    shift: npt.NDArray[np.uint8]
    """uint8 (outputs,), 0..24."""


@dataclass(frozen=True)
class EntropyModelSpec:
    """All that entropy.bin holds."""

    z_index: npt.NDArray[np.uint8]
    """uint8 (Q, Z), 0..63: the scale index of each hyper channel at each quality."""
    layers: tuple[IntegerLayer, IntegerLayer, IntegerLayer, IntegerLayer, IntegerLayer]
    """1x1 Z -> K1; depthwise K1; 1x1 K1 -> 16 K2, whose row c * 16 + i * 4 + j feeds channel c at (4y + i, 4x + j);
    depthwise K2; 1x1 K2 -> M."""
    quality_bias: npt.NDArray[np.int32]
    """int32 (Q, M), added to the bias of the last layer."""
    tables: EntropyTables = field(default_factory=build_tables)
    """Frequency tables; the default is right unless a test wants others."""


def pack(spec: EntropyModelSpec) -> bytes:
    """Bytes of entropy.bin.

    Raises ValueError for a wrong shape or dtype, and ModelError when the result would not load (range of a field, overflow proof).
    """
    hyper, wide, narrow, latent, qualities = _sizes(spec)
    tables = spec.tables
    head = struct.pack("<6B5H", VERSION, PRECISION, BLOCK, SCALE_COUNT, len(tables.zero_flags), tables.lift,
                       qualities, hyper, wide, narrow, latent)  # fmt: skip
    parts = [MAGIC, head]
    for frequencies in tables.frequencies:
        parts += [
            struct.pack("<B", len(frequencies) // 2 - 1),
            _raw("frequencies", frequencies, "<u2", (len(frequencies),)),
        ]
    parts += [_raw("zero_flags", tables.zero_flags, "<u2", (len(tables.zero_flags),))]
    parts += [_raw("z_index", spec.z_index, "<u1", (qualities, hyper))]
    shapes: tuple[tuple[int, ...], ...] = (
        (wide, hyper),
        (wide, 3, 3),
        (16 * narrow, wide),
        (narrow, 3, 3),
        (latent, narrow),
    )
    for number, (layer, shape) in enumerate(zip(spec.layers, shapes, strict=True)):
        parts += [_raw(f"layers[{number}].weight", layer.weight, "<i1", shape)]
        parts += [_raw(f"layers[{number}].bias", layer.bias, "<i4", shape[:1])]
        parts += [_raw(f"layers[{number}].shift", layer.shift, "<u1", shape[:1])]
    parts += [_raw("quality_bias", spec.quality_bias, "<i4", (qualities, latent))]
    body = b"".join(parts)
    data = body + struct.pack("<I", crc32c(body))
    EntropyModel(data)
    return data


def _sizes(spec: EntropyModelSpec) -> tuple[int, int, int, int, int]:
    """(Z, K1, K2, M, Q), read from the arrays that define them."""
    if len(spec.layers) != 5 or len(spec.tables.frequencies) != SCALE_COUNT:
        raise ValueError(
            f"got {len(spec.layers)} layers and {len(spec.tables.frequencies)} tables; expected 5 and {SCALE_COUNT}"
        )
    for name, array in (
        ("z_index", spec.z_index),
        ("quality_bias", spec.quality_bias),
        ("weight", spec.layers[0].weight),
    ):
        if array.ndim != 2:
            raise ValueError(f"{name} has {array.ndim} dimensions; expected 2")
    qualities, hyper = spec.z_index.shape
    return hyper, len(spec.layers[0].weight), len(spec.layers[3].weight), spec.quality_bias.shape[1], qualities


def _raw(name: str, array: npt.NDArray[np.generic], dtype: str, shape: tuple[int, ...]) -> bytes:
    """Little-endian bytes of an array that must already have this dtype and shape."""
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} {array.shape}; expected {np.dtype(dtype)} {shape}")
    return np.ascontiguousarray(array, dtype=dtype).tobytes()
