"""Where the objects of a picture are: label-free proposals, COCO annotations, or a folder of masks."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ugicm_train.data import Place, read_image

log = logging.getLogger(__name__)

PROPOSALS = "proposals"
SMALLEST_SHARE, LARGEST_SHARE = 0.01, 0.6
"""Proposals cover at least and at most this share of the picture."""
MOST_PROPOSALS = 32
WORKING_SIDE = 256
"""Proposals are computed on a picture shrunk to this short side."""
SMALLEST_SIDE, SMALLEST_VISIBLE = 24, 0.5
"""An object serves a crop where it shows at least so many pixels per side and this share of its box."""


class InstanceSource(Protocol):
    """Objects of the pictures of a data set."""

    def boxes(self, path: Path) -> np.ndarray:
        """(K,4) float32 x0, y0, x1, y1 as fractions of the picture's width and height; K may be 0. Threads may call it."""
        ...


def open_instances(where: str, data: Sequence[str | Path], cache: str | Path) -> InstanceSource:
    """The source that `where` names: "proposals" (cached below `cache`), a COCO JSON file, or a folder of PNG masks
    for the pictures of the folders `data`."""
    if where == PROPOSALS:
        return ProposalBoxes(Path(cache))
    path = Path(where)
    if path.is_dir():
        return MaskBoxes(path, [Path(folder) for folder in data])
    if path.is_file():
        return CocoBoxes(path)
    raise FileNotFoundError(f"instances {where} is neither {PROPOSALS!r} nor a COCO JSON file nor a folder of PNG masks")


def pick_box(rng: np.random.Generator, boxes: np.ndarray, place: Place, side: int) -> np.ndarray:
    """One object that the crop shows well, (4,) x0, y0, x1, y1 in its pixels, all 0 if there is none.

    Draws one number in either case, so that a crop without objects does not change what the next one gets.
    """
    chance = rng.random()
    height, width = place.size
    whole = boxes * np.array([width, height, width, height]) - np.array([place.left, place.top] * 2)
    whole = whole * (side / (place.cut or side))
    seen = whole.clip(0, side)
    extent, seen_extent = whole[:, 2:] - whole[:, :2], seen[:, 2:] - seen[:, :2]
    fits = (seen_extent.min(1) >= SMALLEST_SIDE) & (seen_extent.prod(1) >= SMALLEST_VISIBLE * extent.prod(1))
    found = np.flatnonzero(fits)
    if not len(found):
        return np.zeros(4, np.float32)
    x0, y0, x1, y1 = seen[found[int(chance * len(found))]]
    if place.mirrored:
        x0, x1 = side - x1, side - x0
    if place.turned:
        x0, y0, x1, y1 = y0, x0, y1, x1
    return np.array([np.floor(x0), np.floor(y0), np.ceil(x1), np.ceil(y1)], np.float32)


class CocoBoxes:
    """Boxes of a COCO JSON file; a picture is found by its file name. Crowd boxes are left out."""

    def __init__(self, path: Path) -> None:
        try:
            values = json.loads(path.read_text())
            images = {entry["id"]: entry for entry in values["images"]}
            found: dict[str, list[list[float]]] = {Path(entry["file_name"]).name: [] for entry in images.values()}
            for entry in values["annotations"]:
                if entry.get("iscrowd"):
                    continue
                image = images[entry["image_id"]]
                x, y, w, h = entry["bbox"]
                box = [x / image["width"], y / image["height"], (x + w) / image["width"], (y + h) / image["height"]]
                found[Path(image["file_name"]).name].append(box)
        except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a COCO annotation file: {type(error).__name__} {error}") from None
        self._boxes = {name: np.array(boxes, np.float32).reshape(-1, 4) for name, boxes in found.items()}
        self._source, self._warned = path, False

    def boxes(self, path: Path) -> np.ndarray:
        found = self._boxes.get(path.name)
        if found is None:
            if not self._warned:
                log.warning("%s knows nothing of %s; pictures without objects learn from whole crops", self._source, path)
                self._warned = True
            return np.zeros((0, 4), np.float32)
        return found


def label_boxes(labels: np.ndarray) -> np.ndarray:
    """Boxes (K,4), as fractions, of the regions of a label map (H,W) of integers; 0 is background."""
    from skimage.measure import regionprops

    height, width = labels.shape
    found = [(x0 / width, y0 / height, x1 / width, y1 / height) for y0, x0, y1, x1 in (r.bbox for r in regionprops(labels))]
    return np.array(found, np.float32).reshape(-1, 4)


class MaskBoxes:
    """Boxes of PNG masks: `NAME.png` with one grey value per object and 0 for none, or a folder `NAME` of such files, as SAM
    writes them. NAME is the picture's path below its data folder without its ending."""

    def __init__(self, folder: Path, data: Sequence[Path]) -> None:
        self.folder, self.data = folder, data
        self._known: dict[Path, np.ndarray] = {}

    def boxes(self, path: Path) -> np.ndarray:
        if path not in self._known:
            name = next(path.relative_to(folder) for folder in self.data if path.is_relative_to(folder)).with_suffix("")
            single = self.folder / name.with_name(name.name + ".png")
            files = [single] if single.is_file() else sorted((self.folder / name).glob("*.png"))
            found = [label_boxes(self._labels(file)) for file in files]
            self._known[path] = np.concatenate([np.zeros((0, 4), np.float32), *found])
        return self._known[path]

    @staticmethod
    def _labels(file: Path) -> np.ndarray:
        with Image.open(file) as image:
            plain = image if image.mode in ("L", "P", "1", "I", "I;16") else image.convert("L")
            return np.asarray(plain).astype(np.int64)


class ProposalBoxes:
    """Label-free proposals: regions of Felzenszwalb and Huttenlocher's segmentation (IJCV 2004) at two scales, by scikit-image.

    Each picture is segmented once; its boxes are kept in `folder` under a hash of the file's path, size and time.
    """

    SCALES = (150, 500)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[Path, np.ndarray] = {}

    def boxes(self, path: Path) -> np.ndarray:
        if path not in self._known:
            self._known[path] = self._cached(path)
        return self._known[path]

    def _cached(self, path: Path) -> np.ndarray:
        status = path.stat()
        key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}|{self.SCALES}|{WORKING_SIDE}"
        file = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
        if file.is_file():
            return np.load(file)
        found = self.propose(read_image(path, WORKING_SIDE))
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{secrets.token_hex(8)}.partial")  # threads, processes and machines may make the same one
        with temporary.open("wb") as stream:
            np.save(stream, found)
        temporary.replace(file)
        return found

    def propose(self, pixels: np.ndarray) -> np.ndarray:
        """Boxes (K,4), as fractions, of at most 32 regions of (H,W,3) uint8, large ones first."""
        from skimage.segmentation import felzenszwalb

        found = []
        for scale in self.SCALES:
            found.append(label_boxes(felzenszwalb(pixels, scale=scale, sigma=0.8, min_size=64) + 1))
        boxes = np.unique(np.concatenate(found), axis=0)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        kept = (area >= SMALLEST_SHARE) & (area <= LARGEST_SHARE)
        boxes, area = boxes[kept], area[kept]
        return boxes[np.argsort(-area, kind="stable")][:MOST_PROPOSALS]
