"""Folders of any images as a data set: crops drawn as a pure function of (seed, step), so that a resumed run sees the same."""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

log = logging.getLogger(__name__)

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff"))
SHORT_SIDE = 768
"""Larger pictures are shrunk to this short side when they are read, or to that of a crop if it is larger."""
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for damaged files; SyntaxError stands for a broken PNG chunk."""


def find_images(folder: str | Path) -> list[Path]:
    """Image files below `folder`, recursively, sorted; FileNotFoundError if there is none."""
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"data folder {root} does not exist; give a folder with images (searched recursively)")
    found = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise FileNotFoundError(f"no image found below {root}; looked for {', '.join(sorted(SUFFIXES))}")
    return found


def read_image(path: Path, longest_short_side: int | None = None) -> np.ndarray:
    """(H,W,3) uint8 pixels of a file, shrunk (Lanczos) where its short side exceeds `longest_short_side`; ValueError if none."""
    try:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be read as a picture ({error}); replace or remove it") from error
    if longest_short_side and min(rgb.size) > longest_short_side:
        factor = longest_short_side / min(rgb.size)
        size = (round(rgb.width * factor), round(rgb.height * factor))
        rgb = rgb.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(rgb)


@dataclass(frozen=True)
class Place:
    """Where a crop was taken: its image's file, the image's (height, width) as read, the corner of the square cut from it, mirrored or
    not; the side of the square in pixels if that was shrunk to the crop's; whether rows and columns changed places in the end."""

    path: Path
    size: tuple[int, int]
    top: int
    left: int
    mirrored: bool
    cut: int | None = None
    turned: bool = False


class CropSource:
    """Random crops of the images of folders; decoded images are kept in memory up to `cache_bytes`. Threads may share it."""

    def __init__(
        self,
        folders: str | Path | Sequence[str | Path],
        longest_short_side: int | None = SHORT_SIDE,
        cache_bytes: int = 4 << 30,
        smallest: int = 256,
        shrink: float = 1.0,
        turn: bool = False,
    ) -> None:
        """`folders` as in `find_images`, or several of them; one that is named twice is drawn from twice as often.

        Below 1, `shrink` is the smallest of the factors by which squares are made crops (drawn for each; Lanczos); images are then read
        at up to 1.5 times `longest_short_side`. With `turn`, rows and columns of half the crops change places.
        """
        several = (folders,) if isinstance(folders, (str, Path)) else folders
        self.paths = [path for folder in several for path in find_images(folder)]
        self.distinct = len(set(self.paths))
        self.shrink, self.turn = shrink, turn
        if longest_short_side and shrink < 1:
            longest_short_side = round(1.5 * longest_short_side)
        self.longest_short_side = longest_short_side
        self.smallest = smallest
        self.cache_bytes = cache_bytes
        self.cache: dict[Path, np.ndarray | None] = {}
        self.cached = 0
        self.unusable = 0
        self._lock = threading.Lock()

    def image(self, index: int) -> np.ndarray | None:
        """Pixels of image `index`, or None where the file is corrupt or smaller than a crop (warned and counted once)."""
        if self.unusable == self.distinct:
            raise ValueError(f"none of the {self.distinct} images can be used, as was said before")
        path = self.paths[index]
        if path in self.cache:
            return self.cache[path]
        pixels: np.ndarray | None = None
        try:
            pixels = read_image(path, self.longest_short_side)
        except ValueError as error:
            log.warning("skipped: %s", error)
        if pixels is not None and min(pixels.shape[:2]) < self.smallest:
            log.debug("skipping %s: %dx%d is smaller than a crop", path, pixels.shape[1], pixels.shape[0])
            pixels = None
        with self._lock:
            self._keep(path, pixels)
        return pixels

    def _keep(self, path: Path, pixels: np.ndarray | None) -> None:
        """Remember a decoded image if there is room, or that it cannot be used; ValueError when none can."""
        if path in self.cache:
            return
        if pixels is None:
            self.unusable += 1
            self.cache[path] = None
            if self.unusable == self.distinct:
                raise ValueError(
                    f"none of the {self.distinct} images can be used: all corrupt or below {self.smallest} pixels"
                )
        elif self.cached + pixels.nbytes <= self.cache_bytes:
            self.cache[path] = pixels
            self.cached += pixels.nbytes

    def crops(self, rng: np.random.Generator, count: int, side: int) -> Tensor:
        """`count` crops (count,3,side,side) float in [0,1], each from a random image, half of them mirrored."""
        return self.draw(rng, count, side)[0].float().div_(255)

    def draw(self, rng: np.random.Generator, count: int, side: int) -> tuple[Tensor, list[Place]]:
        """The crops of `crops` as (count,3,side,side) uint8, and where each was taken."""
        out, places = np.empty((count, side, side, 3), np.uint8), []
        for slot in range(count):
            pixels = None
            while pixels is None:
                index = int(rng.integers(len(self.paths)))
                pixels = self.image(index)
            cut = side
            if self.shrink < 1:
                cut = min(round(side / rng.uniform(self.shrink, 1)), *pixels.shape[:2])
            top = int(rng.integers(pixels.shape[0] - cut + 1))
            left = int(rng.integers(pixels.shape[1] - cut + 1))
            crop = pixels[top : top + cut, left : left + cut]
            if cut != side:
                crop = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.LANCZOS))
            mirrored = bool(rng.random() < 0.5)
            crop = crop[:, ::-1] if mirrored else crop
            turned = self.turn and bool(rng.random() < 0.5)
            out[slot] = crop.swapaxes(0, 1) if turned else crop
            places.append(Place(self.paths[index], (pixels.shape[0], pixels.shape[1]), top, left, mirrored, cut, turned))
        return torch.from_numpy(out).permute(0, 3, 1, 2), places
