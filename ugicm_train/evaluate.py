"""Estimated rate and PSNR of a codec on whole pictures, in float32 as the engines compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from ugicm_train.model.build import AnyCodec

MULTIPLE = 64


@dataclass(frozen=True)
class Point:
    """Means over the pictures at one quality level and preference."""

    level: int
    preference: float
    bpp: float
    psnr: float
    judged: dict[str, float] = field(default_factory=dict)
    """What each judge found."""


Judge = Callable[[np.ndarray, np.ndarray, int], float]
"""(view, original, number of the picture) -> a figure; pictures (H,W,3) uint8."""


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 pictures; infinite when equal."""
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


@torch.no_grad()
def code_picture(codec: AnyCodec, pixels: np.ndarray, level: int, preference: float) -> tuple[np.ndarray, float]:
    """The view (H,W,3) uint8 of a picture (H,W,3) uint8 of any size, and its rate in bpp (entropy estimate)."""
    device = next(codec.parameters()).device
    height, width = pixels.shape[:2]
    x = torch.tensor(pixels, device=device).permute(2, 0, 1)[None].float() / 255
    x = F.pad(x, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
    coded = codec(x, torch.tensor([level], device=device), torch.tensor([preference], device=device))
    view = (coded.view[0, :, :height, :width].clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return view.permute(1, 2, 0).cpu().numpy(), float(coded.latent_bits + coded.hyper_bits) / (height * width)


def evaluate(
    codec: AnyCodec,
    images: Iterable[np.ndarray],
    levels: Iterable[int],
    preferences: Iterable[float] = (0.0,),
    judges: Mapping[str, Judge] | None = None,
) -> list[Point]:
    """Mean bpp (entropy estimate), PSNR and figures of the judges over `images` ((H,W,3) uint8) per level and preference."""
    was_training = codec.training
    codec.eval()
    points, pictures, axis = [], list(images), list(preferences)
    for level in levels:
        for preference in axis:
            rates, qualities = [], []
            judged: dict[str, list[float]] = {name: [] for name in judges or {}}
            for number, pixels in enumerate(pictures):
                view, rate = code_picture(codec, pixels, level, preference)
                rates.append(rate)
                qualities.append(psnr(view, pixels))
                for name, judge in (judges or {}).items():
                    judged[name].append(judge(view, pixels, number))
            means = {name: float(np.mean(values)) for name, values in judged.items()}
            points.append(Point(level, preference, float(np.mean(rates)), float(np.mean(qualities)), means))
    codec.train(was_training)
    return points
