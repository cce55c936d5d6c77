"""Symbols to bytes and back through `ugicm_coder`: z in one piece, r in bands that may run on several threads."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import ugicm_coder

from .bitstream import MULTIPLE, Bytes, Stream, padded
from .bundle import Bundle
from .errors import BundleError, CorruptStreamError, OptionError
from .manifest import ENTROPY

# r has 1/16 of the height of the picture, so one unit of band height (64 pixel rows) is 4 rows of r.
LATENT_ROWS_PER_UNIT = 4
# The scale network looks one row of z and then one row of r to each side (entropy.md, section 3), so that a row of z more than
# one away may still matter: through the row of r beyond the border, whose own neighbour of z lies one further.
_SCALE_NETWORK_ROWS = 2

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Clock(Protocol):
    """Told when a named stage of the work begins and ends."""

    def stage(self, name: str) -> AbstractContextManager: ...


class NoClock:
    """A clock that does not measure."""

    def stage(self, name: str) -> AbstractContextManager:
        """A context manager that does nothing."""
        return nullcontext()


class Symbols(NamedTuple):
    """What a stream says: z int16 (Z, H/64, W/64), r int16 (M, H/16, W/16) for padded H, W, and the level 0..63
    in steps of 1/8."""

    z: np.ndarray
    r: np.ndarray
    level: float


def open_model(bundle: Bundle) -> ugicm_coder.EntropyModel:
    """The integer part of the model; raises `BundleError` if it is unusable or contradicts the manifest."""
    manifest = bundle.manifest
    try:
        model = ugicm_coder.EntropyModel(bundle.read(ENTROPY))
    except ugicm_coder.ModelError as error:
        raise BundleError(f"bundle '{bundle.path}': {ENTROPY} is not usable: {error}") from error
    found = (model.hyper_channels, model.latent_channels, model.qualities)
    if found != (manifest.hyper_channels, manifest.latent_channels, manifest.qualities):
        raise BundleError(
            f"bundle '{bundle.path}': {ENTROPY} has channels and levels {found}, the manifest says otherwise"
        )
    return model


def encode(
    model: ugicm_coder.EntropyModel, symbols: Symbols, band_height: int, threads: int, clock: Clock
) -> tuple[bytes, tuple[bytes, ...]]:
    """The bytes of z and of each band of r; raises `OptionError` in the rare case that symbols have no code (docs/entropy.md, 6)."""
    z, r, level = symbols
    with clock.stage("scale_network"):
        indexes = model.scale_indexes(z, level)
    try:
        with clock.stage("entropy_coding"):
            z_bytes = model.encode_hyper(z, level)
            rows = _band_rows(r.shape[1], band_height)
            bands = _map(lambda band: model.encode_residual(r[:, band], indexes[:, band]), rows, threads)
    except ugicm_coder.StreamError as error:
        raise OptionError(f"this picture cannot be coded at this quality ({error}); choose another one") from error
    return z_bytes, tuple(bands)


def decode(model: ugicm_coder.EntropyModel, stream: Stream, threads: int, clock: Clock) -> Symbols:
    """The symbols of a parsed stream; raises `CorruptStreamError`."""
    return decode_rows(model, stream, slice(0, padded(stream.height) // MULTIPLE), threads, clock)[0]


def decode_rows(
    model: ugicm_coder.EntropyModel, stream: Stream, wanted: slice, threads: int, clock: Clock
) -> tuple[Symbols, int]:
    """The symbols of some rows, and the row at which their r begins; raises `CorruptStreamError`.

    Rows are counted in units of 64 pixel rows. All of z is decoded, but of r only the bands that hold `wanted` rows.
    """
    rows, columns = padded(stream.height) // MULTIPLE, padded(stream.width) // MULTIPLE
    bands = range(wanted.start // stream.band_height, -(-wanted.stop // stream.band_height))
    first, last = bands.start * stream.band_height, min(bands.stop * stream.band_height, rows)
    try:
        with clock.stage("entropy_coding"):
            z = model.decode_hyper(stream.z, rows, columns, stream.level)
        with clock.stage("scale_network"):
            indexes = _indexes_of_rows(model, z, stream.level, first, last)
        with clock.stage("entropy_coding"):
            r = np.empty(indexes.shape, np.int16)

            def decode_band(job: tuple[slice, Bytes]) -> None:
                band, data = job
                r[:, band] = model.decode_residual(data, indexes[:, band])

            parts = stream.bands[bands.start : bands.stop]
            _map(decode_band, list(zip(_band_rows(r.shape[1], stream.band_height), parts, strict=True)), threads)
    except ugicm_coder.StreamError as error:
        raise CorruptStreamError(f"the entropy decoder refused the stream ({error}); fetch the file again") from error
    return Symbols(z, r, stream.level), first


def _indexes_of_rows(
    model: ugicm_coder.EntropyModel, z: np.ndarray, level: float, first: int, last: int
) -> np.ndarray:
    """Scale indexes of rows first..last-1 of z, exactly those that the whole z gives."""
    top, bottom = max(first - _SCALE_NETWORK_ROWS, 0), min(last + _SCALE_NETWORK_ROWS, z.shape[1])
    indexes = model.scale_indexes(z[:, top:bottom], level)
    unit = LATENT_ROWS_PER_UNIT
    return indexes[:, unit * (first - top) : unit * (last - top)]


def _band_rows(latent_height: int, band_height: int) -> list[slice]:
    step = band_height * LATENT_ROWS_PER_UNIT
    return [slice(start, min(start + step, latent_height)) for start in range(0, latent_height, step)]


def _map(function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> list[_Result]:
    """`map` on a pool of threads if that can help: the coder releases the GIL, so bands really run side by side."""
    jobs = list(items)
    workers = min(threads, len(jobs))
    if workers <= 1:
        return [function(item) for item in jobs]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, jobs))
