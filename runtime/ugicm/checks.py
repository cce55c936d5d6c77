"""The door of `Codec`: what callers may pass, checked and brought to one form."""

import math
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from ugicm_coder import QUALITY_STEPS

from .bitstream import MAX_STEP
from .errors import ImageError, OptionError

if TYPE_CHECKING:
    from PIL.Image import Image

QUALITY_MAX = 100
MAX_THREADS = 1024
MAX_EFFORT = 16

_Value = TypeVar("_Value")
_Number = TypeVar("_Number", int, float)


def quality_to_level(quality: float) -> float:
    """Map quality 0..100 to the nearest rate level, 0..63 in steps of 1/8; raises `OptionError`."""
    if not 0 <= quality <= QUALITY_MAX:  # NaN fails too
        raise OptionError(f"quality is {quality}, expected 0..{QUALITY_MAX}")
    return math.floor(quality * MAX_STEP / QUALITY_MAX + 0.5) / QUALITY_STEPS


def check_threads(threads: int | None) -> int:
    """The number of threads to use; None means every core this process may run on. Raises `OptionError`."""
    if threads is None:
        # In a container this can be fewer than the machine has.
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= threads <= MAX_THREADS:
        raise OptionError(f"threads is {threads}, expected 1..{MAX_THREADS}, or None for all cores")
    return threads


def check_limit(name: str, value: _Number, low: int, high: int) -> _Number:
    """`value` if it lies in low..high, else `OptionError`."""
    if not low <= value <= high:
        raise OptionError(f"{name} is {value}, expected {low}..{high}")
    return value


def as_array(image: "np.ndarray | Image") -> np.ndarray:
    """A picture as a (H, W, 3) uint8 array with at least one pixel; raises `ImageError`."""
    if not isinstance(image, np.ndarray):
        from PIL.Image import Image

        from .image import to_rgb

        if not isinstance(image, Image):
            raise ImageError(
                f"the picture is a {type(image).__name__}, expected a (H, W, 3) uint8 array or a Pillow image"
            )
        image, notes = to_rgb(image)
        for note in notes:
            warnings.warn(note, stacklevel=4)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"the picture has shape {image.shape} and type {image.dtype}, expected (H, W, 3) and uint8")
    if 0 in image.shape:
        raise ImageError(f"the picture has shape {image.shape}, expected at least one pixel")
    return image


def for_each(name: str, value: _Value | Sequence[_Value], count: int) -> list[_Value]:
    """A list with one value for each of `count` items, from a list of them or from one for all."""
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str):
        return [value] * count
    if len(value) != count:
        raise OptionError(f"there are {len(value)} values of {name} for {count} items; give one for all or one for each")
    return list(value)
