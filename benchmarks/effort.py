"""What an encoding effort wins and costs on Kodak: `python -m benchmarks.effort`.

Bytes of whole streams at equal PSNR and MS-SSIM of the human view (BD-rate over all levels), and the time of an encoding as a multiple of
one without effort and of a decoding, all in one run on one thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from time import perf_counter

import numpy as np
from ugicm import UgicmError

from . import datasets
from .bd_rate import Curve, bd_rate, bd_score
from .config import DEFAULT_DATA, Effort
from .errors import BenchmarkError
from .markdown import percent, table
from .metrics import bits_per_pixel, decibels, ms_ssim, psnr
from .ours import HUMAN, LADDERS, UgicmCodec, view_name

DEFAULT_EFFORTS = (0, 1, 2, 4, 8, 16)


def measure(bundle: Path | None, efforts: Sequence[Effort], images: Sequence[np.ndarray]) -> list[list[str]]:
    """One row per effort: saved bytes, gained dB, and times of encoding; the first effort is what all are compared with."""
    rows: list[list[str]] = []
    anchors: list[Curve] = []
    first = 0.0
    for effort in efforts:
        codec = UgicmCodec(bundle, effort=effort)
        codec.decode(codec.encode(images[0], 50), view_name(HUMAN, effort))
        means, encoding, decoding = [], 0.0, 0.0
        for quality in LADDERS["rd"]:
            found = []
            for image in images:
                start = perf_counter()
                data = codec.encode(image, quality)
                middle = perf_counter()
                view = codec.decode(data, view_name(HUMAN, effort))
                decoding += perf_counter() - middle
                encoding += middle - start
                found.append((bits_per_pixel(data, image), psnr(image, view), ms_ssim(image, view)))
            means.append([fmean(values) for values in zip(*found)])
        rates, fidelity, similarity = zip(*means)
        curves = [(rates, fidelity), (rates, [decibels(value) for value in similarity])]
        anchors, first = anchors or curves, first or encoding
        saved, likewise = (percent(bd_rate(anchor, curve).percent) for anchor, curve in zip(anchors, curves))
        gained = f"{bd_score(anchors[0], curves[0]):+.2f} dB"
        rows.append([str(effort), saved, likewise, gained, f"{encoding / first:.1f}", f"{encoding / decoding:.1f}"])
        print(f"effort {effort}: {saved}, by MS-SSIM {likewise}", file=sys.stderr, flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.effort", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="our model, folder or .zip (default: the one inside ugicm)")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder with eval/")
    words = "the first is compared with; 3:1 has a guidance of 1 (default: 0 1 2 4 8 16)"
    parser.add_argument("--efforts", type=Effort.parse, nargs="+", default=[Effort(steps) for steps in DEFAULT_EFFORTS], help=words)
    parser.add_argument("--stride", type=int, default=3, help="use every n-th picture (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        dataset = datasets.kodak(options.data, max(1, options.stride))
        images = [datasets.read_rgb(file) for file in dataset.files]
        rows = measure(options.bundle, options.efforts, images)
    except (BenchmarkError, UgicmError) as error:
        print(f"benchmarks.effort: {error}", file=sys.stderr)
        return 1
    print(f"{len(images)} pictures of {dataset.name}\n")
    head = ["effort", "bytes at equal PSNR", "at equal MS-SSIM", "PSNR at equal bytes", "time to encode, of effort 0", "of one decoding"]
    print("\n".join(table(head, rows)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
