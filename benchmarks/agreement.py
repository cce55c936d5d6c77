"""What classifiers make of the views, on ten crops of every evaluation picture: `python -m benchmarks.agreement`.

Suite "tasks" has one answer per labelled picture, so a percent of difference is one or two pictures. Agreement with the answer on the
original needs no labels: all three evaluation sets take part, and each picture gives ten answers (corners and centre,
each mirrored too, as in Krizhevsky et al., NeurIPS 2012). Crops of one picture resemble each other, so intervals are taken over pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from ugicm import Codec, UgicmError

from . import datasets
from .config import DEFAULT_DATA
from .datasets import read_rgb
from .errors import BenchmarkError
from .machine import usable_cores
from .markdown import percent, table
from .metrics import psnr
from .nets import Net, load_nets
from .ours import HUMAN, LADDERS, MACHINE
from .progress import Progress
from .report_tasks import interval

MARGIN = 1.41
"""Pictures are shrunk to so many times the side that the net takes, aspect ignored, before they are cut."""
REPLICATES = 2000


def ten_crops(image: np.ndarray, side: int) -> list[np.ndarray]:
    """Corners and centre of a picture (H, W, 3), and their mirror images: ten squares (side, side, 3)."""
    down, right = image.shape[0] - side, image.shape[1] - side
    places = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    crops = [image[top : top + side, left : left + side] for top, left in places]
    return crops + [crop[:, ::-1] for crop in crops]


def answers(net: Net, image: np.ndarray) -> np.ndarray:
    """log-probabilities (10, classes) of the ten crops of a picture (H, W, 3) uint8."""
    from PIL import Image

    side = net.spec["input_hw"][0]
    around = round(MARGIN * side)
    crops = ten_crops(np.asarray(Image.fromarray(image).resize((around, around), Image.Resampling.BILINEAR)), side)
    logits = np.concatenate([net.infer(crop)["logits"] for crop in crops]).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def compare(reference: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """(share of equal first classes, mean Kullback-Leibler divergence in nats from the reference) of log-probabilities (n, classes)."""
    agree = (reference.argmax(axis=1) == found.argmax(axis=1)).mean()
    return float(agree), float((np.exp(reference) * (reference - found)).sum(axis=1).mean())


def look(codec: Codec, net: Net, file: Path, qualities: Sequence[int], preferences: Sequence[float]) -> np.ndarray:
    """(qualities, preferences, 5) of one picture: agreement, divergence, PSNR in dB, bits, pixels."""
    image = read_rgb(file)
    reference = answers(net, image)
    rows = []
    for quality in qualities:
        stream = codec.encode(image, quality=quality)
        size = (8.0 * len(stream), image.shape[0] * image.shape[1])
        views = codec.decode_views(stream, preferences)
        rows.append([(*compare(reference, answers(net, view)), psnr(image, view), *size) for view in views])
    return np.array(rows)


def measure(codec: Codec, net: Net, files: Sequence[Path], preferences: Sequence[float], threads: int) -> np.ndarray:
    """`look` at every picture, `threads` at a time -> (pictures, qualities, preferences, 5)."""
    found = []
    with ThreadPoolExecutor(threads) as pool, Progress(f"agreement {net.name}", len(files)) as progress:
        for one in pool.map(lambda file: look(codec, net, file, LADDERS["tasks"], preferences), files):
            found.append(one)
            progress.step()
    return np.array(found)


def report(found: np.ndarray, preferences: Sequence[float]) -> list[str]:
    """Markdown of measurements (pictures, qualities, preferences, 5): a table per figure, a row per quality.

    Brackets are 95 % bootstrap intervals, over the pictures, of what the last preference changes against the first.
    """
    samples = np.random.default_rng(0).integers(0, len(found), (REPLICATES, len(found)))
    columns = list(found.swapaxes(0, 1))
    rates = [f"{column[:, 0, 3].sum() / column[:, 0, 4].sum():.3f}" for column in columns]

    def of(figure: int, digits: int, change: Callable[[np.ndarray], str], last: str) -> list[str]:
        """One table; `change` gets values (pictures, preferences)."""
        rows = [
            [rate, *(f"{value:.{digits}f}" for value in column[..., figure].mean(axis=0)), change(column[..., figure])]
            for rate, column in zip(rates, columns)
        ]
        return table(["bpp", *(f"preference {preference:g}" for preference in preferences), last], rows)

    def difference(values: np.ndarray) -> str:
        gain = values[:, -1] - values[:, 0]
        return f"{gain.mean():+.3f} {interval(gain[samples].mean(axis=1))}"

    def ratio(values: np.ndarray) -> str:
        means = values[samples].mean(axis=1)
        change = 100 * (means[:, -1] / means[:, 0] - 1)
        return f"{percent(100 * (values[:, -1].mean() / values[:, 0].mean() - 1))} {interval(change)}"

    return [
        "Share of crops with the answer of the original's crop, and the divergence from its class probabilities in nats:\n",
        *of(0, 3, difference, "last − first"),
        *of(1, 3, ratio, "last against first"),
        "PSNR in dB, mean over the pictures:\n",
        *of(2, 2, difference, "last − first"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table per classifier; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="our model, folder or .zip (default: the one inside ugicm)")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder with eval/ and nets/")
    parser.add_argument("--preferences", type=float, nargs="+", default=[HUMAN, MACHINE], help="views (default: both ends)")
    parser.add_argument("--stride", type=int, default=1, help="use every n-th picture")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="pictures at a time")
    options = parser.parse_args(arguments)
    try:
        sets = [
            datasets.imagenet150(options.data)[0],
            datasets.coco64(options.data)[0],
            datasets.kodak(options.data),
        ]
        files = [file for one in sets for file in one.files][:: max(1, options.stride)]
        nets = [net for net in load_nets(options.data) if net.task == "classify"]
        if not nets:
            raise BenchmarkError(f"nets.json of '{options.data}' describes no classifier; this needs one")
        codec = Codec.open(options.bundle, threads=1)
        for net in nets:
            found = measure(codec, net, files, options.preferences, options.threads)
            print(f"\n{net.name}, ten crops of {len(files)} pictures, bundle {codec.info['fingerprint']}\n")
            print("\n".join(report(found, options.preferences)))
    except (BenchmarkError, UgicmError) as error:
        print(f"benchmarks.agreement: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
