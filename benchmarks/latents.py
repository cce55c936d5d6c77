"""Symbols for the coder benchmark: those our model makes of photos, those of a file, or synthetic ones of a given rate."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ugicm_coder import SCALES, EntropyModel

from .datasets import read_rgb
from .errors import BenchmarkError

BPP = (0.1, 0.3, 0.6, 1.0)
"""Rates of the synthetic latents."""

LATENT_SHAPE = (192, 32, 48)
"""M, h, w of a 768x512 photo."""

PIXELS_PER_POSITION = 256


@dataclass(frozen=True)
class Latents:
    """Symbols of one picture."""

    name: str
    r: npt.NDArray[np.int16]
    scale_indexes: npt.NDArray[np.uint8]
    z: npt.NDArray[np.int16] | None = None
    quality: float = 0


def of_photos(
    bundle: Path | None, photos: Sequence[Path], qualities: Sequence[float]
) -> tuple[EntropyModel, list[Latents]]:
    """The entropy model of a bundle (None: the runtime's default) and what it makes of each photo at each quality."""
    import ugicm
    from ugicm.bundle import Bundle
    from ugicm.manifest import ENTROPY

    try:
        codec = ugicm.Codec.open(bundle, threads=1)
        model = EntropyModel(Bundle.open(bundle).read(ENTROPY))
        found = []
        for quality in qualities:
            for photo in photos:
                z, r, level = codec.encode_symbols(read_rgb(photo), quality)
                found.append(Latents(f"{photo.stem} q{quality:g}", r, model.scale_indexes(z, level), z, level))
    except (ugicm.UgicmError, OSError) as error:
        raise BenchmarkError(f"the symbols of photos cannot be made: {error}") from error
    return model, found


def entropies() -> npt.NDArray[np.float64]:
    """Bits per symbol of each scale index."""
    bits = []
    for scale in SCALES:
        reach = int(8 * scale) + 2
        edges = np.array([math.erf((v - 0.5) / (scale * math.sqrt(2.0))) for v in range(-reach, reach + 2)])
        probability = np.diff(edges) / 2
        probability = probability[probability > 0]
        bits.append(float(-(probability * np.log2(probability)).sum()))
    return np.array(bits)


def smooth(field: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A field at a quarter of the resolution, enlarged four times by linear interpolation in both directions."""
    for axis in (1, 2):
        size = field.shape[axis]
        place = np.clip((np.arange(4 * size) - 1.5) / 4, 0, size - 1)
        low = np.minimum(place.astype(int), max(size - 2, 0))
        weight = (place - low).reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, size - 1)
        field = np.take(field, low, axis) * (1 - weight) + np.take(field, high, axis) * weight
    return field


def synthetic(bpp: float, seed: int = 0) -> Latents:
    """Latents of a given rate: activity varies over the picture, falls from channel to channel, and both share a slow field."""
    generator = np.random.default_rng(seed)
    channels, rows, columns = LATENT_SHAPE
    common = smooth(generator.normal(size=(1, rows // 4, columns // 4)))
    own = smooth(generator.normal(size=(channels, rows // 4, columns // 4)))
    fall = np.linspace(24, -24, channels)[:, None, None]
    shape = fall + 9 * common + 4 * own + generator.normal(size=LATENT_SHAPE)
    bits = entropies()
    low, high = -80.0, 100.0
    for _ in range(40):
        middle = (low + high) / 2
        indexes = np.clip(np.rint(shape + middle), 0, 63).astype(np.uint8)
        if bits[indexes].sum() > bpp * rows * columns * PIXELS_PER_POSITION:
            high = middle
        else:
            low = middle
    r = np.rint(generator.normal(size=LATENT_SHAPE) * SCALES[indexes]).astype(np.int16)
    return Latents(f"synthetic {bpp}", r, indexes)


def load(path: Path) -> Latents:
    """Reads an .npz; raises `BenchmarkError` when it cannot be read or an array is missing."""
    try:
        opened = np.load(path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BenchmarkError(f"the latents cannot be read: {error}") from error
    if not isinstance(opened, np.lib.npyio.NpzFile):
        raise BenchmarkError(f"{path} is no .npz file; give one that holds r and scale_indexes")
    with opened as file:
        missing = {"r", "scale_indexes"} - set(file.files)
        if missing:
            raise BenchmarkError(f"{path} lacks {sorted(missing)}; expected r, scale_indexes and optionally z, quality")
        z = file["z"].astype(np.int16) if "z" in file.files else None
        quality = float(file["quality"]) if "quality" in file.files else 0
        return Latents(path.stem, file["r"].astype(np.int16), file["scale_indexes"].astype(np.uint8), z, quality)
