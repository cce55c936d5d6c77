"""Suite "rd": PSNR-RGB and MS-SSIM over the bits of the whole file."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from . import datasets, metrics
from .codecs import ImageCodec
from .config import Config
from .datasets import Dataset, read_rgb
from .progress import Progress
from .roster import contestants
from .store import Store

_QUICK_STEP = 6


def run(config: Config, store: Store) -> None:
    """Measure every codec that has no fresh result yet."""
    step = config.step(_QUICK_STEP)
    dataset = datasets.folder(config.images, step=step) if config.images else datasets.kodak(config.data, step)
    identity = dataset.identity()
    for codec in contestants(config, "rd"):
        qualities = config.ladder(codec.qualities("rd"))
        settings = {**identity, "qualities": qualities, **codec.settings()}
        key = f"rd-{dataset.name}-{codec.name}"
        if store.is_fresh(key, settings):
            print(f"{key}: already measured")
            continue
        results = measure(codec, dataset, qualities)
        description = (
            f"{settings['codec']}; means over {len(dataset.files)} pictures of {dataset.name}; real file bytes"
        )
        store.save(key, name=codec.name, description=description, suite="rd", results=results, settings=settings)


def measure(codec: ImageCodec, dataset: Dataset, qualities: tuple[int, ...]) -> dict[str, Any]:
    """Means over the pictures at each quality: bpp, psnr-rgb (dB), ms-ssim-rgb, encoding_time and decoding_time (s).

    The picture that is compared is decoded from the very bytes that are counted. Where a codec has several views, the
    first counts.
    """
    progress = Progress(f"rd {dataset.name} {codec.name}", len(qualities) * len(dataset.files))
    samples = []
    with progress:
        for file in dataset.files:
            image = read_rgb(file)
            rows = []
            for quality in qualities:
                rows.append(_one(codec, image, quality))
                progress.step()
            samples.append(rows)
    means = np.mean(samples, axis=0).T
    names = ("bpp", "psnr-rgb", "ms-ssim-rgb", "encoding_time", "decoding_time")
    return {"quality": list(qualities), **{name: _rounded(row) for name, row in zip(names, means)}}


def _one(codec: ImageCodec, image: np.ndarray, quality: float) -> tuple[float, float, float, float, float]:
    start = time.perf_counter()
    data = codec.encode(image, quality)
    middle = time.perf_counter()
    decoded = codec.decode(data, codec.views[0])
    end = time.perf_counter()
    bpp = metrics.bits_per_pixel(data, image)
    return bpp, metrics.psnr(image, decoded), metrics.ms_ssim(image, decoded), middle - start, end - middle


def _rounded(row: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in row]
