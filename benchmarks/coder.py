"""Speed and rate of the entropy coder on one core, beside compressai.ans and constriction where they are installed.

    python -m benchmarks.coder                                  synthetic latents of a 768x512 photo at four rates
    python -m benchmarks.coder --photos a.png b.png --qualities 20 50 80      what our model makes of photos
    python -m benchmarks.coder --latents a.npz --entropy entropy.bin --json result.json

An .npz holds `r` int16 (M,h,w), `scale_indexes` uint8 (M,h,w) and, optionally, `z` int16 (Z,hz,wz) and `quality`. Times are processor
times, the best of several runs through the Python interface in one thread; pin the process to a core for steady figures.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ugicm_coder import SCALES, EntropyModel, EntropyModelSpec, IntegerLayer, ModelError, build_tables, ideal_bits, pack

from .errors import BenchmarkError
from .latents import BPP, PIXELS_PER_POSITION, Latents, load, of_photos, synthetic


@dataclass(frozen=True)
class Row:
    """One coder on one set of latents. Rates are megasymbols per second, `excess` is bytes over the ideal length in per cent."""

    latents: str
    coder: str
    bpp: float
    ideal_bytes: float
    bytes: int | None = None
    excess: float | None = None
    encode_rate: float | None = None
    decode_rate: float | None = None
    note: str = ""


def best_seconds(call: Callable[[], object], budget: float) -> float:
    """Least processor time of at least three runs, repeated for about `budget` seconds; other processes do not count."""
    best, runs, stop = math.inf, 0, time.perf_counter() + budget
    while runs < 3 or time.perf_counter() < stop:
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
        runs += 1
    return best


def standard_model(hyper: int = 96, wide: int = 192, narrow: int = 64, latent: int = 192) -> EntropyModel:
    """The standard tables and a scale network of typical size; its weights do not matter for its speed."""

    def layer(*shape: int) -> IntegerLayer:
        count = shape[0]
        return IntegerLayer(np.ones(shape, np.int8), np.zeros(count, np.int32), np.full(count, 8, np.uint8))

    layers = (
        layer(wide, hyper),
        layer(wide, 3, 3),
        layer(16 * narrow, wide),
        layer(narrow, 3, 3),
        layer(latent, narrow),
    )
    z_index = np.full((64, hyper), 40, np.uint8)
    return EntropyModel(pack(EntropyModelSpec(z_index, layers, np.zeros((64, latent), np.int32))))


def measure(
    latents: Latents,
    coder: str,
    encode: Callable[[], Any],
    decode: Callable[[Any], npt.NDArray[Any]],
    size: Callable[[Any], int],
    budget: float,
) -> Row:
    """Times both directions and checks the round trip. Raises RuntimeError when it fails."""
    stream = encode()
    if not np.array_equal(np.asarray(decode(stream)).reshape(latents.r.shape), latents.r):
        raise RuntimeError(f"{coder} does not decode {latents.name} to what it encoded")
    row = empty_row(latents, coder)
    encode_seconds, decode_seconds = best_seconds(encode, budget), best_seconds(lambda: decode(stream), budget)
    count = latents.r.size / 1e6
    return Row(
        **{
            **asdict(row),
            "bytes": size(stream),
            "excess": 100 * (size(stream) / row.ideal_bytes - 1),
            "encode_rate": count / encode_seconds,
            "decode_rate": count / decode_seconds,
        }
    )


def empty_row(latents: Latents, coder: str, note: str = "") -> Row:
    """What is known without running a coder."""
    ideal = ideal_bits(latents.r, latents.scale_indexes) / 8
    positions = latents.r.shape[1] * latents.r.shape[2]
    return Row(latents.name, coder, 8 * ideal / (positions * PIXELS_PER_POSITION), ideal, note=note)


def run_own(latents: Latents, model: EntropyModel, budget: float) -> Row:
    """This project's coder."""
    return measure(
        latents,
        "ugicm_coder",
        lambda: model.encode_residual(latents.r, latents.scale_indexes),
        lambda stream: model.decode_residual(stream, latents.scale_indexes),
        len,
        budget,
    )


def run_compressai(latents: Latents, budget: float) -> Row:
    """compressai.ans with 16-bit tables; the conversion to Python lists, which its interface demands, is not timed."""
    ans = importlib.import_module("compressai.ans")
    tables = [frequencies.astype(int) * 32 for frequencies in build_tables().frequencies]
    cdfs = [[0, *np.cumsum(table).tolist()] for table in tables]
    sizes = [len(cdf) for cdf in cdfs]
    offsets = [-(len(table) // 2 - 1) for table in tables]
    symbols, indexes = latents.r.reshape(-1).tolist(), latents.scale_indexes.reshape(-1).tolist()
    encoder, decoder = ans.RansEncoder(), ans.RansDecoder()
    return measure(
        latents,
        "compressai.ans",
        lambda: encoder.encode_with_indexes(symbols, indexes, cdfs, sizes, offsets),
        lambda stream: decoder.decode_with_indexes(stream, indexes, cdfs, sizes, offsets),
        len,
        budget,
    )


def run_constriction(latents: Latents, budget: float) -> Row:
    """constriction's ANS coder with its own quantised Gaussians."""
    constriction = importlib.import_module("constriction")
    reach = int(max(np.abs(latents.r).max(), 1))
    family = constriction.stream.model.QuantizedGaussian(-reach, reach)
    symbols = latents.r.reshape(-1).astype(np.int32)
    deviations = SCALES[latents.scale_indexes.reshape(-1)]
    means = np.zeros_like(deviations)

    def encode() -> Any:
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(symbols, family, means, deviations)
        return coder.get_compressed()

    def decode(words: Any) -> Any:
        return constriction.stream.stack.AnsCoder(words).decode(family, means, deviations)

    return measure(latents, "constriction", encode, decode, lambda words: 4 * len(words), budget)


def peer_rows(latents: Latents, budget: float) -> list[Row]:
    """Rows of the other coders; one that is not installed says so."""
    rows = []
    for name, run in (
        ("compressai.ans", run_compressai),
        ("constriction", run_constriction),
    ):
        rows.append(run(latents, budget) if installed(name) else empty_row(latents, name, "not installed"))
    return rows


def installed(name: str) -> bool:
    """Whether a peer can be imported; compressai imports torchvision, whose operators may have to be declared first."""
    try:
        if name.startswith("compressai"):
            importlib.import_module("ugicm_train.torchvision_schema").declare()
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def network_milliseconds(model: EntropyModel, latents: Latents, budget: float) -> float:
    """Time of the scale network on these latents' z, or on a zero one of the same picture size."""
    rows, columns = latents.r.shape[1] // 4, latents.r.shape[2] // 4
    z = np.zeros((model.hyper_channels, rows, columns), np.int16) if latents.z is None else latents.z
    return 1e3 * best_seconds(lambda: model.scale_indexes(z, latents.quality), budget)


def hyper_row(model: EntropyModel, latents: Latents, budget: float) -> dict[str, float] | None:
    """Bytes and decoding time of z, when the latents have one."""
    z = latents.z
    if z is None:
        return None
    stream = model.encode_hyper(z, latents.quality)
    seconds = best_seconds(lambda: model.decode_hyper(stream, z.shape[1], z.shape[2], latents.quality), budget)
    return {"bytes": len(stream), "decode_ms": 1e3 * seconds}


def table_text(rows: list[Row]) -> str:
    """The rows as aligned columns."""
    lines = [
        f"{'latents':20} {'coder':15} {'bpp':>6} {'ideal B':>8} {'bytes':>8} {'excess':>8} {'enc Ms/s':>9} {'dec Ms/s':>9}"
    ]
    for row in rows:
        head = f"{row.latents:20} {row.coder:15} {row.bpp:6.3f} {row.ideal_bytes:8.0f}"
        if row.bytes is None:
            lines.append(f"{head} {row.note}")
        else:
            lines.append(f"{head} {row.bytes:8d} {row.excess:+7.2f}% {row.encode_rate:9.1f} {row.decode_rate:9.1f}")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = top.add_mutually_exclusive_group()
    source.add_argument("--photos", nargs="+", type=Path, help="pictures that our model turns into latents")
    source.add_argument("--latents", nargs="+", type=Path, help=".npz files; synthetic latents without any")
    top.add_argument("--bundle", type=Path, help="with --photos: our model (default: that of the runtime)")
    top.add_argument("--qualities", nargs="+", type=float, default=[15, 30, 50, 75], help="with --photos: 0..100")
    top.add_argument("--entropy", type=Path, help="with --latents: entropy.bin that made them; a standard one without")
    top.add_argument("--seconds", type=float, default=0.5, help="time per measurement")
    top.add_argument("--json", type=Path, help="also write the figures here")
    return top


def gather(options: argparse.Namespace) -> tuple[EntropyModel, list[Latents]]:
    """The model and the latents the options ask for; raises `BenchmarkError`."""
    if options.photos:
        return of_photos(options.bundle, options.photos, options.qualities)
    sets = [load(path) for path in options.latents] if options.latents else [synthetic(bpp) for bpp in BPP]
    if not options.entropy:
        return standard_model(latent=len(sets[0].r)), sets
    try:
        return EntropyModel(options.entropy.read_bytes()), sets
    except (OSError, ModelError) as error:
        raise BenchmarkError(f"the entropy model cannot be used: {error}") from error


def run(model: EntropyModel, sets: list[Latents], budget: float) -> tuple[list[Row], list[dict[str, Any]]]:
    """Rows of every coder, and per set the times of the scale network and of z."""
    rows: list[Row] = []
    extra: list[dict[str, Any]] = []
    for latents in sets:
        rows += [run_own(latents, model, budget), *peer_rows(latents, budget)]
        network, hyper = network_milliseconds(model, latents, budget), hyper_row(model, latents, budget)
        extra.append({"latents": latents.name, "scale_network_ms": network, "hyper": hyper})
    return rows, extra


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        rows, extra = run(*gather(options), options.seconds)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(table_text(rows))
    for item in extra:
        hyper = item["hyper"]
        hyper_text = "" if hyper is None else f", z {hyper['bytes']} B in {hyper['decode_ms']:.3f} ms"
        print(f"{item['latents']}: scale network {item['scale_network_ms']:.2f} ms{hyper_text}")
    if options.json:
        machine = platform.processor() or platform.machine()
        result = {"machine": machine, "rows": [asdict(row) for row in rows], "extra": extra}
        partial = options.json.with_name(options.json.name + ".partial")
        partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
