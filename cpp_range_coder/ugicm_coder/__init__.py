"""Entropy core of UG-ICM: entropy.bin, the integer scale network, the rANS coder and CRC-32C. Imports numpy only."""

from ugicm_coder._core import MAX_HYPER, MAX_RESIDUAL, QUALITY_STEPS, EntropyModel, ModelError, StreamError, crc32c
from ugicm_coder.model_file import EntropyModelSpec, IntegerLayer, pack
from ugicm_coder.tables import SCALES, EntropyTables, build_tables, ideal_bits

__all__ = [
    "MAX_HYPER",
    "MAX_RESIDUAL",
    "QUALITY_STEPS",
    "SCALES",
    "EntropyModel",
    "EntropyModelSpec",
    "EntropyTables",
    "IntegerLayer",
    "ModelError",
    "StreamError",
    "build_tables",
    "crc32c",
    "ideal_bits",
    "pack",
]
