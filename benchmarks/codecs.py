"""The codecs under test, all seen the same way: pixels to the bytes of a file, and those bytes back to pixels."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .config import OURS
from .errors import BenchmarkError

LOSSLESS = "png"


class ImageCodec(Protocol):
    """What a suite knows of a codec.

    `views` are the names under which its decoded pictures are reported: one, unless a stream can be decoded in several
    ways. `settings()` is all that decides its bytes and pixels; results are measured again when it changes.
    """

    @property
    def name(self) -> str:
        """Short name, for files and tables."""

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the ways to decode a stream."""

    def settings(self) -> dict[str, Any]:
        """Versions and options, as JSON."""

    def qualities(self, suite: str) -> tuple[int, ...]:
        """Qualities measured in suite "rd" or "tasks", rate rising."""

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        """All bytes of the file for a (H, W, 3) uint8 RGB picture."""

    def decode(self, data: bytes, view: str) -> np.ndarray:
        """The (H, W, 3) uint8 RGB picture in `data`, and from nothing else."""


@dataclass(frozen=True)
class PillowCodec:
    """A codec that Pillow, or a plugin of it, reads and writes."""

    name: str
    format: str  # Pillow's name of the format
    options: dict[str, Any]  # what `Image.save` is given besides the quality
    ladders: dict[str, tuple[int, ...]]  # qualities by suite
    description: str  # settings in words
    threads_option: str | None = None  # the option of `Image.save` that says how many threads may be used
    threads: int = 1
    plugin: str | None = None  # module to import first
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def views(self) -> tuple[str, ...]:
        """One way to decode."""
        return (self.name,)

    def settings(self) -> dict[str, Any]:
        """See `ImageCodec`; the number of threads is the suite's, and of AVIF alone it changes the bytes."""
        return {"codec": self.description, "options": self.options, "versions": self.versions}

    def qualities(self, suite: str) -> tuple[int, ...]:
        """See `ImageCodec`."""
        return self.ladders[suite]

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        """See `ImageCodec`. The array carries no metadata, so the file holds the picture alone."""
        from PIL import Image

        threads = {self.threads_option: self.threads} if self.threads_option else {}
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, self.format, quality=int(quality), **self.options, **threads)
        return buffer.getvalue()

    def decode(self, data: bytes, view: str) -> np.ndarray:
        """See `ImageCodec`."""
        from PIL import Image

        with Image.open(io.BytesIO(data), formats=[self.format]) as image:
            return np.asarray(image.convert("RGB"))


def pillow_codec(name: str, threads: int = 1) -> PillowCodec:
    """One of png, jpeg, webp, avif, avif444, jxl at the settings the report names; raises `BenchmarkError` if it is not installed."""
    import PIL
    from PIL import features

    versions = {"Pillow": PIL.__version__}
    if name == "jpeg":
        versions["libjpeg-turbo"] = str(features.version("libjpeg_turbo"))
        return PillowCodec(name, "JPEG", {"optimize": True}, _LADDERS[name], "JPEG 4:2:0, optimised", versions=versions)
    if name == LOSSLESS:
        return PillowCodec(name, "PNG", {"compress_level": 1}, _LADDERS[name], "PNG, lossless", versions=versions)
    if name == "webp":
        versions["libwebp"] = str(features.version("webp"))
        return PillowCodec(name, "WEBP", {"method": 6}, _LADDERS[name], "WebP, method 6", versions=versions)
    if name in _AVIF_SUBSAMPLING:
        return _avif(name, threads, versions)
    if name == "jxl":
        return _jxl(threads, versions)
    raise BenchmarkError(f"'{name}' is no codec known here; choose from {', '.join([OURS, *_LADDERS])}")


def _avif(name: str, threads: int, versions: dict[str, str]) -> PillowCodec:
    from PIL import AvifImagePlugin, features

    if not features.check("avif"):
        raise BenchmarkError("this Pillow has no AVIF; install Pillow 11.3 or newer from its wheel")
    AvifImagePlugin.DEFAULT_MAX_THREADS = threads  # the only way to tell the decoder
    versions |= {"libavif": str(features.version("avif")), "aom": str(AvifImagePlugin.get_codec_version("aom"))}
    subsampling = _AVIF_SUBSAMPLING[name]
    options = {"speed": 6, "subsampling": subsampling, "codec": "aom"}
    description = f"AVIF by aom, speed 6, {subsampling}"
    return PillowCodec(name, "AVIF", options, _LADDERS[name], description, "max_threads", threads, versions=versions)


def _jxl(threads: int, versions: dict[str, str]) -> PillowCodec:
    import importlib.metadata

    try:
        from pillow_jxl import JpegXLImagePlugin
    except ImportError as error:
        raise BenchmarkError("JPEG XL needs the package pillow-jxl-plugin; install the bench extra") from error
    JpegXLImagePlugin.DECODE_THREADS = threads  # the only way to tell the decoder
    versions["pillow-jxl-plugin"] = importlib.metadata.version("pillow-jxl-plugin")
    description = "JPEG XL, effort 7"
    return PillowCodec(
        "jxl", "JXL", {"effort": 7}, _LADDERS["jxl"], description, "num_threads", threads, versions=versions
    )


# Half-resolution colour is what people use; full resolution shows what it costs AVIF in PSNR at high rates.
_AVIF_SUBSAMPLING = {"avif": "4:2:0", "avif444": "4:4:4"}

# Qualities that give about 0.1 to 1.6 bpp on Kodak, and about 0.1 to 1 bpp on the task sets.
_LADDERS: dict[str, dict[str, tuple[int, ...]]] = {
    LOSSLESS: {"rd": (100,), "tasks": (100,)},
    "jpeg": {"rd": (5, 10, 20, 35, 50, 65, 80, 90), "tasks": (5, 10, 20, 30, 45, 65)},
    "webp": {"rd": (0, 5, 20, 40, 60, 75, 85, 92), "tasks": (0, 5, 20, 40, 60, 75)},
    "avif": {"rd": (15, 25, 35, 45, 55, 65, 75, 83), "tasks": (15, 25, 35, 45, 55, 65)},
    "avif444": {"rd": (15, 25, 35, 45, 55, 65, 75, 83), "tasks": (15, 25, 35, 45, 55, 65)},
    "jxl": {"rd": (5, 15, 30, 45, 60, 75, 85, 91), "tasks": (5, 15, 30, 45, 60, 75)},
}
