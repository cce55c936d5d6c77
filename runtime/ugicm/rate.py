"""Finding the rate level whose stream comes closest to a wanted size from below."""

import math
from collections.abc import Callable

from .bitstream import LEVELS
from .errors import OptionError

MAX_CALLS = 8
TOLERANCE = 0.01


def check_target(target_bytes: int | None, target_bpp: float | None, pixels: int) -> int:
    """The wanted size in bytes, given in one of the two ways; raises `OptionError`."""
    if (target_bytes is None) == (target_bpp is None):
        raise OptionError("give either target_bytes or target_bpp")
    wanted = target_bytes if target_bpp is None else target_bpp * pixels / 8
    assert wanted is not None
    if not 0 < wanted < float("inf"):
        raise OptionError(f"the wanted size is {wanted} bytes, expected more than 0")
    return int(wanted)


def search(encode: Callable[[int], bytes], target: int) -> bytes:
    """The longest stream of at most `target` bytes among the levels, found in at most `MAX_CALLS` calls of `encode`.

    Size grows with the level, close to exponentially; so the level is guessed on the line through the two ends of the
    bracket in the logarithm of the size, and the bracket is halved where that would creep. Raises `OptionError` when
    even the lowest level is longer.
    """
    low, high = -1, LEVELS  # levels known to fit, known to be too long; outside the range at first
    sizes: dict[int, int] = {}
    best = b""
    for call in range(MAX_CALLS):
        if high - low <= 1:
            break
        level = _guess(low, high, sizes, target, MAX_CALLS - call)
        stream = encode(level)
        sizes[level] = len(stream)
        if len(stream) <= target:
            low, best = level, stream
        else:
            high = level
    if not best:
        smallest = min(sizes.values())
        raise OptionError(
            f"the wanted size is {target} bytes, but the lowest quality takes {smallest}; ask for at least that, "
            "or make the picture smaller"
        )
    return best


def _guess(low: int, high: int, sizes: dict[int, int], target: int, calls_left: int) -> int:
    """The next level to try, strictly between `low` and `high`."""
    middle = (low + high) // 2
    # Halving is sure to end in time, so it takes over as soon as the calls left are just enough for it.
    if low not in sizes or high not in sizes or (high - low - 1).bit_length() >= calls_left:
        return middle
    share = math.log2(target / sizes[low]) / max(math.log2(sizes[high] / sizes[low]), 1e-9)
    return min(max(low + round(share * (high - low)), low + 1), high - 1)


def shortfall(size: int, target: int, level: int) -> str | None:
    """A sentence for people if a stream found by `search` is more than 1% below the target; else None."""
    missing = 1 - size / target
    if missing <= TOLERANCE:
        return None
    why = "it has the best quality there is" if level == LEVELS - 1 else "the next rate level is larger than the target"
    return f"{size} bytes are {100 * missing:.1f}% below the target of {target}: {why}"
