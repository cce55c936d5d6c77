"""`Codec`: pictures to streams and back with one open model; every step is called from here, in order."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ugicm_coder import QUALITY_STEPS

from . import entropy, rate
from .bitstream import (
    DEFAULT_BAND_HEIGHT,
    DEFAULT_MAX_PIXELS,
    MOST_PIXELS,
    Box,
    Bytes,
    Stream,
    check_size,
    parse,
    serialise,
)
from .bundle import Bundle
from .checks import MAX_EFFORT, as_array, check_limit, check_threads, for_each, quality_to_level
from .engines import EngineOptions, Engines, Progress, no_progress, refiner
from .entropy import Clock, NoClock, Symbols
from .errors import ImageError, OptionError, UnsupportedVersionError, WrongModelError
from .manifest import DECODER, ENCODER, FP32, GUIDED_REFINER, REFINER
from .session import DEFAULT_PROVIDERS, ONNXRUNTIME, Provider, check_engine, provider_names
from .tiles import DEFAULT_TILE_PIXELS, MIN_TILE_PIXELS, Rect, Region, cells, check_region

if TYPE_CHECKING:
    from PIL.Image import Image

VIEWS = {"human": 0.0, "machine": 1.0}
WARM_UP_SIZE = (512, 768)  # height, width


class Codec:
    """An open model. Engines are loaded when first needed; one codec may be used from several threads at once."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        variant: str = FP32,
        engine: str = ONNXRUNTIME,
        providers: Sequence[Provider] = DEFAULT_PROVIDERS,
        threads: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        tile_pixels: int = DEFAULT_TILE_PIXELS,
    ) -> None:
        """See `open`, which also finds the bundle."""
        check_engine(engine, providers)
        if variant not in bundle.variants:
            raise OptionError(f"bundle '{bundle.path}' has no variant {variant!r}; it has {', '.join(bundle.variants)}")
        self._bundle = bundle
        self._max_pixels = check_limit("max_pixels", max_pixels, 1, MOST_PIXELS)
        check_limit("tile_pixels", tile_pixels, MIN_TILE_PIXELS, MOST_PIXELS)
        self._options = EngineOptions(variant, engine, tuple(providers), check_threads(threads), tile_pixels)
        self._engines = Engines(bundle, self._options)
        self._model = entropy.open_model(bundle)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        variant: str = FP32,
        engine: str = ONNXRUNTIME,
        providers: Sequence[Provider] = DEFAULT_PROVIDERS,
        threads: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        tile_pixels: int = DEFAULT_TILE_PIXELS,
    ) -> "Codec":
        """Open a bundle. Everything is taken as asked for or refused; nothing falls back to something else.

        path: a folder or .zip; None means $UGICM_BUNDLE if set, else the model inside this package.
        variant: "fp32", or another precision that the bundle holds (`ugicm info` lists them).
        engine: "onnxruntime" or "openvino". providers: those of ONNX Runtime, all of which must be there and start.
        threads: 1..1024, for the engine and the bands; None means every core this process may use.
        max_pixels: largest padded picture that is encoded or decoded, 1..2^30.
        tile_pixels: most pixels that go through an engine at once, 2^19..2^30; larger pictures are cut into tiles.
        Raises `BundleError`, `OptionError`; a missing library or provider is an `EngineError` when an engine is loaded.
        """
        return cls(
            Bundle.open(path),
            variant=variant,
            engine=engine,
            providers=providers,
            threads=threads,
            max_pixels=max_pixels,
            tile_pixels=tile_pixels,
        )

    @property
    def info(self) -> dict[str, Any]:
        """What is open: model name, preset, fingerprint, path, ranges, engine, threads and limits."""
        manifest, options = self._bundle.manifest, self._options
        return {
            "name": manifest.name,
            "preset": manifest.preset,
            "fingerprint": manifest.fingerprint,
            "path": str(self._bundle.path),
            "hyper_channels": manifest.hyper_channels,
            "latent_channels": manifest.latent_channels,
            "preference": list(manifest.preference),
            "effort": [0, MAX_EFFORT if REFINER in manifest.files else 0],
            "guidance": [0, 1 if GUIDED_REFINER in manifest.files else 0],
            "variant": options.variant,
            "engine": options.engine,
            "providers": provider_names(options.providers),
            "threads": options.threads,
            "max_pixels": self._max_pixels,
            "tile_pixels": options.tile_pixels,
        }

    def prepare(self, encode: bool = False, decode: bool = False, refine: bool = False, guidance: float = 0) -> None:
        """Load engines now instead of at first use, to notice what is missing before any picture is touched.

        refine: for encoding with an effort, and with this guidance.
        """
        for name, wanted in ((ENCODER, encode), (DECODER, decode), (refiner(guidance), refine)):
            if wanted:
                self._engines.load(name)

    def warm_up(self, height: int = WARM_UP_SIZE[0], width: int = WARM_UP_SIZE[1]) -> None:
        """Code one flat picture of this size both ways, so that the first real one meets engines that have run."""
        self.decode(self.encode(np.full((height, width, 3), 128, np.uint8)))

    def encode(
        self,
        image: "np.ndarray | Image",
        quality: float = 50,
        *,
        effort: int = 0,
        guidance: float = 0,
        boxes: Sequence[Box] = (),
        progress: Progress = no_progress,
    ) -> bytes:
        """Encode one picture.

        image: (H, W, 3) uint8 sRGB array, or a Pillow image (see `ugicm.image`; what had to change is warned about).
        quality: 0 (smallest) .. 100 (best). boxes: data to carry after the picture.
        effort: 0..16 steps, each about three decodings long, four with guidance, that look for symbols which cost less
        and show the picture better to people; decoding is the same (docs/refinement.md). Needs a bundle with `refiner.onnx`.
        guidance: 0..1, how far the effort goes to what networks see in either view; above 0 it needs `guided_refiner.onnx`.
        progress: called with (tiles done, tiles in all), a tile of an effort counting once for each step.
        Raises `ImageError`, `OptionError`, `TooLargeError`, `EngineError`, and `BundleError` without the engine of an effort.
        """
        return self.encode_timed(image, quality, NoClock(), boxes, progress, effort, guidance)

    def encode_to_size(
        self,
        image: "np.ndarray | Image",
        target_bytes: int | None = None,
        *,
        target_bpp: float | None = None,
        effort: int = 0,
        guidance: float = 0,
        boxes: Sequence[Box] = (),
        progress: Progress = no_progress,
    ) -> bytes:
        """Encode one picture at the best rate level whose whole stream has at most the wanted size.

        Give bytes, or bits per pixel of the true size. Levels are searched in eighths, which differ by less than 1% in size
        unless the picture is tiny: that is how far below the target a stream may stay. At most 8 engine passes, each with the
        whole `effort`. Raises as `encode`, and `OptionError` if even the lowest level is too large.
        """
        array = self._checked(image)
        target = rate.check_target(target_bytes, target_bpp, array.shape[0] * array.shape[1])

        def encode(step: int) -> bytes:
            return self._encode(array, step / QUALITY_STEPS, effort, guidance, boxes, NoClock(), progress)

        return rate.search(encode, target)

    def encode_batch(
        self,
        images: "Sequence[np.ndarray | Image]",
        quality: float | Sequence[float] = 50,
        *,
        effort: int = 0,
        guidance: float = 0,
    ) -> list[bytes]:
        """Encode pictures of one size together; `quality` is one for all or one for each.

        effort, guidance: as for `encode`; the steps are taken for one picture after the other. Raises as `encode`.
        """
        self._check_effort(effort, guidance)
        arrays = [self._checked(image) for image in images]
        if len({array.shape for array in arrays}) > 1:
            sizes = sorted({f"{array.shape[1]}x{array.shape[0]}" for array in arrays})
            raise ImageError(f"the pictures of a batch have sizes {', '.join(sizes)}, expected one size")
        levels = [quality_to_level(one) for one in for_each("quality", quality, len(arrays))]
        symbols: list[Symbols] = []
        for part in self._parts([array.shape[:2] for array in arrays]):
            symbols += self._engines.analyse(arrays[part], levels[part], NoClock())
        if effort:
            symbols = [
                self._refine(array, one, effort, guidance, NoClock(), no_progress)
                for array, one in zip(arrays, symbols, strict=True)
            ]
        return [self._write(array, one, (), NoClock()) for array, one in zip(arrays, symbols, strict=True)]

    def decode(
        self,
        stream: Bytes,
        view: str = "human",
        preference: float | None = None,
        region: Region | None = None,
        *,
        progress: Progress = no_progress,
    ) -> np.ndarray:
        """Decode one stream to a (H, W, 3) uint8 array.

        view: "human" or "machine", the two ends of the preference axis; or give `preference`, 0 (human) .. 1 (machine).
        region: (x, y, width, height) in pixels, to decode that part only; time and memory are those of the part.
        progress: called with (tiles done, tiles in all).
        Raises a `StreamError` for bytes that are not a sound stream of this model, `OptionError`, `EngineError`.
        """
        return self.decode_timed(stream, self._preference(view, preference), NoClock(), region, progress)

    def decode_views(
        self,
        stream: Bytes,
        preferences: Sequence[float],
        region: Region | None = None,
        *,
        progress: Progress = no_progress,
    ) -> list[np.ndarray]:
        """Decode several views of one stream, each as `decode` gives it; the symbols are decoded once."""
        wanted = [self._preference("human", preference) for preference in preferences]
        return self._views(parse(stream, self._max_pixels), wanted, region, NoClock(), progress)

    def decode_batch(
        self, streams: Sequence[Bytes], view: str = "human", preference: float | Sequence[float] | None = None
    ) -> list[np.ndarray]:
        """Decode streams of pictures of one size together; `preference` is one for all or one for each. Raises as `decode`."""
        parsed = [parse(stream, self._max_pixels) for stream in streams]
        sizes = [(stream.height, stream.width) for stream in parsed]
        if len(set(sizes)) > 1:
            raise OptionError(f"the streams of a batch hold pictures of {len(set(sizes))} sizes, expected one size")
        wanted = [self._preference(view, one) for one in for_each("preference", preference, len(parsed))]
        symbols = [self._decode_symbols(stream, NoClock()) for stream in parsed]
        pictures: list[np.ndarray] = []
        for part in self._parts(sizes):
            pixels = Rect(0, 0, *sizes[0])
            pictures += self._engines.synthesise(symbols[part], wanted[part], cells(*sizes[0]), pixels, NoClock())
        return pictures

    def encode_symbols(self, image: "np.ndarray | Image", quality: float = 50) -> Symbols:
        """The symbols that `encode` would write."""
        return self._engines.analyse([self._checked(image)], [quality_to_level(quality)], NoClock())[0]

    def decode_symbols(self, stream: Bytes) -> Symbols:
        """The symbols a stream holds; needs no engine."""
        return self._decode_symbols(parse(stream, self._max_pixels), NoClock())

    def encode_timed(
        self,
        image: "np.ndarray | Image",
        quality: float,
        clock: Clock,
        boxes: Sequence[Box] = (),
        progress: Progress = no_progress,
        effort: int = 0,
        guidance: float = 0,
    ) -> bytes:
        """`encode`, telling `clock` of the stages engine, scale_network and entropy_coding."""
        return self._encode(self._checked(image), quality_to_level(quality), effort, guidance, boxes, clock, progress)

    def decode_timed(
        self,
        stream: Bytes,
        preference: float,
        clock: Clock,
        region: Region | None = None,
        progress: Progress = no_progress,
    ) -> np.ndarray:
        """`decode` at a checked preference, telling `clock` of the stages engine, scale_network and entropy_coding."""
        return self._views(parse(stream, self._max_pixels), [preference], region, clock, progress)[0]

    def _views(
        self, stream: Stream, preferences: list[float], region: Region | None, clock: Clock, progress: Progress
    ) -> list[np.ndarray]:
        """Decode what all views need once, then run the engine for as many views at a time as fit."""
        self._check_model(stream)
        whole, pixels = cells(stream.height, stream.width), Rect(0, 0, stream.height, stream.width)
        if region is not None:
            pixels = check_region(region, stream.width, stream.height)
        rows = self._engines.rows_for(pixels, whole)
        symbols, first_row = entropy.decode_rows(self._model, stream, rows, self._options.threads, clock)
        pictures: list[np.ndarray] = []
        for part in self._parts([(pixels.bottom - pixels.top, pixels.right - pixels.left)] * len(preferences)):
            pictures += self._engines.synthesise(
                [symbols], preferences[part], whole, pixels, clock, progress, first_row
            )
        return pictures

    def _parts(self, sizes: Sequence[tuple[int, ...]]) -> list[slice]:
        """Slices of a list of pictures of one (height, width), each to go through an engine together."""
        step = self._engines.batch_size(*sizes[0]) if sizes else 1
        return [slice(start, start + step) for start in range(0, len(sizes), step)]

    def _checked(self, image: "np.ndarray | Image") -> np.ndarray:
        array = as_array(image)
        check_size(array.shape[1], array.shape[0], self._max_pixels)
        return array

    def _encode(
        self,
        array: np.ndarray,
        level: float,
        effort: int,
        guidance: float,
        boxes: Sequence[Box],
        clock: Clock,
        progress: Progress,
    ) -> bytes:
        self._check_effort(effort, guidance)
        (symbols,) = self._engines.analyse([array], [level], clock, no_progress if effort else progress)
        if effort:
            symbols = self._refine(array, symbols, effort, guidance, clock, progress)
        return self._write(array, symbols, boxes, clock)

    def _check_effort(self, effort: int, guidance: float) -> None:
        """Refuse values out of range, and load the engine of an effort before any picture is touched."""
        check_limit("effort", effort, 0, MAX_EFFORT)
        check_limit("guidance", guidance, 0, 1)
        if guidance and not effort:
            raise OptionError("guidance guides an effort; give an effort of 1..16 too")
        self.prepare(refine=effort > 0, guidance=guidance)

    def _refine(
        self, array: np.ndarray, symbols: Symbols, effort: int, guidance: float, clock: Clock, progress: Progress
    ) -> Symbols:
        with clock.stage("scale_network"):
            indexes = self._model.scale_indexes(symbols.z, symbols.level)
        return self._engines.refine(array, symbols, indexes, effort, guidance, clock, progress)

    def _write(self, array: np.ndarray, symbols: Symbols, boxes: Sequence[Box], clock: Clock) -> bytes:
        z, bands = entropy.encode(self._model, symbols, DEFAULT_BAND_HEIGHT, self._options.threads, clock)
        height, width = array.shape[:2]
        fingerprint = self._bundle.manifest.fingerprint
        return serialise(Stream(width, height, symbols.level, fingerprint, z, bands, DEFAULT_BAND_HEIGHT, tuple(boxes)))

    def _decode_symbols(self, stream: Stream, clock: Clock) -> Symbols:
        self._check_model(stream)
        return entropy.decode(self._model, stream, self._options.threads, clock)

    def _check_model(self, stream: Stream) -> None:
        """Raise a `StreamError` if the stream is another model's or needs a newer reader."""
        expected = self._bundle.manifest.fingerprint
        if stream.fingerprint != expected:
            raise WrongModelError(
                f"the stream was made with model {stream.fingerprint}, but model {expected} is open "
                f"('{self._bundle.path}'); open the bundle it was made with (Codec.open(path) or --bundle)"
            )
        for box in stream.boxes:
            if box.type[0].isupper():
                raise UnsupportedVersionError(f"the stream needs box '{box.type}', unknown here; install a newer ugicm")

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
