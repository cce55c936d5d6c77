"""The best quality whose stream fits into a number of bytes."""

import numpy as np

from ..bitstream import LEVELS
from ..codec import QUALITY_MAX, Codec
from ..entropy import Clock
from .problems import Problem


def encode_within(codec: Codec, array: np.ndarray, limit: float, clock: Clock) -> tuple[float, bytes]:
    """Quality and stream of the highest rate level of at most `limit` bytes, found by bisection in at most 7 engine calls.

    Streams grow with the level, up to the odd exception of a few bytes, which costs at most a step of quality and never
    the limit. Raises `Problem` (422) if even level 0 is longer.
    """
    low, high = 0, LEVELS - 1
    best: tuple[float, bytes] | None = None
    smallest = 0
    while low <= high:
        level = (low + high) // 2
        quality = QUALITY_MAX * level / (LEVELS - 1)
        stream = codec.encode_timed(array, quality, clock)
        if len(stream) <= limit:
            best, low = (quality, stream), level + 1
        else:
            smallest, high = len(stream), level - 1
    if best is None:
        detail = f"at quality 0 this picture takes {smallest:,} bytes, over the {limit:,.0f} asked for"
        raise Problem(422, f"{detail}; allow more, or shrink the picture first", "TargetError")
    return best
