"""The pictures to measure on, and where they lie."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BenchmarkError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Dataset:
    """A named list of picture files in a fixed order."""

    name: str
    files: tuple[Path, ...]

    def identity(self) -> dict[str, Any]:
        """Name, number of pictures and a hash of their names and bytes: equal only for equal pictures."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        return {"dataset": self.name, "pictures": len(self.files), "pictures_sha256": digest.hexdigest()[:16]}


def read_rgb(path: Path) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB; grey becomes RGB, metadata (rotation, profile) is ignored.

    Raises `BenchmarkError` for a file that is missing or no picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's PNG reader raises SyntaxError
        raise BenchmarkError(f"'{path}' cannot be read as a picture ({error}); check the path") from error


def folder(path: Path, name: str | None = None, step: int = 1) -> Dataset:
    """Every `step`-th picture of a folder, by name; raises `BenchmarkError` if there is none."""
    if not path.is_dir():
        raise BenchmarkError(
            f"there is no folder '{path}'; fetch the data, or name the place with --data (or --images for pictures)"
        )
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise BenchmarkError(f"folder '{path}' has no pictures ({', '.join(SUFFIXES)})")
    return Dataset(name or path.name, tuple(files[::step]))


def kodak(data: Path, step: int = 1) -> Dataset:
    """The Kodak photos."""
    return folder(data / "eval" / "kodak", "kodak", step)


def imagenet150(data: Path, step: int = 1) -> tuple[Dataset, list[int]]:
    """Labelled photos and the class index (0..999) of each."""
    dataset = folder(data / "eval" / "imagenet150", "imagenet150", step)
    with open(data / "eval" / "imagenet150" / "labels.csv", newline="", encoding="utf-8") as table:
        labels = {row["file"]: int(row["class_index"]) for row in csv.DictReader(table)}
    return dataset, [labels[file.name] for file in dataset.files]


def coco64(data: Path, step: int = 1) -> tuple[Dataset, list[list[dict[str, Any]]], list[Path]]:
    """Photos with, for each, its boxes and its mask file.

    A box is {"bbox": [x, y, width, height] in pixels, "category_id": 1..80, "area"}; a mask is a PNG of VOC classes
    0..20 with 255 for pixels that do not count.
    """
    place = data / "eval" / "coco64"
    dataset = folder(place, "coco64", step)
    truth = json.loads((place / "instances.json").read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in truth["images"]}
    boxes: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
    for box in truth["annotations"]:
        boxes[names[box["image_id"]]].append({key: box[key] for key in ("bbox", "category_id", "area")})
    masks = [place / "voc21_masks" / f"{file.stem}.png" for file in dataset.files]
    return dataset, [boxes[file.name] for file in dataset.files], masks
