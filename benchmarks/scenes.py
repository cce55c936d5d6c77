"""The pictures that are timed, and the quality each codec is timed at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .codecs import ImageCodec, PillowCodec
from .config import OURS
from .datasets import Dataset, read_rgb
from .errors import BenchmarkError

PHOTO = (768, 512)  # width, height of the photos everything is made of
OUR_QUALITY = 50
_PHOTOS = 3
_TARGET_BPP = 0.5  # rate of the classic codecs where ours takes no part
_MATCHED = (1080, 1920)  # rows and columns that are looked at to find a quality; more would take minutes


def pictures(dataset: Dataset, size: tuple[int, int]) -> list[np.ndarray]:
    """Pictures of a size (width, height): the first photos where it is theirs, otherwise one mosaic of photos.

    A mosaic, cut at the right and at the bottom, has the detail per pixel of the photos; an enlarged photo would be smooth
    and flatter the classic codecs, whose time depends on what they see.
    """
    width, height = PHOTO
    photos = [image for image in map(read_rgb, dataset.files) if image.shape == (height, width, 3)]
    if not photos:
        raise BenchmarkError(f"{dataset.name} has no picture of {width}x{height}, the size that is timed")
    return photos[:_PHOTOS] if size == PHOTO else [mosaic(photos, size)]


def mosaic(photos: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Photos of one shape side by side, in order and from the beginning again, cut to a size (width, height)."""
    rows, columns = (-(-side // part) for side, part in zip(size[::-1], photos[0].shape))
    tiles = [
        np.concatenate([photos[(row * columns + column) % len(photos)] for column in range(columns)], axis=1)
        for row in range(rows)
    ]
    return np.ascontiguousarray(np.concatenate(tiles)[: size[1], : size[0]])


def quality_for(codec: ImageCodec, codecs: Sequence[ImageCodec], image: np.ndarray) -> int:
    """The quality to time: that of ours, and for the classic codecs the one whose file is nearest to ours in size.

    Of a large picture only the upper left part is matched.
    """
    if not isinstance(codec, PillowCodec):
        return OUR_QUALITY
    part = np.ascontiguousarray(image[: _MATCHED[0], : _MATCHED[1]])
    ours = [one for one in codecs if one.name == OURS]
    target = len(ours[0].encode(part, OUR_QUALITY)) if ours else int(_TARGET_BPP * part.shape[0] * part.shape[1] / 8)
    return nearest_quality(codec, part, target)


def nearest_quality(codec: ImageCodec, image: np.ndarray, target: int) -> int:
    """The quality 1..100 whose file is nearest to `target` bytes, found by bisection: sizes rise with quality."""
    low, high = 1, 100
    sizes: dict[int, int] = {}
    while low <= high:
        middle = (low + high) // 2
        sizes[middle] = len(codec.encode(image, middle))
        low, high = (middle + 1, high) if sizes[middle] < target else (low, middle - 1)
    return min(sizes, key=lambda quality: abs(sizes[quality] - target))
