"""Judges of views: a teacher's distance, and the zero-shot class that a CLIP sees in a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ugicm_train.evaluate import Judge
from ugicm_train.losses import structure_error
from ugicm_train.teachers import FeatureTeacher, Panel, Teacher

LEAST_SIDE = 161
"""Sides of pictures whose five scales all hold the 11 pixels of MS-SSIM's window."""


def as_tensor(pixels: np.ndarray) -> Tensor:
    """(H,W,3) uint8 -> (1,3,H,W) in [0,1]."""
    return torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255


def distance_judge(teacher: Teacher) -> Judge:
    """The teacher's distance between view and original at full size."""

    @torch.no_grad()
    def judge(view: np.ndarray, original: np.ndarray, number: int) -> float:
        return float(teacher.distance(as_tensor(view), as_tensor(original)))

    return judge


@torch.no_grad()
def structure_judge(view: np.ndarray, original: np.ndarray, number: int) -> float:
    """MS-SSIM (Wang 2003, mean over R, G and B) of view and original in dB, -10 log10(1 - x); ValueError for sides below 161 pixels."""
    if min(original.shape[:2]) < LEAST_SIDE:
        size = f"{original.shape[1]}x{original.shape[0]}"
        raise ValueError(f"picture {number} is {size}: MS-SSIM needs sides of {LEAST_SIDE} pixels or more; leave it out, or --ms-ssim")
    return -10 * math.log10(max(float(structure_error(as_tensor(view), as_tensor(original))), 1e-10))


class ZeroShot:
    """Names what a picture shows: the text embedding nearest (cosine) to the picture's, both of one CLIP."""

    def __init__(self, teacher: FeatureTeacher, text: np.ndarray) -> None:
        """`text` (K,D), one row per class, need not be normalised; ValueError if it is not of the teacher's CLIP."""
        with torch.no_grad():
            embedding = teacher.look(torch.zeros(1, 3, 64, 64)).embedding
        if embedding is None or text.ndim != 2 or text.shape[1] != embedding.shape[1]:
            wide = "none" if embedding is None else f"{embedding.shape[1]} numbers"
            raise ValueError(f"text embeddings {text.shape} do not fit the teacher, whose embedding has {wide}")
        self.teacher = teacher
        self.text = F.normalize(torch.from_numpy(text.astype(np.float32)), dim=1)

    @torch.no_grad()
    def classify(self, pixels: np.ndarray) -> int:
        """Row of the text embeddings nearest to a picture (H,W,3) uint8."""
        embedding = self.teacher.look(as_tensor(pixels)).embedding
        assert embedding is not None
        return int((self.text @ embedding[0].float()).argmax())

    def agreement_judge(self) -> Judge:
        """1 where view and original are given the same class, else 0."""
        known: dict[int, int] = {}

        def judge(view: np.ndarray, original: np.ndarray, number: int) -> float:
            if number not in known:
                known[number] = self.classify(original)
            return float(self.classify(view) == known[number])

        return judge

    def accuracy_judge(self, labels: Sequence[set[int]]) -> Judge:
        """1 where the class is one of the picture's own, else 0."""
        return lambda view, original, number: float(self.classify(view) in labels[number])


def read_text(path: Path) -> np.ndarray:
    """Text embeddings (K,D) of a .npy file; ValueError if it holds something else."""
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a .npy file of text embeddings: {error}") from None
    if found.ndim != 2:
        raise ValueError(f"{path} should hold text embeddings (K,D), got an array {found.shape}")
    return found


def read_labels(path: Path, files: Sequence[Path]) -> list[set[int]]:
    """Rows of the categories that a COCO JSON file gives each of `files`; rows follow the categories by their ids."""
    try:
        values = json.loads(path.read_text())
        row = {entry["id"]: number for number, entry in enumerate(sorted(values["categories"], key=lambda c: c["id"]))}
        names = {entry["id"]: Path(entry["file_name"]).name for entry in values["images"]}
        found: dict[str, set[int]] = {name: set() for name in names.values()}
        for entry in values["annotations"]:
            found[names[entry["image_id"]]].add(row[entry["category_id"]])
    except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a COCO annotation file: {type(error).__name__} {error}") from None
    unlabelled = [file.name for file in files if file.name not in found]
    if unlabelled:
        raise ValueError(f"{path} has no labels for {len(unlabelled)} of {len(files)} pictures, first {unlabelled[:3]}")
    return [found[file.name] for file in files]


def judges_for(
    teacher: FeatureTeacher | Panel | None, text: Path | None, labels: Path | None, files: Sequence[Path], structure: bool = False
) -> Mapping[str, Judge]:
    """The judges that the command line asks for, by the heading of their column; ValueError if they do not fit together."""
    found: dict[str, Judge] = {"ms-ssim": structure_judge} if structure else {}
    if teacher is None:
        if text or labels:
            raise ValueError("--text and --labels need --teacher open_clip:ARCH:FILE, the CLIP of the embeddings")
        return found
    found["teacher"] = distance_judge(teacher)
    if text is not None:
        from ugicm_train.teachers.clip import ClipTeacher

        if not isinstance(teacher, ClipTeacher):
            raise ValueError("--text needs one CLIP as --teacher (open_clip:ARCH:TAG or FILE): no other network knows text")
        probe = ZeroShot(teacher, read_text(text))
        found["agree"] = probe.agreement_judge()
        if labels is not None:
            found["top-1"] = probe.accuracy_judge(read_labels(labels, files))
    elif labels is not None:
        raise ValueError("--labels needs --text, the embeddings of its categories")
    return found
