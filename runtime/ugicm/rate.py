"""Finding the rate level whose stream comes closest to a wanted size from below."""

import math
from collections.abc import Callable

from ugicm_coder import QUALITY_STEPS

from .bitstream import LEVELS, MAX_STEP
from .errors import OptionError

MAX_CALLS = 8
TOLERANCE = 0.01
_LEAP = 4
_GROWTH = math.log(1.05) / QUALITY_STEPS  # of the logarithm of the size with one step, until two sizes are known


def check_target(target_bytes: int | None, target_bpp: float | None, pixels: int) -> int:
    """The wanted size in bytes, given in one of the two ways; raises `OptionError`."""
    if (target_bytes is None) == (target_bpp is None):
        raise OptionError("give either target_bytes or target_bpp")
    wanted = target_bytes if target_bpp is None else target_bpp * pixels / 8
    assert wanted is not None
    if not 1 <= wanted < float("inf"):
        raise OptionError(f"the wanted size is {wanted:g} bytes, expected at least 1")
    return int(wanted)


def search(encode: Callable[[int], bytes], target: int) -> bytes:
    """The longest stream found of at most `target` bytes, in at most `MAX_CALLS` calls of `encode`.

    `encode` takes a step, a level in eighths, 0..`MAX_STEP`; size grows with it. Where it grows about exponentially, as it
    does, the best step is found; however it grows, the step found is within four whole levels of the best. Raises
    `OptionError` when even the lowest step is longer.
    """
    low, high = -1, MAX_STEP + 1  # steps known to fit, known to be too long; outside the range at first
    sizes: dict[int, int] = {}
    best = b""
    for calls_left in range(MAX_CALLS, 0, -1):
        if high - low <= 1:
            break
        step = _guess(low, high, sizes, target, calls_left)
        stream = encode(step)
        sizes[step] = len(stream)
        if len(stream) <= target:
            low, best = step, max(stream, best, key=len)  # of equals the later, which is of a higher level
        else:
            high = step
    if not best:
        raise OptionError(
            f"the wanted size is {target} bytes, but the lowest quality takes {sizes[0]}; ask for at least that, "
            "or make the picture smaller"
        )
    return best


def _guess(low: int, high: int, sizes: dict[int, int], target: int, calls_left: int) -> int:
    """The next step to try, strictly between `low` and `high`."""
    if low < 0 and calls_left == 1:
        return 0  # only this tells whether any fits
    # Halving is sure to end within four whole levels in time, so it takes over when the calls left are just enough for it.
    halvings = calls_left - (low < 0)  # until a step fits, one call is kept for the lowest
    if not sizes or ((high - low - 1) // (4 * QUALITY_STEPS)).bit_length() >= halvings:
        return (low + high) // 2
    step = min(max(_crossing(sizes, target), low + 1), high - 1)
    # Sizes of small pictures are stairs, whose slope misleads: instead of creeping along one, leap.
    if step == low + 1 and low - 1 in sizes:
        step = min(low + _LEAP, (low + high) // 2)
    elif step == high - 1 and high + 1 in sizes:
        step = max(high - _LEAP, (low + high) // 2)
    return step


def _crossing(sizes: dict[int, int], target: int) -> int:
    """The last step below the target, on the line through the two nearest sizes in logarithms."""
    nearest = sorted(sizes, key=lambda step: abs(math.log(sizes[step] / target)))
    growth = _GROWTH
    if len(nearest) > 1:
        one, other = nearest[:2]
        growth = max(math.log(sizes[one] / sizes[other]) / (one - other), _GROWTH / 4)
    return math.floor(nearest[0] + math.log(target / sizes[nearest[0]]) / growth)


def shortfall(size: int, target: int, level: float) -> str | None:
    """A sentence for people if a stream found by `search` is more than 1% below the target; else None."""
    missing = 1 - size / target
    if missing <= TOLERANCE:
        return None
    why = "it has the best quality there is" if level == LEVELS - 1 else "the next rate level tried is larger than the target"
    return f"{size} bytes are {100 * missing:.1f}% below the target of {target}: {why}"
