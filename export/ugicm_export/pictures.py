"""Pictures for calibration and measuring: from a folder, or made up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm"}
SIZES = ((64, 64), (192, 320), (512, 768))
MULTIPLE = 64


class PictureError(ValueError):
    """A folder holds too few pictures, or one that cannot be used."""


def sample_pictures(seed: int = 0) -> Iterator[np.ndarray]:
    """Per size one smooth picture with noise on it, uint8 (H,W,3): gradients, edges and texture."""
    rng = np.random.default_rng(seed)
    for height, width in SIZES:
        y, x = np.mgrid[:height, :width] / 64.0
        waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-3, 3, (3, 3))]
        picture = 128 + 90 * np.stack(waves, axis=-1) + rng.normal(0, 12, (height, width, 3))
        picture[height // 3 : height // 2, width // 4 : width // 2] = rng.uniform(0, 255, 3)
        yield picture.clip(0, 255).astype(np.uint8)


def picture_files(folder: Path, at_least: int = 1) -> list[Path]:
    """The picture files of a folder in the order of their names; PictureError if there are fewer than `at_least`."""
    if not folder.is_dir():
        raise PictureError(f"{folder} is not a folder; give a folder of pictures")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(files) < at_least:
        raise PictureError(
            f"{folder} holds {len(files)} pictures ({', '.join(sorted(SUFFIXES))}), at least {at_least} are needed"
        )
    return files


def read_crop(path: Path, side: int | None = None) -> np.ndarray:
    """The middle of a picture, uint8 (H,W,3): sides are multiples of 64, at most `side`; PictureError if it is too small."""
    from PIL import Image

    from ugicm_train.data import UNREADABLE

    try:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB"))
    except UNREADABLE as error:
        raise PictureError(f"{path} cannot be read: {error}") from None
    height, width = (min(length, side or length) // MULTIPLE * MULTIPLE for length in picture.shape[:2])
    if not height or not width:
        raise PictureError(f"{path} is {picture.shape[1]}x{picture.shape[0]}, expected at least {MULTIPLE} in both sides")
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


def spread(files: list[Path], count: int) -> list[Path]:
    """`count` files evenly over the list, or all of them."""
    if len(files) <= count:
        return files
    return [files[index * len(files) // count] for index in range(count)]
