"""Estimated rate and PSNR of a codec on whole pictures, in float32 as the engines compute."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ugicm_train.model.codec import Codec

MULTIPLE = 64


@dataclass(frozen=True)
class Point:
    """Means over the pictures at one quality level and preference."""

    level: int
    preference: float
    bpp: float
    psnr: float


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 pictures; infinite when equal."""
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


@torch.no_grad()
def evaluate(
    codec: Codec, images: Iterable[np.ndarray], levels: Iterable[int], preferences: Iterable[float] = (0.0,)
) -> list[Point]:
    """Mean bpp (entropy estimate) and PSNR over `images` ((H,W,3) uint8) per level and preference."""
    was_training = codec.training
    codec.eval()
    device = next(codec.parameters()).device
    points, pictures = [], list(images)
    for level in levels:
        for preference in preferences:
            rates, qualities = [], []
            for pixels in pictures:
                height, width = pixels.shape[:2]
                x = torch.tensor(pixels, device=device).permute(2, 0, 1)[None].float() / 255
                x = F.pad(x, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
                coded = codec(x, torch.tensor([level], device=device), torch.tensor([preference], device=device))
                view = (coded.view[0, :, :height, :width].clamp(0, 1) * 255 + 0.5).to(torch.uint8)
                rates.append(float(coded.latent_bits + coded.hyper_bits) / (height * width))
                qualities.append(psnr(view.permute(1, 2, 0).cpu().numpy(), pixels))
            points.append(Point(level, preference, float(np.mean(rates)), float(np.mean(qualities))))
    codec.train(was_training)
    return points
