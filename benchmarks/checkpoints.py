"""Checkpoints against each other, before any of them is exported: `python -m benchmarks.checkpoints models/plain runs/second`.

Rates are the entropy model's estimates, views are computed in float32 by PyTorch: minutes instead of the suites' hours, good
enough to choose a mixture or a stage's settings. Each line says how many percent more bits a view needs than the first
checkpoint's human view at equal PSNR, at equal MS-SSIM and, with `--nets`, at equal difference of what nets answer on the view and
on the original: the Kullback-Leibler divergence of the class probabilities for a classifier (ten crops, as `benchmarks.agreement`
cuts them) and for a segmenter (mean over its positions), the mean absolute difference of the scores over all boxes and classes for
a detector. These move with every picture, so a few dozen tell what hits and misses tell on hundreds. Choose on training
pictures only: what is chosen on evaluation pictures is no longer measured by them.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from . import agreement, datasets
from .bd_rate import bd_rate, clip_to_rates
from .config import DEFAULT_DATA
from .errors import BenchmarkError
from .machine import usable_cores
from .markdown import percent, table
from .nets import Net, load_nets
from .progress import Progress

LEAST_MS_SSIM_SIDE = 161  # of its five scales; training asks for whole crops, which are larger
LEVELS = (4, 12, 20, 28, 36, 44, 52, 58)
HUMAN, MACHINE = 0.0, 1.0
Difference = Callable[[np.ndarray, int], float]
"""(view (H,W,3) uint8, number of the picture) -> how far the view is from the original, zero or more."""


READERS: dict[str, tuple[Callable[[Net, np.ndarray], np.ndarray], Callable[[np.ndarray, np.ndarray], float]]] = {
    "classify": (agreement.answers, agreement.divergence),
    "detect": (lambda net, image: net.run(image)[0]["scores"], lambda reference, found: float(np.abs(reference - found).mean())),
    "segment": (lambda net, image: agreement.log_probabilities(net.run(image)[0]["logits"]), agreement.divergence),
}
"""What a net of each task answers on a picture, and how far two answers are apart."""


def net_difference(net: Net, originals: Sequence[np.ndarray]) -> Difference:
    """How far the answers of `net` on a view are from those on its original."""
    answer, apart = READERS[net.task]
    references = [answer(net, image) for image in originals]
    return lambda view, number: apart(references[number], answer(net, view))


def differences(originals: Sequence[np.ndarray], nets: Sequence[Net], structure: bool) -> dict[str, Difference]:
    """By title, everything that views are judged by beside PSNR."""
    from ugicm_train.judges import as_tensor
    from ugicm_train.losses import structure_error

    def dissimilarity(view: np.ndarray, number: int) -> float:
        return float(structure_error(as_tensor(view), as_tensor(originals[number])))

    found: dict[str, Difference] = {"MS-SSIM": dissimilarity} if structure else {}
    return found | {net.name: net_difference(net, originals) for net in nets if net.task in READERS}


def curves(
    checkpoint: Path,
    originals: Sequence[np.ndarray],
    judges: dict[str, Difference],
    levels: Sequence[int],
    preferences: Sequence[float],
    tick: Callable[[], None] = lambda: None,
) -> dict[float, dict[str, tuple[list[float], list[float]]]]:
    """By preference and title, mean rates and scores of a checkpoint's views: PSNR in dB, else -ln of the mean difference.

    `tick` is called once per view.
    """
    import torch

    from ugicm_train.checkpoint import load_codec
    from ugicm_train.evaluate import code_picture, psnr

    codec = load_codec(checkpoint)[0].eval()
    found: dict[float, dict[str, tuple[list[float], list[float]]]] = {}
    for preference in preferences:
        lines = found.setdefault(preference, {title: ([], []) for title in ("PSNR", *judges)})
        for level in levels:
            rates, scores = [], {title: [] for title in lines}
            for number, original in enumerate(originals):
                with torch.no_grad():
                    view, rate = code_picture(codec, original, level, preference)
                    rates.append(rate)
                    scores["PSNR"].append(psnr(view, original))
                    for title, judge in judges.items():
                        scores[title].append(judge(view, number))
                tick()
            for title, values in scores.items():
                lines[title][0].append(float(np.mean(rates)))
                lines[title][1].append(float(np.mean(values)) if title == "PSNR" else -math.log(max(float(np.mean(values)), 1e-12)))
    return found


def lines(arguments: argparse.Namespace) -> Iterable[str]:
    """The table, a line per checkpoint and view."""
    low, high = arguments.between
    if not 0 < low < high:
        raise BenchmarkError(f"--between is {low:g} {high:g}; give the lower rate first, above 0")
    pictures = datasets.folder(arguments.pictures, step=arguments.stride)
    originals = [datasets.read_rgb(file) for file in pictures.files]
    nets = load_nets(arguments.data, arguments.threads) if arguments.nets else []
    structure = not arguments.nets or arguments.ms_ssim
    for file, original in zip(pictures.files, originals):
        if structure and min(original.shape[:2]) < LEAST_MS_SSIM_SIDE:
            raise BenchmarkError(f"'{file}' has a side below {LEAST_MS_SSIM_SIDE} pixels, too small for MS-SSIM; use --nets alone")
    judges = differences(originals, nets, structure)
    preferences = (HUMAN, MACHINE) if arguments.nets else (HUMAN,)
    with Progress("views", len(arguments.checkpoints) * len(preferences) * len(LEVELS) * len(originals)) as progress:
        found = [curves(folder, originals, judges, LEVELS, preferences, progress.step) for folder in arguments.checkpoints]
    anchor = {title: clip_to_rates(line, low, high) for title, line in found[0][HUMAN].items()}
    rows = []
    for folder, views in zip(arguments.checkpoints, found):
        for preference, scored in views.items():
            differing = [percent(bd_rate(anchor[title], clip_to_rates(line, low, high)).percent) for title, line in scored.items()]
            rows.append([str(folder), "machine" if preference else "human", *differing])
    yield f"Bits against the human view of {arguments.checkpoints[0]} at equal score, {len(originals)} pictures, {low:g} to {high:g} bpp:"
    yield ""
    yield from table(["checkpoint", "view", *anchor], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 and a sentence on standard error for anything that cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoints", description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoints", nargs="+", type=Path, help="folders of ugicm-train; the first is what the others are compared with")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="data folder with nets/ (default: %(default)s)")
    parser.add_argument("--pictures", type=Path, help="folder of pictures (default: train/objects of --data)")
    parser.add_argument("--stride", type=int, default=26, help="take every so-manieth picture of it (default: %(default)s)")
    words = "rates to compare over (default: 0.15 1.2)"
    parser.add_argument("--between", type=float, nargs=2, default=(0.15, 1.2), metavar="BPP", help=words)
    parser.add_argument("--nets", action="store_true", help="ask the nets as well, about both views")
    parser.add_argument("--ms-ssim", action="store_true", help="MS-SSIM beside the nets; needs sides of 161 pixels")
    parser.add_argument("--threads", type=int, default=usable_cores())
    chosen = parser.parse_args(arguments)
    chosen.pictures = chosen.pictures or chosen.data / "train" / "objects"
    try:
        import torch

        torch.set_num_threads(chosen.threads)
        for line in lines(chosen):
            print(line)
    except (BenchmarkError, ValueError) as error:
        print(f"checkpoints: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
