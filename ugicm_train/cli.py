"""`ugicm-train`: describe a preset, train a stage, look at a checkpoint."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import sys
from pathlib import Path
from typing import Any

from ugicm_train.config import (
    PRESETS,
    QUALITY_LEVELS,
    NetworkConfig,
    TrainConfig,
    field_sentences,
    network_preset,
)


def parser() -> argparse.ArgumentParser:
    """The command line; defaults of training options come from TrainConfig."""
    top = argparse.ArgumentParser(prog="ugicm-train", description="Train UG-ICM codecs without labels.")
    commands = top.add_subparsers(dest="command", required=True)

    describe = commands.add_parser("describe", help="print parameters and kMAC/pixel of a preset")
    describe.add_argument("--preset", choices=list(PRESETS), default="nano")

    fit = commands.add_parser("fit", help="train one stage", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    fit.add_argument("--data", required=True, help="folder with images, searched recursively")
    fit.add_argument("--out", required=True, type=Path, help="checkpoint folder to write")
    fit.add_argument("--preset", choices=list(PRESETS), default="nano", help="network of a fresh run")
    fit.add_argument("--init", type=Path, help="checkpoint whose weights and network to start from")
    fit.add_argument("--resume", action="store_true", help="go on from the state in --out")
    fit.add_argument(
        "--teacher", type=Path, help="safetensors file of timm mobilenetv2_100 (stages semantic and preference)"
    )
    fit.add_argument("--validation", help="folder whose first 8 images are validated")
    fit.add_argument("--validate-every", type=_count, default=1000, help="steps between validations")
    fit.add_argument("--threads", type=_count, help="CPU threads (all if absent)")
    fit.add_argument("--device", default="cpu", help="cpu, cuda or another accelerator of Lightning Fabric")
    fit.add_argument("--processes", type=_count, default=1, help="data-parallel processes, one per device")
    options = fit.add_argument_group("training", "saved with the checkpoint; see ugicm_train/config.py")
    sentences = field_sentences(TrainConfig)
    for field in dataclasses.fields(TrainConfig):
        flag, default = f"--{field.name.replace('_', '-')}", field.default
        options.add_argument(flag, type=type(default), default=default, help=sentences[field.name].replace("%", "%%"))

    evaluate = commands.add_parser("evaluate", help="estimated bpp and PSNR of a checkpoint on a folder")
    evaluate.add_argument("checkpoint", type=Path)
    evaluate.add_argument("--data", required=True, help="folder with images")
    evaluate.add_argument("--levels", type=_level, nargs="+", default=[0, 8, 16, 24, 32, 40, 48, 56, 63])
    evaluate.add_argument("--preferences", type=_preference, nargs="+", default=[0.0])
    evaluate.add_argument("--images", type=_count, help="only the first so many images")

    ablate = commands.add_parser("ablate", help="rate that each residual branch of a checkpoint saves")
    ablate.add_argument("checkpoint", type=Path)
    ablate.add_argument("--data", required=True, help="folder with images")
    ablate.add_argument("--levels", type=_level, nargs="+", default=[12, 32, 46], help="each at most 59")
    ablate.add_argument("--images", type=_count, default=4, help="only the first so many images")

    pack = commands.add_parser("pack", help="copy a checkpoint's weights in half the bytes, to keep or to ship")
    pack.add_argument("checkpoint", type=Path)
    pack.add_argument("--out", required=True, type=Path, help="checkpoint folder to write (float16, not resumable)")
    return top


def _count(text: str) -> int:
    return int(_within(text, 1, math.inf, whole=True))


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


def run_describe(args: argparse.Namespace) -> int:
    """Print the counts of a preset."""
    from ugicm_train.describe import describe

    found = describe(network_preset(args.preset))
    print(f"preset {args.preset}")
    print(f"  parameters     {found.parameters:,}")
    print(f"  encoder        {found.encoder_parameters:,} parameters, {found.encoder_kmac:.1f} kMAC/pixel")
    print(f"  decoder        {found.decoder_parameters:,} parameters, {found.decoder_kmac:.1f} kMAC/pixel")
    print(f"  scale network  {found.scale_network_kmac:.2f} kMAC/pixel (integer, on both sides)")
    return 0


def run_fit(args: argparse.Namespace) -> int:
    """Train one stage to its end."""
    import torch

    from ugicm_train.checkpoint import load_codec
    from ugicm_train.data import CropSource
    from ugicm_train.loop import Trainer, fit, make_fabric
    from ugicm_train.teacher import MobileNetTeacher

    if args.threads:
        torch.set_num_threads(args.threads)
    config = TrainConfig(**{f.name: getattr(args, f.name) for f in dataclasses.fields(TrainConfig)})
    fabric = make_fabric(config, args.device, args.processes)
    fabric.launch()
    network: NetworkConfig = network_preset(args.preset)
    start: dict[str, torch.Tensor] | None = None
    history: list[dict[str, Any]] = []
    if args.init:
        codec, history = load_codec(args.init)
        network, start = codec.config, codec.state_dict()
    teacher = MobileNetTeacher(args.teacher) if args.teacher else None
    source = CropSource(args.data, smallest=max(config.crop, config.late_crop))
    trainer = Trainer(config, network, source, args.out, start=start, history=history, teacher=teacher, fabric=fabric)
    if args.resume:
        trainer.resume()
    fit(trainer, validation=args.validation, validate_every=args.validate_every)
    fabric.barrier()
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Print a table of rate and PSNR."""
    from ugicm_train.checkpoint import load_codec
    from ugicm_train.data import find_images, read_image
    from ugicm_train.evaluate import evaluate

    codec, _ = load_codec(args.checkpoint)
    images = [read_image(path) for path in find_images(args.data)[: args.images]]
    print("level preference     bpp   PSNR")
    for point in evaluate(codec, images, args.levels, args.preferences):
        print(f"{point.level:5d} {point.preference:10.2f} {point.bpp:7.4f} {point.psnr:6.3f}")
    return 0


def run_ablate(args: argparse.Namespace) -> int:
    """Print the rate change of every branch."""
    from ugicm_train.ablation import SLOPE_STEP, ablate
    from ugicm_train.checkpoint import load_codec
    from ugicm_train.data import find_images, read_image

    if max(args.levels) + SLOPE_STEP >= QUALITY_LEVELS:
        raise ValueError(f"levels must be at most {QUALITY_LEVELS - 1 - SLOPE_STEP} here, got {max(args.levels)}")
    codec, _ = load_codec(args.checkpoint)
    images = [read_image(path) for path in find_images(args.data)[: args.images]]
    print(f"{'branch':42s} parameters  rate change at equal PSNR, levels {args.levels}")
    for branch in ablate(codec, images, args.levels):
        changes = " ".join(f"{change:+7.1%}" for change in branch.rate_change)
        print(f"{branch.name:42s} {branch.parameters:10,d}  {changes}", flush=True)
    return 0


def run_pack(args: argparse.Namespace) -> int:
    """Write the weights as float16; exporting the result gives the same bundle, because export rounds them so anyway."""
    from ugicm_train.checkpoint import load_codec, save_weights

    codec, history = load_codec(args.checkpoint)
    save_weights(args.out, codec.config, codec.state_dict(), history, half=True)
    print(f"wrote {args.out}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code. Errors that a user can mend are one sentence on stderr."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    commands = {
        "describe": run_describe,
        "fit": run_fit,
        "evaluate": run_evaluate,
        "ablate": run_ablate,
        "pack": run_pack,
    }
    try:
        return commands[args.command](args)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"ugicm-train: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
