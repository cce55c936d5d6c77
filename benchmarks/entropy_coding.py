"""Suite "coder": rate and speed of the entropy coder on what our model makes of photos, beside other coders (see `coder`)."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from . import coder, datasets
from .config import Config
from .errors import BenchmarkError
from .latents import of_photos
from .machine import held_to, processor
from .ours import UgicmCodec
from .progress import Progress
from .store import Store

QUALITIES, QUICK_QUALITIES = (15.0, 30.0, 50.0, 75.0), (30.0,)
SECONDS, QUICK_SECONDS = 0.5, 0.1
_STEP, _QUICK_STEP = 6, 24
_PEERS = {"compressai.ans": "compressai", "constriction": "constriction"}  # coder: package


def run(config: Config, store: Store) -> None:
    """Measure all coders together, unless all have fresh results; a coder that is not installed is an error."""
    dataset = datasets.kodak(config.data, config.step(_QUICK_STEP) if config.quick else _STEP)
    qualities, seconds = (QUICK_QUALITIES, QUICK_SECONDS) if config.quick else (QUALITIES, SECONDS)
    common = {
        **dataset.identity(),
        **UgicmCodec(config.bundle).settings(),
        "qualities": qualities,
        "seconds": seconds,
        "processor": processor(),
        "peers": {name: _version(package) for name, package in _PEERS.items()},
    }
    names = ("ugicm_coder", *_PEERS)
    if all(store.is_fresh(_key(name), {**common, "coder": name}) for name in names):
        print("coder: already measured")
        return
    with held_to(1):
        model, sets = of_photos(config.bundle, dataset.files, qualities)
        rows: list[coder.Row] = []
        extra: list[dict[str, Any]] = []
        with Progress("coder", len(sets)) as progress:
            for latents in sets:
                found, more = coder.run(model, [latents], seconds)
                rows, extra = rows + found, extra + more
                progress.step()
    for name in names:
        store.save(
            _key(name),
            name=name,
            description=f"{name} on the latents that {common['codec']} makes of {len(dataset.files)} photos of {dataset.name}",
            suite="coder",
            settings={**common, "coder": name},
            results=_columns([row for row in rows if row.coder == name], len(qualities)),
            ours=_extras(extra, len(qualities)) if name == names[0] else {},
        )


def _columns(rows: list[coder.Row], qualities: int) -> dict[str, list[float]]:
    """Means over the photos at each quality: bpp of the residual, bytes over the ideal in per cent, megasymbols per second."""
    missing = [row for row in rows if row.bytes is None]
    if missing:
        raise BenchmarkError(f"coder '{missing[0].coder}' could not be used ({missing[0].note}); install the bench extra")
    names = ("bpp", "excess", "encode_rate", "decode_rate")
    return {name: _means([getattr(row, name) for row in rows], qualities) for name in names}


def _extras(extra: list[dict[str, Any]], qualities: int) -> dict[str, list[float]]:
    """Means at each quality of what the coder does besides the residual: the scale network, and z."""
    return {
        "scale_network_ms": _means([item["scale_network_ms"] for item in extra], qualities),
        "hyper_bytes": _means([item["hyper"]["bytes"] for item in extra], qualities),
        "hyper_decode_ms": _means([item["hyper"]["decode_ms"] for item in extra], qualities),
    }


def _means(values: list[float], qualities: int) -> list[float]:
    """Latents come quality by quality, all photos of the first one first."""
    photos = len(values) // qualities
    parts = [values[at * photos : (at + 1) * photos] for at in range(qualities)]
    return [float(f"{sum(part) / photos:.6g}") for part in parts]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise BenchmarkError(f"suite coder needs the package {package}; install the bench extra") from error


def _key(name: str) -> str:
    return f"coder-kodak-{name}"
