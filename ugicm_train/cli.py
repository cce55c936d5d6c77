"""`ugicm-train`: describe a preset, train a stage or a recipe, look at a checkpoint."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import sys
from pathlib import Path
from typing import Any

from ugicm_train.config import (
    BALANCES,
    HIDDEN_FIELDS,
    PRESET_NAMES,
    QUALITY_LEVELS,
    Distillation,
    TrainConfig,
    field_sentences,
)

LEVELS = (0, 8, 16, 24, 32, 40, 48, 56, 63)


def parser() -> argparse.ArgumentParser:
    """The command line; defaults of training options come from TrainConfig."""
    top = argparse.ArgumentParser(prog="ugicm-train", description="Train UG-ICM codecs without labels.")
    commands = top.add_subparsers(dest="command", required=True)
    with_defaults = argparse.ArgumentDefaultsHelpFormatter

    describe = commands.add_parser("describe", help="print parameters and kMAC/pixel of a preset")
    describe.add_argument("--preset", choices=PRESET_NAMES, default="nano")

    fit = commands.add_parser("fit", help="train one stage", formatter_class=with_defaults)
    fit.add_argument("--out", required=True, type=Path, help="checkpoint folder to write")
    fit.add_argument("--preset", choices=PRESET_NAMES, default="nano", help="network of a fresh run")
    fit.add_argument("--init", type=Path, help="checkpoint whose weights and network to start from")
    fit.add_argument("--resume", action="store_true", help="go on from the state in --out")
    _add_run_options(fit)
    _add_settings(fit)

    recipe = commands.add_parser("recipe", help="train the stages of a recipe in order, from wherever it stands")
    recipe.add_argument("name", help="a recipe of this package (`list` prints them) or the path of a TOML file")
    recipe.add_argument("--out", type=Path, help="folder for the run, one checkpoint folder per stage")
    recipe.add_argument("--teacher", default="", help="teacher of the stages with a machine objective, in place of the recipe's")
    recipe.add_argument("--instances", default="", help="objects, in place of the recipe's, for stages that look at objects")
    recipe.add_argument("--steps", type=_count, default=0, help="steps of every stage, in place of the recipe's")
    _add_run_options(recipe, data_required=False)

    compare = commands.add_parser("compare", help="train the same stage with every balance and print one table")
    compare.add_argument("--out", required=True, type=Path, help="folder for the runs and `compare.json`")
    compare.add_argument("--init", required=True, type=Path, help="checkpoint that all runs start from")
    compare.add_argument("--balances", choices=BALANCES, nargs="+", default=list(BALANCES))
    compare.add_argument("--compare-levels", type=_level, nargs="+", default=[8, 24, 40, 56], help="at least two")
    _add_run_options(compare)
    _add_settings(compare, leave_out=("balance",), stage="semantic", steps=300)

    evaluate = commands.add_parser("evaluate", help="estimated bpp and PSNR of a checkpoint on a folder")
    evaluate.add_argument("checkpoint", type=Path)
    evaluate.add_argument("--data", required=True, help="folder with images")
    evaluate.add_argument("--levels", type=_level, nargs="+", default=list(LEVELS))
    evaluate.add_argument("--preferences", type=_preference, nargs="+", default=[0.0])
    evaluate.add_argument("--images", type=_count, help="only the first so many images")
    evaluate.add_argument("--ms-ssim", action="store_true", help="also print MS-SSIM in dB, -10 log10(1 - x)")
    evaluate.add_argument("--teacher", default="", help="also print this teacher's distance; see `fit --help`")
    evaluate.add_argument("--text", type=Path, help="text embeddings (K,D) of the teacher's CLIP as .npy: zero-shot agreement")
    evaluate.add_argument("--labels", type=Path, help="COCO JSON whose categories are the rows of --text: zero-shot accuracy")

    _add_remaking(commands)
    return top


def _add_remaking(commands: Any) -> None:
    """Commands that make another checkpoint of one without training, and the one that tells what to leave out."""
    ablate = commands.add_parser("ablate", help="rate that each residual branch of a checkpoint saves")
    ablate.add_argument("checkpoint", type=Path)
    ablate.add_argument("--data", required=True, help="folder with images")
    ablate.add_argument("--levels", type=_level, nargs="+", default=[12, 32, 46], help="each at most 59")
    ablate.add_argument("--images", type=_count, default=4, help="only the first so many images")

    prune = commands.add_parser("prune", help="a checkpoint with fewer hidden channels in its blocks, to be trained on")
    prune.add_argument("checkpoint", type=Path)
    prune.add_argument("--data", required=True, help="folder with images, searched recursively")
    prune.add_argument("--out", required=True, type=Path, help="checkpoint folder to write")
    for field in HIDDEN_FIELDS:
        words = f"channels to keep in {field.removesuffix('_hidden')}; all if absent"
        prune.add_argument(f"--{field.replace('_', '-')}", type=_count, help=words)

    widen = commands.add_parser("widen", help="a checkpoint with more latent channels, to be trained on: better high rates")
    widen.add_argument("checkpoint", type=Path)
    widen.add_argument("--data", required=True, nargs="+", metavar="DIR", help="folders with images, searched recursively")
    widen.add_argument("--latent", required=True, type=_count, help="latent channels to have, more than before by a multiple of 4")
    widen.add_argument("--out", required=True, type=Path, help="checkpoint folder to write")

    blend = commands.add_parser("blend", help="a mixture of checkpoints that were trained on from one start")
    blend.add_argument("checkpoint", type=Path)
    blend.add_argument("others", type=Path, nargs="+", metavar="other", help="checkpoints of the same network")
    blend.add_argument(
        "--share", required=True, type=_preference, nargs="+", help="weight of each other, 0 to 1; the first has the rest of 1"
    )
    blend.add_argument(
        "--whole", action="store_true", help="mix what the preference acts through too; else it is the first's"
    )
    blend.add_argument("--out", required=True, type=Path, help="checkpoint folder to write")

    rebase = commands.add_parser("rebase", help="carry over to another checkpoint what a training brought the one it started from")
    rebase.add_argument("checkpoint", type=Path)
    rebase.add_argument("--start", required=True, type=Path, help="checkpoint that it was trained on from")
    rebase.add_argument("--onto", required=True, type=Path, help="checkpoint of the same network that is to be moved as much")
    rebase.add_argument("--out", required=True, type=Path, help="checkpoint folder to write")

    reach = commands.add_parser("reach", help="lower rates at the lowest levels, without training: level 0 moves down")
    reach.add_argument("checkpoint", type=Path)
    reach.add_argument("--below", required=True, type=float, help="how many levels further down level 0 is to be, at most 6.3")
    reach.add_argument("--out", required=True, type=Path, help="checkpoint folder to write")

    _add_distil(commands)

    pack = commands.add_parser("pack", help="copy a checkpoint's weights in half the bytes, to keep or to ship")
    pack.add_argument("checkpoint", type=Path)
    pack.add_argument("--out", required=True, type=Path, help="checkpoint folder to write (float16, not resumable)")


def _add_distil(commands: Any) -> None:
    words = "add a guide to a checkpoint: what `ugicm encode --guidance` follows"
    distil = commands.add_parser("distil", help=words, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    distil.add_argument("checkpoint", type=Path, help="checkpoint folder; guide.safetensors is written to it")
    distil.add_argument("--data", required=True, nargs="+", metavar="DIR", help="folders with images, searched recursively")
    distil.add_argument("--teacher", required=True, help="whose first feature maps to predict; see `fit --help`")
    distil.add_argument("--threads", type=_count, help="CPU threads of PyTorch (all if absent)")
    distil.add_argument("--force", action="store_true", help="replace the guide that is there")
    sentences = field_sentences(Distillation)
    for setting in dataclasses.fields(Distillation):
        kind = {"seed": int, "learning_rate": _positive}.get(setting.name, _count)
        flag = f"--{setting.name.replace('_', '-')}"
        distil.add_argument(flag, type=kind, default=setting.default, help=sentences[setting.name])


def _add_run_options(command: argparse.ArgumentParser, data_required: bool = True) -> None:
    """Data, devices and logs: what does not change the loss curve."""
    command.add_argument(
        "--data",
        required=data_required,
        nargs="+",
        metavar="DIR",
        help="folders with images, searched recursively; one that is named twice is drawn from twice as often",
    )
    command.add_argument("--validation", help="folder whose first 8 images are validated")
    command.add_argument("--validate-every", type=_count, default=1000, help="steps between validations")
    command.add_argument("--tensorboard", action="store_true", help="log to the folder tensorboard of the checkpoint")
    command.add_argument("--workers", type=_count, default=1, help="threads that read and cut pictures ahead")
    command.add_argument("--cache-gib", type=_positive, default=4.0, help="memory for decoded images per process")
    command.add_argument("--threads", type=_count, help="CPU threads of PyTorch (all if absent)")
    command.add_argument("--device", default="cpu", help="cpu, cuda or another accelerator of Lightning Fabric")
    command.add_argument("--processes", type=_count, default=1, help="data-parallel processes per machine, one per device")
    command.add_argument("--nodes", type=_count, default=1, help="machines, under torchrun")


def _add_settings(command: argparse.ArgumentParser, leave_out: tuple[str, ...] = (), **defaults: object) -> None:
    """One option per field of TrainConfig, with its sentence."""
    options = command.add_argument_group("training", "saved with the checkpoint; see ugicm_train/config.py")
    sentences = field_sentences(TrainConfig)
    for field in dataclasses.fields(TrainConfig):
        if field.name in leave_out:
            continue
        flag, default = f"--{field.name.replace('_', '-')}", defaults.get(field.name, field.default)
        words = sentences[field.name].replace("%", "%%")
        if isinstance(field.default, bool):
            options.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=words)
        else:
            options.add_argument(flag, type=type(field.default), default=default, help=words)


def _count(text: str) -> int:
    return int(_within(text, 1, math.inf, whole=True))


def _positive(text: str) -> float:
    return _within(text, 0, 1e9)


def _level(text: str) -> int:
    return int(_within(text, 0, QUALITY_LEVELS - 1, whole=True))


def _preference(text: str) -> float:
    return _within(text, 0, 1)


def _within(text: str, low: float, high: float, whole: bool = False) -> float:
    """The number that `text` is, or the usage error that argparse prints."""
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        kind = "whole number" if whole else "number"
        raise argparse.ArgumentTypeError(f"{text!r} is not a {kind} in {low}..{high}")
    return value


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code. Errors that a user can mend are one sentence on stderr."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    from ugicm_train import commands

    try:
        return commands.COMMANDS[args.command](args)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"ugicm-train: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
