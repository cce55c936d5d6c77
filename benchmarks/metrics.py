"""How far a decoded picture is from the original."""

from __future__ import annotations

import io
import math

import numpy as np

from .errors import BenchmarkError

PSNR_LIMIT = 100.0
MS_SSIM_SIDE = 161


def bits_per_pixel(data: bytes, image: np.ndarray) -> float:
    """Bits of the whole file per pixel of the (H, W, 3) picture it holds."""
    return 8 * len(data) / (image.shape[0] * image.shape[1])


def psnr(original: np.ndarray, decoded: np.ndarray) -> float:
    """PSNR-RGB in dB of two (H, W, 3) uint8 pictures, peak 255, one mean over all samples.

    At most 100 dB, so that a mean over pictures stays finite when one comes back unchanged.
    """
    _check(original, decoded)
    mse = float(np.mean((original.astype(np.float64) - decoded) ** 2))
    return PSNR_LIMIT if mse == 0 else min(PSNR_LIMIT, 10 * math.log10(255**2 / mse))


def ms_ssim(original: np.ndarray, decoded: np.ndarray) -> float:
    """MS-SSIM (Wang 2003) in 0..1 of two (H, W, 3) uint8 pictures, mean over R, G and B, by pytorch-msssim."""
    import pytorch_msssim
    import torch

    _check(original, decoded)
    if min(original.shape[:2]) < MS_SSIM_SIDE:
        raise BenchmarkError(
            f"a picture is {original.shape[1]}x{original.shape[0]}, but MS-SSIM needs both sides to be "
            f"{MS_SSIM_SIDE} or more; leave such pictures out"
        )
    pair = [torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() for array in (original, decoded)]
    return float(pytorch_msssim.ms_ssim(*pair, data_range=255))


def decibels(similarity: float) -> float:
    """-10 log10(1 - x) of an MS-SSIM x in dB, which spreads out what lies near 1."""
    return -10 * math.log10(max(1 - similarity, 1e-10))


def ssimulacra2(original: np.ndarray, decoded: np.ndarray) -> float:
    """SSIMULACRA 2 (Sneyers 2022) of two (H, W, 3) uint8 pictures: 100 is equal, 70 good, 30 poor, below 0 broken.

    By the package of that name, which holds all it needs: a fixed linear weighting of structural similarity and edge
    differences at six scales, fitted to people's opinions of compressed photos. It reads files, so it is given some.
    """
    from PIL import Image
    from ssimulacra2 import compute_ssimulacra2

    _check(original, decoded)
    files = [io.BytesIO(), io.BytesIO()]
    for array, file in zip((original, decoded), files):
        Image.fromarray(array).save(file, "PPM")
    return float(compute_ssimulacra2(*files))


def _check(original: np.ndarray, decoded: np.ndarray) -> None:
    if original.shape != decoded.shape or decoded.dtype != np.uint8:
        raise BenchmarkError(
            f"a codec gave back {decoded.dtype} {decoded.shape} for a picture of {original.shape}; this codec is broken"
        )
