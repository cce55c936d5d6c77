"""Suite "rd": PSNR-RGB, MS-SSIM and SSIMULACRA 2 over the bits of the whole file."""

from __future__ import annotations

import importlib.metadata
import math
import time
from typing import Any

import numpy as np

from . import datasets, metrics
from .codecs import ImageCodec
from .config import Config
from .datasets import Dataset, read_rgb
from .errors import BenchmarkError
from .progress import Progress
from .roster import contestants
from .store import Store

_QUICK_STEP = 6
PERCEPTUAL_STEP = 3  # SSIMULACRA 2 takes half a second per picture, so every third is looked at
_NAMES = ("bpp", "psnr-rgb", "ms-ssim-rgb", "ssimulacra2", "encoding_time", "decoding_time")


def run(config: Config, store: Store) -> None:
    """Measure every codec that has no fresh result yet."""
    step = config.step(_QUICK_STEP)
    dataset = datasets.folder(config.images, step=step) if config.images else datasets.kodak(config.data, step)
    identity = {**dataset.identity(), "metrics": _metrics()}
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

    "ssimulacra2" is the mean over every `PERCEPTUAL_STEP`-th picture alone, beginning with the first. The picture that
    is compared is decoded from the very bytes that are counted. Where a codec has several views, the first counts.
    """
    progress = Progress(f"rd {dataset.name} {codec.name}", len(qualities) * len(dataset.files))
    samples = []
    with progress:
        for index, file in enumerate(dataset.files):
            image = read_rgb(file)
            rows = []
            for quality in qualities:
                rows.append(_one(codec, image, quality, perceptual=index % PERCEPTUAL_STEP == 0))
                progress.step()
            samples.append(rows)
    means = np.nanmean(samples, axis=0).T
    return {"quality": list(qualities), **{name: _rounded(row) for name, row in zip(_NAMES, means)}}


def _one(codec: ImageCodec, image: np.ndarray, quality: float, perceptual: bool) -> tuple[float, ...]:
    """One sample, in the order of `_NAMES`; NaN for the perceptual score if it is not wanted."""
    start = time.perf_counter()
    data = codec.encode(image, quality)
    middle = time.perf_counter()
    decoded = codec.decode(data, codec.views[0])
    end = time.perf_counter()
    scores = metrics.psnr(image, decoded), metrics.ms_ssim(image, decoded)
    opinion = metrics.ssimulacra2(image, decoded) if perceptual else math.nan
    return metrics.bits_per_pixel(data, image), *scores, opinion, middle - start, end - middle


def _metrics() -> dict[str, Any]:
    """What the scores depend on besides the pixels."""
    try:
        versions = {name: importlib.metadata.version(name) for name in ("pytorch-msssim", "ssimulacra2")}
    except importlib.metadata.PackageNotFoundError as error:
        raise BenchmarkError(f"rd needs the package {error.name}; install the bench extra") from error
    return {"ssimulacra2_every": PERCEPTUAL_STEP, "versions": versions}


def _rounded(row: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in row]
