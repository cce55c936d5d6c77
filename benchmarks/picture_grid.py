"""One photo as eyes see it: original, human view, machine view and AVIF of the same size, whole and in two enlarged crops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .codecs import pillow_codec
from .config import ROOT
from .datasets import read_rgb
from .markdown import label
from .metrics import bits_per_pixel, psnr
from .ours import HUMAN, MACHINE, UgicmCodec, view_name
from .scenes import nearest_quality

DEFAULT_PHOTO = ROOT / "examples" / "kodim23.png"
QUALITY = 20  # low enough for differences to be seen
_CROP = 6  # the photo's sides over those of a crop
_CROP_CENTRES = ((0.26, 0.46), (0.67, 0.36))  # parts of width and height: on the default photo the eyes of the birds
_PANEL_INCHES, _DPI = 3.6, 110
PEER = "avif"


@dataclass(frozen=True)
class Panel:
    """One column of the grid."""

    title: str
    image: np.ndarray


def make(bundle: Path | None, photo: Path, path: Path) -> str:
    """Write the grid as a PNG; returns a sentence that tells what it shows. Raises `BenchmarkError` without a bundle."""
    ours = UgicmCodec(bundle, (HUMAN, MACHINE))
    image = read_rgb(photo)
    draw(columns(ours, image), path)
    settings = ours.settings()
    return (
        f"`{photo.name}` at quality {QUALITY} with {settings['codec']} (fingerprint `{settings['fingerprint']}`, bundle "
        f"`{settings['bundle_sha256']}`): both views are decoded from one stream; AVIF is at the quality whose file is nearest "
        "in size. The lower rows enlarge two places."
    )


def columns(ours: UgicmCodec, image: np.ndarray) -> list[Panel]:
    """The original, our two views of one stream, and AVIF at the nearest size."""
    stream = ours.encode(image, QUALITY)
    peer = pillow_codec(PEER)
    rival = peer.encode(image, nearest_quality(peer, image, len(stream)))
    found = [Panel(f"original\n{image.shape[1]}x{image.shape[0]}, 24 bpp", image)]
    coded = [(view_name(one), stream, ours.decode(stream, view_name(one))) for one in (HUMAN, MACHINE)]
    for name, data, decoded in [*coded, (PEER, rival, peer.decode(rival, PEER))]:
        facts = f"{len(data)} bytes, {bits_per_pixel(data, image):.3f} bpp, {psnr(image, decoded):.2f} dB"
        found.append(Panel(f"{label(name)}\n{facts}", decoded))
    return found


def crop(image: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """The part of a picture around a centre, given as parts of width and height; moved inside where it would stick out."""
    sides = [side // _CROP for side in image.shape[:2]]
    top, left = (
        int(min(max(place * whole - side / 2, 0), whole - side))
        for place, whole, side in zip(centre[::-1], image.shape[:2], sides)
    )
    return image[top : top + sides[0], left : left + sides[1]]


def draw(panels: list[Panel], path: Path) -> None:
    """A row of whole pictures, and below it a row for each crop, enlarged without smoothing."""
    from matplotlib.figure import Figure

    height, width = panels[0].image.shape[:2]
    rows = 1 + len(_CROP_CENTRES)
    size = (_PANEL_INCHES * len(panels), _PANEL_INCHES * height / width * rows + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, len(panels))
    for column, panel in enumerate(panels):
        parts = [panel.image, *(crop(panel.image, centre) for centre in _CROP_CENTRES)]
        for row, part in enumerate(parts):
            grid[row, column].imshow(part, interpolation="antialiased" if row == 0 else "nearest")
            grid[row, column].axis("off")
        grid[0, column].set_title(panel.title, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
