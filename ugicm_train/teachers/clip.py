"""Visual towers of CLIP models (open_clip) as teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ugicm_train import torchvision_schema
from ugicm_train.teachers.base import FeatureTeacher, Seen, resized

DEPTHS = 4
"""Feature maps of so many depths, evenly spread, the last one included."""


def _create(arch: str, weights: str) -> Any:
    """The CLIP model of open_clip; `weights` is a file or one of open_clip's tags, which may be fetched."""
    torchvision_schema.declare()
    import open_clip

    if open_clip.get_model_config(arch) is None:
        raise ValueError(f"open_clip has no architecture {arch!r}; open_clip.list_models() names them")
    known = open_clip.list_pretrained_tags_by_model(arch)
    if not Path(weights).is_file() and weights not in known:
        tags = f"tags {', '.join(known)}" if known else "no tags, a file is needed"
        raise FileNotFoundError(f"teacher weights {weights!r} are neither a file nor a tag of {arch} ({tags})")
    try:
        return open_clip.create_model(arch, pretrained=weights)
    except Exception as error:  # the hub's clients raise their own classes
        raise RuntimeError(
            f"weights {weights!r} of {arch} could not be loaded ({type(error).__name__}: {str(error).splitlines()[0][:200]}); "
            f"without a network give a file: open_clip:{arch}:FILE"
        ) from error


class ClipTeacher(FeatureTeacher):
    """The visual tower of a CLIP: feature maps of four depths and the embedding it shares with text.

    Pictures are resized (antialiased, both sides to the tower's input) and normalised as the weights want it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, arch: str, weights: str) -> None:
        super().__init__()
        self.tower: Any = _create(arch, weights).visual
        settings = self.tower.preprocess_cfg
        self.mode = settings.get("interpolation", "bicubic")
        size = self.tower.image_size
        self.size = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(settings[name]).reshape(1, 3, 1, 1), persistent=False)
        self.freeze()

    def look(self, x: Tensor) -> Seen:
        height, width = self.size
        x = resized(x, height, width, self.mode)
        found = self.tower.forward_intermediates((x - self.mean) / self.std)
        maps = found["image_intermediates"]
        count = min(DEPTHS, len(maps))
        chosen = [maps[(number + 1) * len(maps) // count - 1] for number in range(count)]
        return Seen(chosen, found["image_features"])
