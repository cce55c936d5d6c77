"""`Codec`: pictures to streams and back with one open model; every step is called from here, in order."""

import math
import os
import threading
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import ugicm_coder
from ugicm_coder import MAX_HYPER, MAX_RESIDUAL

from . import entropy
from .bitstream import (
    DEFAULT_BAND_HEIGHT,
    DEFAULT_MAX_PIXELS,
    LEVELS,
    MULTIPLE,
    Box,
    Bytes,
    Stream,
    check_size,
    padded,
    parse,
    serialise,
)
from .bundle import Bundle
from .entropy import Clock, NoClock, Symbols
from .errors import BundleError, EngineError, ImageError, OptionError, UnsupportedVersionError, WrongModelError
from .manifest import DECODER, ENCODER, ENTROPY
from .session import DEFAULT_PROVIDERS, Engine, Provider, provider_names

if TYPE_CHECKING:
    from PIL.Image import Image

VIEWS = {"human": 0.0, "machine": 1.0}
QUALITY_MAX = 100
MAX_THREADS = 1024
MAX_PIXELS_LIMIT = 1 << 30  # within what the entropy coder indexes in one call, for up to 512 latent channels

_ENGINE_PORTS = {
    ENCODER: (("image", "quality"), ("z", "r")),
    DECODER: (("z", "r", "quality", "preference"), ("image",)),
}


def quality_to_level(quality: float) -> int:
    """Map quality 0..100 to the nearest of the 64 rate levels; raises `OptionError`."""
    if not 0 <= quality <= QUALITY_MAX:  # NaN fails too
        raise OptionError(f"quality is {quality}, expected 0..{QUALITY_MAX}")
    return math.floor(quality * (LEVELS - 1) / QUALITY_MAX + 0.5)


class Codec:
    """An open model. Engines are loaded when first needed; one codec may be used from several threads."""

    def __init__(
        self,
        bundle: Bundle,
        threads: int | None = None,
        providers: Sequence[Provider] = DEFAULT_PROVIDERS,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        """See `open`, which also finds the bundle."""
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise OptionError(f"threads is {threads}, expected 1..{MAX_THREADS}, or None for all cores")
        if not 1 <= max_pixels <= MAX_PIXELS_LIMIT:
            raise OptionError(f"max_pixels is {max_pixels}, expected 1..{MAX_PIXELS_LIMIT}")
        self._bundle = bundle
        self._threads = threads or _usable_cores()
        self._providers = tuple(providers)
        self._max_pixels = max_pixels
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()
        manifest = bundle.manifest
        try:
            self._model = ugicm_coder.EntropyModel(bundle.read(ENTROPY))
        except ugicm_coder.ModelError as error:
            raise BundleError(f"bundle '{bundle.path}': {ENTROPY} is not usable: {error}") from error
        found = (self._model.hyper_channels, self._model.latent_channels, self._model.qualities)
        if found != (manifest.hyper_channels, manifest.latent_channels, manifest.qualities):
            raise BundleError(
                f"bundle '{bundle.path}': {ENTROPY} has channels and levels {found}, the manifest says otherwise"
            )

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        providers: Sequence[Provider] = DEFAULT_PROVIDERS,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> "Codec":
        """Open a bundle.

        path: a folder or .zip; None means $UGICM_BUNDLE if set, else the model inside this package.
        threads: 1..1024, for the engine and the bands; None means every core this process may use.
        providers: ONNX Runtime providers, all of which must be there; nothing falls back to another device.
        max_pixels: largest padded picture that is encoded or decoded, 1..2^30.
        Raises `BundleError` and `OptionError`.
        """
        return cls(Bundle.open(path), threads, providers, max_pixels)

    @property
    def info(self) -> dict[str, Any]:
        """What is open: model name, preset, fingerprint, path, ranges, threads and providers."""
        manifest = self._bundle.manifest
        return {
            "name": manifest.name,
            "preset": manifest.preset,
            "fingerprint": manifest.fingerprint,
            "path": str(self._bundle.path),
            "hyper_channels": manifest.hyper_channels,
            "latent_channels": manifest.latent_channels,
            "preference": list(manifest.preference),
            "threads": self._threads,
            "providers": provider_names(self._providers),
            "max_pixels": self._max_pixels,
        }

    def encode(self, image: "np.ndarray | Image", quality: float = 50, *, boxes: Sequence[Box] = ()) -> bytes:
        """Encode one picture.

        image: (H, W, 3) uint8 sRGB array, or a Pillow image (see `ugicm.image`; what had to change is warned about).
        quality: 0 (smallest) .. 100 (best). boxes: data to carry after the picture.
        Raises `ImageError`, `OptionError`, `TooLargeError`, `EngineError`.
        """
        return self.encode_timed(image, quality, NoClock(), boxes)

    def decode(self, stream: Bytes, view: str = "human", preference: float | None = None) -> np.ndarray:
        """Decode one stream to a (H, W, 3) uint8 array.

        view: "human" or "machine", the two ends of the preference axis; or give `preference`, 0 (human) .. 1 (machine).
        Raises a `StreamError` for bytes that are not a sound stream of this model, `OptionError`, `EngineError`.
        """
        return self.decode_timed(stream, self._preference(view, preference), NoClock())

    def prepare(self, encode: bool = False, decode: bool = False) -> None:
        """Load engines now instead of at first use, to notice a missing runtime before any picture is touched."""
        for name, wanted in ((ENCODER, encode), (DECODER, decode)):
            if wanted:
                self._engine(name)

    def encode_symbols(self, image: "np.ndarray | Image", quality: float = 50) -> Symbols:
        """The symbols that `encode` would write."""
        return self._analyse(_as_array(image), quality_to_level(quality), NoClock())

    def decode_symbols(self, stream: Bytes) -> Symbols:
        """The symbols a stream holds; needs no engine."""
        return self._decode_symbols(parse(stream, self._max_pixels), NoClock())

    def encode_timed(
        self, image: "np.ndarray | Image", quality: float, clock: Clock, boxes: Sequence[Box] = ()
    ) -> bytes:
        """`encode`, telling `clock` of the stages engine, scale_network and entropy_coding."""
        array = _as_array(image)
        symbols = self._analyse(array, quality_to_level(quality), clock)
        z, bands = entropy.encode(self._model, symbols, DEFAULT_BAND_HEIGHT, self._threads, clock)
        height, width = array.shape[:2]
        fingerprint = self._bundle.manifest.fingerprint
        return serialise(Stream(width, height, symbols.level, fingerprint, z, bands, DEFAULT_BAND_HEIGHT, tuple(boxes)))

    def decode_timed(self, stream: Bytes, preference: float, clock: Clock) -> np.ndarray:
        """`decode` at a checked preference, telling `clock` of the stages engine, scale_network and entropy_coding."""
        parsed = parse(stream, self._max_pixels)
        symbols = self._decode_symbols(parsed, clock)
        with clock.stage("engine"):
            (batch,) = self._engine(DECODER).run(
                {
                    "z": symbols.z[None].astype(np.int32),
                    "r": symbols.r[None].astype(np.int32),
                    "quality": np.array([symbols.level], np.int64),
                    "preference": np.array([preference], np.float32),
                }
            )
        _check_output("image", batch, (1, padded(parsed.height), padded(parsed.width), 3), np.uint8)
        return np.ascontiguousarray(batch[0, : parsed.height, : parsed.width])

    def _analyse(self, array: np.ndarray, level: int, clock: Clock) -> Symbols:
        """Run the encoder engine on a checked array and check what it gives."""
        check_size(array.shape[1], array.shape[0], self._max_pixels)
        image = pad(array)
        with clock.stage("engine"):
            z, r = self._engine(ENCODER).run({"image": image[None], "quality": np.array([level], np.int64)})
        height, width = image.shape[:2]
        manifest = self._bundle.manifest
        _check_output("z", z, (1, manifest.hyper_channels, height // MULTIPLE, width // MULTIPLE), np.int32, MAX_HYPER)
        _check_output("r", r, (1, manifest.latent_channels, height // 16, width // 16), np.int32, MAX_RESIDUAL)
        return Symbols(z[0].astype(np.int16), r[0].astype(np.int16), level)

    def _decode_symbols(self, stream: Stream, clock: Clock) -> Symbols:
        expected = self._bundle.manifest.fingerprint
        if stream.fingerprint != expected:
            raise WrongModelError(
                f"the stream was made with model {stream.fingerprint}, but model {expected} is open "
                f"('{self._bundle.path}'); open the bundle it was made with (Codec.open(path) or --bundle)"
            )
        for box in stream.boxes:
            if box.type[0].isupper():
                raise UnsupportedVersionError(f"the stream needs box '{box.type}', unknown here; install a newer ugicm")
        return entropy.decode(self._model, stream, self._threads, clock)

    def _preference(self, view: str, preference: float | None) -> float:
        if view not in VIEWS:
            raise OptionError(f"view is {view!r}, expected one of {', '.join(VIEWS)}")
        if preference is None:
            preference = VIEWS[view]
        elif view != "human":
            raise OptionError("give either view or preference, not both")
        low, high = self._bundle.manifest.preference
        if not low <= preference <= high:
            raise OptionError(f"preference is {preference}, this model takes {low}..{high}")
        return preference

    def _engine(self, name: str) -> Engine:
        """Load an engine on first use."""
        with self._lock:
            if name not in self._engines:
                inputs, outputs = _ENGINE_PORTS[name]
                model = self._bundle.read(name)
                self._engines[name] = Engine(
                    name, model, inputs=inputs, outputs=outputs, threads=self._threads, providers=self._providers
                )
            return self._engines[name]


def pad(array: np.ndarray) -> np.ndarray:
    """Extend a (H, W, 3) array to multiples of 64 by repeating its last row and column."""
    height, width = array.shape[:2]
    below, right = padded(height) - height, padded(width) - width
    if below or right:
        return np.pad(array, ((0, below), (0, right), (0, 0)), mode="edge")
    return np.ascontiguousarray(array)


def _as_array(image: "np.ndarray | Image") -> np.ndarray:
    """The door of every public function that takes a picture."""
    if not isinstance(image, np.ndarray):
        from PIL.Image import Image

        from .image import to_rgb

        if not isinstance(image, Image):
            raise ImageError(
                f"the picture is a {type(image).__name__}, expected a (H, W, 3) uint8 array or a Pillow image"
            )
        image, notes = to_rgb(image)
        for note in notes:
            warnings.warn(note, stacklevel=3)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"the picture has shape {image.shape} and type {image.dtype}, expected (H, W, 3) and uint8")
    if 0 in image.shape:
        raise ImageError(f"the picture has shape {image.shape}, expected at least one pixel")
    return image


def _check_output(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type, limit: int | None = None) -> None:
    """Raise `EngineError` if an engine gave something the contract of the bundle forbids."""
    if array.shape != shape or array.dtype != dtype:
        raise EngineError(f"an engine gave {name} as {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}")
    if limit is not None and not -limit <= array.min() <= array.max() <= limit:
        raise EngineError(f"an engine gave {name} in {array.min()}..{array.max()}, expected at most {limit} in size")


def _usable_cores() -> int:
    """Cores this process may run on, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
