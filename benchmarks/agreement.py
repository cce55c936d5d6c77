"""What nets make of the views, on all evaluation pictures: `python -m benchmarks.agreement`.

Suite "tasks" has a net answer once per labelled picture, so that a percent is one picture or two. Agreement with the net's own
answer on the original needs no labels: here all three evaluation sets take part, for every net, and a classifier answers ten
times per picture (corners and centre, each mirrored too, as in Krizhevsky et al., NeurIPS 2012). Intervals are taken over
pictures, since the crops of one resemble each other.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ugicm import UgicmError

from . import datasets, tasks
from .config import DEFAULT_DATA, OURS, Config, Effort
from .datasets import Dataset, read_rgb
from .detection import Detection
from .errors import BenchmarkError
from .machine import usable_cores
from .markdown import curve, in_order, label, table
from .metrics import psnr
from .nets import Net, load_nets
from .ours import HUMAN, MACHINE
from .report_tasks import TITLES, rate_differences, views_compared
from .roster import contestants
from .segmentation import Segmentation
from .task import Scorer, Task

MARGIN = 1.41
"""A classifier's pictures are shrunk to so many times the side that it takes, aspect ignored, before they are cut."""
PIXELS = "pixels"


def ten_crops(image: np.ndarray, side: int) -> list[np.ndarray]:
    """Corners and centre of a picture (H, W, 3), and their mirror images: ten squares (side, side, 3)."""
    down, right = image.shape[0] - side, image.shape[1] - side
    places = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    crops = [image[top : top + side, left : left + side] for top, left in places]
    return crops + [crop[:, ::-1] for crop in crops]


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Log-softmax over axis 1, in float64."""
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def divergence(reference: np.ndarray, found: np.ndarray) -> float:
    """Kullback-Leibler divergence in nats from log-probabilities `reference` to `found`, classes along axis 1; mean over the rest."""
    return float((np.exp(reference) * (reference - found)).sum(axis=1).mean())


def answers(net: Net, image: np.ndarray) -> np.ndarray:
    """log-probabilities (10, classes) of the ten crops of a picture (H, W, 3) uint8."""
    from PIL import Image

    side = net.spec["input_hw"][0]
    around = round(MARGIN * side)
    crops = ten_crops(np.asarray(Image.fromarray(image).resize((around, around), Image.Resampling.BILINEAR)), side)
    return log_probabilities(np.concatenate([net.infer(crop)["logits"] for crop in crops]))


def compare(reference: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """(share of equal first classes, mean Kullback-Leibler divergence in nats from the reference) of log-probabilities (n, classes)."""
    agree = (reference.argmax(axis=1) == found.argmax(axis=1)).mean()
    return float(agree), divergence(reference, found)


class TenCrops:
    """See `task.Task`. An observation is `compare` of a picture's ten crops; closeness is -ln(divergence), which rises."""

    metrics = ("top1-agreement", "divergence", "closeness")

    def __init__(self, net: Net, files: Sequence[Path]) -> None:
        self.net = net
        self._reference = [answers(net, read_rgb(file)) for file in files]

    def observe(self, index: int, image: np.ndarray) -> tuple[float, float]:
        """See `task.Task`."""
        return compare(self._reference[index], answers(self.net, image))

    def scorer(self, observations: Sequence[tuple[float, float]]) -> Scorer:
        """See `task.Task`."""
        observed = np.array(observations)

        def score(chosen: np.ndarray) -> dict[str, float]:
            agree, divergence = observed[chosen].mean(axis=0)
            return {"top1-agreement": agree, "divergence": divergence, "closeness": -math.log(max(divergence, 1e-12))}

        return score


@dataclass(frozen=True)
class Pixels:
    """The judge that compares pixels."""

    name: str = PIXELS


class Fidelity:
    """See `task.Task`: what a view costs in pixels. An observation is the PSNR of a picture."""

    metrics = ("psnr",)

    def __init__(self, files: Sequence[Path]) -> None:
        self.net, self._files = Pixels(), files

    def observe(self, index: int, image: np.ndarray) -> float:
        """See `task.Task`."""
        return psnr(read_rgb(self._files[index]), image)

    def scorer(self, observations: Sequence[float]) -> Scorer:
        """See `task.Task`."""
        return lambda chosen: {"psnr": float(np.asarray(observations)[chosen].mean())}


MAKERS: dict[str, type] = {"classify": TenCrops, "detect": Detection, "segment": Segmentation}
SHOWN = {
    "top1-agreement": 3,
    "divergence": 3,
    "ap-agreement": 3,
    "miou-agreement": 3,
    "pixel-agreement": 3,
    "psnr": 2,
}
"""The scores that get a table, with their digits."""
COMPARED = ("top1-agreement", "closeness", "ap-agreement", "miou-agreement", "psnr")
"""The scores at which rates are compared."""


def everything(data: Path, step: int) -> Dataset:
    """Every `step`-th picture of all evaluation sets together."""
    sets = [datasets.imagenet150(data)[0], datasets.coco64(data)[0], datasets.kodak(data)]
    return Dataset("all evaluation sets", tuple(file for one in sets for file in one.files)[::step])


def measure(config: Config, dataset: Dataset) -> dict[str, list[dict[str, Any]]]:
    """Results by net, each codec or view as suite "tasks" has them, and under "pixels" their PSNR."""
    found: list[Task] = [MAKERS[net.task](net, dataset.files) for net in load_nets(config.data) if net.task in MAKERS]
    if not found:
        raise BenchmarkError(f"nets.json of '{config.data}' describes no net for {', '.join(MAKERS)}; this needs one")
    judges = [*found, Fidelity(dataset.files)]
    groups: dict[str, dict[str, Any]] = {task.net.name: {} for task in judges}
    for codec in contestants(config, "tasks"):
        entries = tasks.measure(codec, dataset, codec.qualities("tasks"), judges, config.threads)
        for (net, view), entry in entries.items():
            groups[net][view] = {"name": view, **entry}
    return {net: in_order(group) for net, group in groups.items()}


def lines(groups: dict[str, list[dict[str, Any]]], pictures: int) -> Iterable[str]:
    """Markdown of `measure`: for every net its scores, what the machine view changes, and the rates at equal score."""
    for net, group in groups.items():
        yield f"### {net}, {pictures} pictures\n"
        for metric, digits in SHOWN.items():
            if metric in group[0]["results"]:
                rows = [
                    [label(one["name"]), curve(one["results"]["bpp"], one["results"][metric], digits)] for one in group
                ]
                yield from table(["codec", f"bpp → {TITLES[metric]}"], rows)
                yield from views_compared(group, metric)
        for metric in COMPARED:
            if metric in group[0]["results"]:
                yield from rate_differences(group, metric)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables of every net; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="our model, folder or .zip (default: the one inside ugicm)")
    parser.add_argument("--plain-bundle", type=Path, help="a model trained without a teacher, to compare with")
    parser.add_argument(
        "--codecs", default=OURS, help="comma-separated: ugicm, jpeg, webp, avif, jxl (default: %(default)s)"
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder with eval/ and nets/")
    parser.add_argument(
        "--preferences", type=float, nargs="+", default=[HUMAN, MACHINE], help="views (default: both ends)"
    )
    words = "measure ours with these encoding efforts too; 3:1 has a guidance of 1"
    parser.add_argument("--efforts", type=Effort.parse, nargs="+", default=[], help=words)
    parser.add_argument("--stride", type=int, default=1, help="use every n-th picture")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="pictures at a time")
    options = parser.parse_args(arguments)
    config = Config(
        data=options.data,
        bundle=options.bundle,
        plain_bundle=options.plain_bundle,
        codecs=tuple(options.codecs.split(",")),
        preferences=tuple(options.preferences),
        efforts=tuple(options.efforts),
        threads=max(1, options.threads),
    )
    try:
        dataset = everything(options.data, max(1, options.stride))
        print("\n".join(lines(measure(config, dataset), len(dataset.files))))
    except (BenchmarkError, UgicmError) as error:
        print(f"benchmarks.agreement: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
