"""Any network saved by `torch.export.save` as a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export.passes import move_to_device_pass

from ugicm_train.teachers.base import FeatureTeacher, Seen, resized

MULTIPLE = 32
"""Sides of the pictures that a program gets are multiples of this."""


class ExportedTeacher(FeatureTeacher):
    """A program that makes a tuple of feature maps (N,C,h,w), one for each depth, of pictures (N,3,H,W) in [0,1].

    Its own normalisation is part of it, and so are its weights. It must take any N, and any H and W of 64, 96, 128 and so on;
    pictures are resized (antialiased) to the nearest.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        if not Path(path).is_file():
            raise FileNotFoundError(f"teacher program {path} does not exist; give a file that torch.export.save wrote")
        try:
            self._program, self._device = torch.export.load(path), torch.device("cpu")
            self.net: Any = self._program.module()
        except Exception as error:  # what torch.export.load raises for foreign bytes is not one class
            raise ValueError(f"{path} cannot be read as a program of torch.export: {type(error).__name__} {error}") from None
        with torch.no_grad():
            try:
                maps = self.net(torch.zeros(2, 3, 2 * MULTIPLE, 3 * MULTIPLE))
            except Exception as error:  # a guard of the program, or an operation in it
                raise ValueError(f"{path} does not take two pictures of 96x64 pixels, export it with dynamic sizes: {error}") from None
        if not isinstance(maps, (tuple, list)) or not maps or any(one.ndim != 4 or len(one) != 2 for one in maps):
            raise ValueError(f"{path} gives something else than a tuple of feature maps (N,C,h,w)")
        self.freeze()

    def _apply(self, fn: Any, recurse: bool = True) -> ExportedTeacher:
        """What `to` and its like call: tensors that the program itself makes move to the new device too."""
        device = fn(torch.empty(0, device=self._device)).device
        if device != self._device:
            self._program, self._device = move_to_device_pass(self._program, device), device
            net: Any = self._program.module()
            self.net = net.requires_grad_(False).to(memory_format=torch.channels_last)
        super()._apply(fn, recurse)
        return self

    def train(self, mode: bool = True) -> ExportedTeacher:
        """Always as it was exported: a program refuses to change its mode."""
        self.training = False
        return self

    def look(self, x: Tensor) -> Seen:
        """The maps of pictures resized to the nearest multiples of 32."""
        height, width = (max(2, round(side / MULTIPLE)) * MULTIPLE for side in x.shape[2:])
        return Seen(list(self.net(resized(x, height, width))))
