"""TensorBoard logs: losses, rate and PSNR of validation, and one picture as three readers get it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ugicm_train.evaluate import Point, code_picture
from ugicm_train.model.build import AnyCodec

PREFERENCES = (0.0, 0.5, 1.0)
PICTURE_LEVELS = (8, 32)
LARGEST_SIDE = 512
"""Pictures in the log are cut to this many pixels per side, from the top left."""


class Board:
    """A log folder of TensorBoard, from `first_step` on: what an interrupted run wrote behind it is hidden."""

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RuntimeError("--tensorboard needs the package tensorboard: pip install tensorboard") from None
        self.writer = SummaryWriter(str(folder), purge_step=first_step)

    def losses(self, step: int, values: dict[str, float]) -> None:
        """Mean losses, learning rate and speed."""
        for name, value in values.items():
            self.writer.add_scalar(f"train/{name}", value, step)

    def validation(self, step: int, points: Sequence[Point], codec: AnyCodec, picture: np.ndarray) -> None:
        """Rate and PSNR per level, and `picture` (H,W,3) uint8 at preferences 0, 0.5 and 1, side by side, at two rates."""
        for point in points:
            self.writer.add_scalar(f"validation/bpp_q{point.level}", point.bpp, step)
            self.writer.add_scalar(f"validation/psnr_q{point.level}", point.psnr, step)
        for level in PICTURE_LEVELS:
            self.writer.add_image(f"views/q{level}", views(codec, picture, level), step, dataformats="HWC")
        self.writer.flush()

    def close(self) -> None:
        """Write what is pending."""
        self.writer.close()


@torch.no_grad()
def views(codec: AnyCodec, picture: np.ndarray, level: int) -> np.ndarray:
    """The original and its views at preferences 0, 0.5 and 1 in a row, (H,4W,3) uint8."""
    cut = picture[:LARGEST_SIDE, :LARGEST_SIDE]
    return np.concatenate([cut, *(code_picture(codec, cut, level, preference)[0] for preference in PREFERENCES)], axis=1)
