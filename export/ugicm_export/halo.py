"""How far around a tile the networks look: the numbers that let a runtime code large pictures in tiles without a seam."""

from __future__ import annotations

from ugicm_train.config import NetworkConfig
from ugicm_train.model.mean_network import STEPS

CELL = 64


def halo(network: NetworkConfig) -> tuple[int, int]:
    """Pixels beyond a tile, whose edges lie on multiples of 64, on which its symbols and its picture can depend.

    A depthwise 3x3 adds one position of its resolution; where the resolution falls, the reach grows to the next position.
    """
    context = 16 * (STEPS - 1) * network.context_blocks
    prior = _up(context, 32) + 32  # the block at 1/32 between the two up-samplings
    analysis = _up(8 * network.analysis8, 16) + 16 * network.analysis16
    hyper_analysis = 32 + 16  # its blocks at 1/32 and 1/16
    encode = _up(prior, CELL) + hyper_analysis + analysis
    synthesis = _up(8 * network.synthesis8, 16) + 16 * network.synthesis16
    decode = _up(synthesis + context, 32) + 32
    return _up(encode, CELL), _up(decode, CELL)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
