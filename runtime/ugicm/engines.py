"""The two networks of a bundle: pixels to symbols and symbols to pixels, in tiles where a picture is large."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ugicm_coder import MAX_HYPER, MAX_RESIDUAL

from .bitstream import MULTIPLE, padded
from .bundle import Bundle
from .entropy import LATENT_ROWS_PER_UNIT, Clock, Symbols
from .errors import EngineError
from .manifest import DECODER, ENCODER, FP32, GUIDED_REFINER, REFINER
from .session import DEFAULT_PROVIDERS, ONNXRUNTIME, Engine, Provider, open_engine
from .tiles import CELL_PIXELS, DEFAULT_TILE_PIXELS, HALO_LIMIT, Rect, Tile, cells, covering, grown, plan

Progress = Callable[[int, int], None]  # tiles done, tiles in all

_ORIGIN = Rect(0, 0, 0, 0)
_REFINER_PORTS = ("image", "z", "index", "quality", "offset", "share", "size"), ("moved", "r")
_PORTS = {
    ENCODER: (("image", "quality"), ("z", "r")),
    DECODER: (("z", "r", "quality", "preference"), ("image",)),
    REFINER: _REFINER_PORTS,
    GUIDED_REFINER: ((*_REFINER_PORTS[0], "guidance"), _REFINER_PORTS[1]),
}


@dataclass(frozen=True)
class EngineOptions:
    """How the networks are run."""

    variant: str = FP32  # one of `Bundle.variants`
    engine: str = ONNXRUNTIME  # one of `session.ENGINES`
    providers: tuple[Provider, ...] = DEFAULT_PROVIDERS
    threads: int = 1
    tile_pixels: int = DEFAULT_TILE_PIXELS  # most pixels, halo included, that go through a network at once


def no_progress(_done: int, _total: int) -> None:
    """Show nothing."""


def refiner(guidance: float) -> str:
    """The engine that an effort of this guidance takes: without one the guide need not be computed."""
    return GUIDED_REFINER if guidance else REFINER


class Engines:
    """The networks of an open bundle, each loaded when first needed. Safe to share between threads."""

    def __init__(self, bundle: Bundle, options: EngineOptions) -> None:
        """Nothing is loaded yet."""
        self._bundle = bundle
        self._options = options
        self._loaded: dict[str, Engine] = {}
        self._lock = threading.Lock()
        encode, decode = (-(-min(pixels, HALO_LIMIT) // MULTIPLE) for pixels in bundle.manifest.halo)
        self._halo = {ENCODER: encode, DECODER: decode, REFINER: encode}

    def load(self, name: str) -> Engine:
        """The engine `name`, loaded on first use; raises `EngineError` and `BundleError`."""
        with self._lock:
            if name not in self._loaded:
                inputs, outputs = _PORTS[name]
                options = self._options
                self._loaded[name] = open_engine(
                    options.engine,
                    name,
                    self._bundle.engine(name, options.variant),
                    inputs=inputs,
                    outputs=outputs,
                    threads=options.threads,
                    providers=options.providers,
                )
            return self._loaded[name]

    def analyse(
        self, images: Sequence[np.ndarray], levels: Sequence[float], clock: Clock, progress: Progress = no_progress
    ) -> list[Symbols]:
        """The symbols of (H, W, 3) uint8 pictures of one size, each at its level."""
        whole = cells(*images[0].shape[:2])
        manifest = self._bundle.manifest
        found = [
            Symbols(
                np.empty((manifest.hyper_channels, whole.bottom, whole.right), np.int16),
                np.empty((manifest.latent_channels, *_latent(whole)[2:]), np.int16),
                level,
            )
            for level in levels
        ]
        tiles = self._plan(ENCODER, whole, whole, len(images))
        for number, tile in enumerate(tiles):
            progress(number, len(tiles))
            with clock.stage("engine"):
                z, r = self._encode_tile(images, levels, tile, release=len(tiles) > 1)
            core, outer = tile
            for i, symbols in enumerate(found):
                symbols.z[_planes(core)] = z[i][_planes(core, outer)]
                symbols.r[_planes(_latent(core))] = r[i][_planes(_latent(core), _latent(outer))]
        progress(len(tiles), len(tiles))
        return found

    def refine(
        self,
        image: np.ndarray,
        symbols: Symbols,
        indexes: np.ndarray,
        effort: int,
        guidance: float,
        clock: Clock,
        progress: Progress = no_progress,
    ) -> Symbols:
        """Symbols of the same level that code a (H, W, 3) uint8 picture better, after `effort` steps; z stays as it is.

        indexes: scale indexes (M, H/16, W/16) that the r of this z is coded with. guidance: 0..1, see `Codec.encode`.
        """
        whole = cells(*image.shape[:2])
        r = np.empty_like(symbols.r)
        tiles = self._plan(REFINER, whole, whole, 1)
        done, total = 0, len(tiles) * effort
        for core, outer in tiles:
            fine, around = _latent(core), _latent(outer)
            feeds = {
                "image": cut(image, outer.scaled(MULTIPLE))[None],
                "z": _batch([symbols.z[_planes(outer)]]),
                "index": _batch([indexes[_planes(around)]]),
                "quality": np.array([symbols.level], np.float32),
                "offset": np.zeros((1, len(r), around.bottom - around.top, around.right - around.left), np.float32),
            }
            if guidance:
                feeds["guidance"] = np.array([guidance], np.float32)
            for step in range(effort):
                progress(done, total)
                feeds["share"] = np.array([step / (effort - 1) if effort > 1 else 1], np.float32)
                feeds["size"] = np.array([max(effort, 2) ** -0.5], np.float32)
                with clock.stage("engine"):
                    feeds["offset"], found = self.load(refiner(guidance)).run(feeds, release=len(tiles) > 1)
                done += 1
            _check_output("r", found, feeds["index"].shape, np.int32, MAX_RESIDUAL)
            r[_planes(fine)] = found[0][_planes(fine, around)]
        progress(total, total)
        return symbols._replace(r=r)

    def synthesise(
        self,
        symbols: Sequence[Symbols],
        preferences: Sequence[float],
        whole: Rect,
        pixels: Rect,
        clock: Clock,
        progress: Progress = no_progress,
        first_row: int = 0,
    ) -> list[np.ndarray]:
        """Pictures (H, W, 3) uint8 of one rectangle of pixels: one for each preference.

        symbols: of as many pictures as there are preferences, or of one, whose views then share what the engine can share.
        whole: the cells of the picture. first_row: the row of cells with which each r begins; it must hold the rows that
        `rows_for` names, while z is always whole.
        """
        shape = (pixels.bottom - pixels.top, pixels.right - pixels.left, 3)
        found = [np.empty(shape, np.uint8) for _ in preferences]
        tiles = self._plan(DECODER, whole, covering(pixels), len(found))
        for number, tile in enumerate(tiles):
            progress(number, len(tiles))
            with clock.stage("engine"):
                images = self._decode_tile(symbols, preferences, tile, first_row, release=len(tiles) > 1)
            wanted = grown(tile.core.scaled(MULTIPLE), 0, pixels)
            for target, image in zip(found, images, strict=True):
                target[_area(wanted, pixels)] = image[_area(wanted, tile.outer.scaled(MULTIPLE))]
        progress(len(tiles), len(tiles))
        return found

    def rows_for(self, pixels: Rect, whole: Rect) -> slice:
        """The rows of cells whose symbols `synthesise` needs for a rectangle of pixels."""
        reach = grown(covering(pixels), self._halo[DECODER], whole)
        return slice(reach.top, reach.bottom)

    def batch_size(self, height: int, width: int) -> int:
        """How many pictures of this size go through a network together."""
        return max(1, self._options.tile_pixels // (padded(height) * padded(width)))

    def _plan(self, name: str, whole: Rect, wanted: Rect, count: int) -> list[Tile]:
        return plan(whole, wanted, self._halo[name], self._options.tile_pixels // CELL_PIXELS // count)

    def _encode_tile(
        self, images: Sequence[np.ndarray], levels: Sequence[float], tile: Tile, release: bool
    ) -> list[np.ndarray]:
        outer = tile.outer
        pieces = np.stack([cut(image, outer.scaled(MULTIPLE)) for image in images])
        z, r = self.load(ENCODER).run({"image": pieces, "quality": np.array(levels, np.float32)}, release=release)
        manifest = self._bundle.manifest
        rows, columns = outer.bottom - outer.top, outer.right - outer.left
        _check_output("z", z, (len(images), manifest.hyper_channels, rows, columns), np.int32, MAX_HYPER)
        fine = (len(images), manifest.latent_channels, 4 * rows, 4 * columns)
        _check_output("r", r, fine, np.int32, MAX_RESIDUAL)
        return [z, r]

    def _decode_tile(
        self, symbols: Sequence[Symbols], preferences: Sequence[float], tile: Tile, first_row: int, release: bool
    ) -> np.ndarray:
        outer = tile.outer
        origin = Rect(LATENT_ROWS_PER_UNIT * first_row, 0, 0, 0)
        feeds = {
            "z": _batch([one.z[_planes(outer)] for one in symbols]),
            "r": _batch([one.r[_planes(_latent(outer), origin)] for one in symbols]),
            "quality": np.array([one.level for one in symbols], np.float32),
            "preference": np.array(preferences, np.float32),
        }
        (images,) = self.load(DECODER).run(feeds, release=release)
        rows, columns = outer.bottom - outer.top, outer.right - outer.left
        _check_output("image", images, (len(preferences), MULTIPLE * rows, MULTIPLE * columns, 3), np.uint8)
        return images


def _latent(rect: Rect) -> Rect:
    """Cells as positions of r."""
    return rect.scaled(LATENT_ROWS_PER_UNIT)


def _area(rect: Rect, origin: Rect = _ORIGIN) -> tuple[slice, slice]:
    """Slices of `rect` in an array (rows, columns, ...) that begins at the top left of `origin`."""
    return (
        slice(rect.top - origin.top, rect.bottom - origin.top),
        slice(rect.left - origin.left, rect.right - origin.left),
    )


def _planes(rect: Rect, origin: Rect = _ORIGIN) -> tuple[slice, slice, slice]:
    """Slices of `rect` in an array (channels, rows, columns) that begins at the top left of `origin`."""
    return (slice(None), *_area(rect, origin))


def _batch(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays of one shape as the int32 batch that engines take."""
    batch = np.empty((len(arrays), *arrays[0].shape), np.int32)
    for target, array in zip(batch, arrays, strict=True):
        target[:] = array
    return batch


def cut(image: np.ndarray, pixels: Rect) -> np.ndarray:
    """A part of a picture; what lies below or to the right of it repeats the last row and column."""
    piece = image[_area(pixels)]
    below = pixels.bottom - pixels.top - piece.shape[0]
    right = pixels.right - pixels.left - piece.shape[1]
    return np.pad(piece, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else piece


def _check_output(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type, limit: int | None = None) -> None:
    """Raise `EngineError` if an engine gave something the contract of the bundle forbids."""
    if array.shape != shape or array.dtype != dtype:
        raise EngineError(f"an engine gave {name} as {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}")
    if limit is not None and not -limit <= array.min() <= array.max() <= limit:
        raise EngineError(f"an engine gave {name} in {array.min()}..{array.max()}, expected at most {limit} in size")
