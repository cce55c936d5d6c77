"""What the commands of `ugicm-train` do. Heavy modules are loaded when a command needs them."""

from __future__ import annotations

import argparse
import atexit
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ugicm_train.config import HIDDEN_FIELDS, QUALITY_LEVELS, Distillation, TrainConfig, network_preset

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from ugicm_train.batches import Batch
    from ugicm_train.run import RunOptions

SAMPLE_BATCHES = 16
"""Batches of training crops whose activations tell what can be spared or is missing."""


def run_describe(args: argparse.Namespace) -> int:
    """Print the counts of a preset."""
    from ugicm_train.describe import describe

    found = describe(network_preset(args.preset))
    print(f"preset {args.preset}")
    print(f"  parameters     {found.parameters:,}")
    print(f"  encoder        {found.encoder_parameters:,} parameters, {found.encoder_kmac:.1f} kMAC/pixel")
    print(f"  decoder        {found.decoder_parameters:,} parameters, {found.decoder_kmac:.1f} kMAC/pixel")
    print(f"  scale network  {found.scale_network_kmac:.2f} kMAC/pixel (on both sides; integer but for the paper's)")
    return 0


def _settings(args: argparse.Namespace) -> TrainConfig:
    """The training settings of the command line."""
    names = (field.name for field in dataclasses.fields(TrainConfig))
    return TrainConfig(**{name: getattr(args, name) for name in names if hasattr(args, name)})


def _run_options(args: argparse.Namespace) -> RunOptions:
    from ugicm_train.run import RunOptions

    names = (field.name for field in dataclasses.fields(RunOptions))
    return RunOptions(**{name: getattr(args, name) for name in names if hasattr(args, name)})


def _launched(args: argparse.Namespace, precision: str) -> Fabric:
    """The devices of the command line, ready in every process."""
    import torch

    from ugicm_train.loop import make_fabric

    if args.threads:
        torch.set_num_threads(args.threads)
    fabric = make_fabric(precision, args.device, args.processes, args.nodes)
    fabric.launch()
    if fabric.world_size > 1:
        atexit.register(_leave_group)
    return fabric


def _leave_group() -> None:
    """End the threads of the process group: gloo's, still running when the interpreter goes, abort the process now and then."""
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def run_fit(args: argparse.Namespace) -> int:
    """Train one stage to its end."""
    from ugicm_train.checkpoint import CONFIG
    from ugicm_train.run import train_stage

    config = _settings(args)
    if not args.resume and (Path(args.out) / CONFIG).exists():
        raise ValueError(f"{args.out} holds a checkpoint already: go on with --resume, or choose another --out")
    fabric = _launched(args, config.precision)
    network, options = network_preset(args.preset), _run_options(args)
    train_stage(config, network, args.out, options, fabric, init=args.init, resume=args.resume)
    return 0


def run_recipe(args: argparse.Namespace) -> int:
    """Train the stages of a recipe that are not finished yet."""
    from ugicm_train import recipe as recipes

    if args.name == "list":
        for name in recipes.recipe_names():
            print(f"{name:10} {recipes.load_recipe(name).description}")
        return 0
    recipe = recipes.load_recipe(args.name).with_settings(args.teacher, args.steps, args.instances)
    if not args.data or not args.out:
        raise ValueError(f"recipe {recipe.name} needs --data DIR and --out RUN")
    if recipe.needs_teacher:
        raise ValueError(f"recipe {recipe.name} has stages with a machine objective: give --teacher")
    recipes.progress(recipe, args.out)
    from ugicm_train.run import mean_of_runs, train_stage

    fabric = _launched(args, recipe.precision)
    options = dataclasses.replace(_run_options(args), proposals=args.out / "proposals")
    train = functools.partial(train_stage, options=options, fabric=fabric)
    average = functools.partial(mean_of_runs, fabric=fabric)
    recipes.run_recipe(recipe, args.out, train, average, print if fabric.is_global_zero else lambda text: None)
    return 0


def run_compare(args: argparse.Namespace) -> int:
    """Train a stage with every balance and print the table."""
    from ugicm_train.compare import compare
    from ugicm_train.run import train_stage

    config = _settings(args)
    if not config.needs_teacher or not config.teacher or not args.validation:
        raise ValueError("compare needs a stage with a machine objective, --teacher, and --validation for the table")
    if len(args.compare_levels) < 2:
        raise ValueError(f"compare needs at least two levels, got {args.compare_levels}")
    fabric = _launched(args, config.precision)
    train = functools.partial(train_stage, options=dataclasses.replace(_run_options(args), validation=None), fabric=fabric)
    report = functools.partial(print, flush=True) if fabric.is_global_zero else lambda text: None
    levels = sorted(args.compare_levels)
    compare(config, args.balances, args.init, args.out, args.validation, levels, train, report)
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Print a table of rate, PSNR and what the judges find."""
    from ugicm_train.checkpoint import load_codec
    from ugicm_train.data import find_images, read_image
    from ugicm_train.evaluate import evaluate
    from ugicm_train.judges import judges_for
    from ugicm_train.teachers import open_teacher

    codec, _ = load_codec(args.checkpoint)
    files = find_images(args.data)[: args.images]
    judges = judges_for(open_teacher(args.teacher) if args.teacher else None, args.text, args.labels, files, args.ms_ssim)
    images = [read_image(path) for path in files]
    print(" ".join(["level preference     bpp   PSNR", *(f"{name:>8}" for name in judges)]))
    for point in evaluate(codec, images, args.levels, args.preferences, judges):
        figures = [f"{value:8.4f}" for value in point.judged.values()]
        print(" ".join([f"{point.level:5d} {point.preference:10.2f} {point.bpp:7.4f} {point.psnr:6.3f}", *figures]))
    return 0


def run_ablate(args: argparse.Namespace) -> int:
    """Print the rate change of every branch."""
    from ugicm_train.ablation import SLOPE_STEP, ablate
    from ugicm_train.checkpoint import load_codec
    from ugicm_train.data import find_images, read_image
    from ugicm_train.model.build import as_codec

    if max(args.levels) + SLOPE_STEP >= QUALITY_LEVELS:
        raise ValueError(f"levels must be at most {QUALITY_LEVELS - 1 - SLOPE_STEP} here, got {max(args.levels)}")
    codec = as_codec(load_codec(args.checkpoint)[0], "ablate")
    images = [read_image(path) for path in find_images(args.data)[: args.images]]
    print(f"{'branch':42s} parameters  rate change at equal PSNR, levels {args.levels}")
    for branch in ablate(codec, images, args.levels):
        changes = " ".join(f"{change:+7.1%}" for change in branch.rate_change)
        print(f"{branch.name:42s} {branch.parameters:10,d}  {changes}", flush=True)
    return 0


def _training_batches(folders: str | list[str]) -> list[Batch]:
    """What a network sees in training, for commands that look at its activations."""
    import torch

    from ugicm_train.batches import draw_batch
    from ugicm_train.data import CropSource

    settings, source = TrainConfig(crop=256, late_from=1.0), CropSource(folders)
    return [draw_batch(settings, source, step).to(torch.device("cpu")) for step in range(SAMPLE_BATCHES)]


def run_prune(args: argparse.Namespace) -> int:
    """Write a narrower checkpoint and print what each block lost."""
    from ugicm_train.checkpoint import load_codec, save_weights
    from ugicm_train.model.build import as_codec
    from ugicm_train.pruning import prune

    hidden = {field: getattr(args, field) for field in HIDDEN_FIELDS if getattr(args, field)}
    if not hidden:
        raise ValueError("nothing to prune: give at least one of " + ", ".join(f"--{field.replace('_', '-')}" for field in HIDDEN_FIELDS))
    codec, history = load_codec(args.checkpoint)
    codec = as_codec(codec, "prune")
    network, losses = prune(codec, hidden, _training_batches(args.data))
    save_weights(args.out, network, codec.state_dict(), [*history, {"stage": "prune", "hidden": hidden}])
    print(f"{'block':24s} share of its expand branch's variance lost")
    for name, loss in losses.items():
        print(f"{name:24s} {loss:.2%}")
    return 0


def run_widen(args: argparse.Namespace) -> int:
    """Write a checkpoint with more latent channels and print what they hold."""
    from ugicm_train.checkpoint import load_codec, save_weights
    from ugicm_train.model.build import as_codec
    from ugicm_train.widening import added_channels, widen

    found, history = load_codec(args.checkpoint)
    codec = as_codec(found, "widen")
    added_channels(codec.config.latent, args.latent)  # refused before pictures are read
    codec, shares = widen(codec, args.latent, _training_batches(args.data))
    save_weights(args.out, codec.config, codec.state_dict(), [*history, {"stage": "widen", "latent": args.latent}])
    print(f"{len(shares)} channels with {sum(shares):.1%} of the error that the highest level has without rounding; wrote {args.out}")
    return 0


def run_blend(args: argparse.Namespace) -> int:
    """Write a mixture of checkpoints; what the preference acts through is that of the first unless all is to be mixed."""
    from ugicm_train.blending import write_weighted

    write_weighted([args.checkpoint, *args.others], args.share, args.out, args.whole)
    print(f"wrote {args.out}")
    return 0


def run_rebase(args: argparse.Namespace) -> int:
    """Write a checkpoint moved by what a training from another one of the same network brought."""
    from ugicm_train.blending import write_rebased

    write_rebased(args.checkpoint, args.start, args.onto, args.out)
    print(f"wrote {args.out}")
    return 0


def run_reach(args: argparse.Namespace) -> int:
    """Write the network with lower rates at its lowest levels."""
    from ugicm_train.checkpoint import load_codec, save_weights
    from ugicm_train.lower_rates import reach_lower

    codec, history = load_codec(args.checkpoint)
    reach_lower(codec, args.below)
    save_weights(args.out, codec.config, codec.state_dict(), [*history, {"stage": "reach", "below": args.below}])
    print(f"wrote {args.out}")
    return 0


def run_distil(args: argparse.Namespace) -> int:
    """Train a guide and write it beside the checkpoint's weights."""
    import torch

    from ugicm_train.allocator import keep_freed_memory
    from ugicm_train.checkpoint import load_codec
    from ugicm_train.data import CropSource
    from ugicm_train.distil import distil
    from ugicm_train.guide_file import FILE, save_guide
    from ugicm_train.model.build import as_codec
    from ugicm_train.model.guide import GuideConfig
    from ugicm_train.teachers import open_teacher
    from ugicm_train.teachers.base import FeatureTeacher

    settings = Distillation(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Distillation)})
    if (args.checkpoint / FILE).exists() and not args.force:
        raise FileExistsError(f"{args.checkpoint / FILE} exists; remove it or give --force")
    if args.threads:
        torch.set_num_threads(args.threads)
    keep_freed_memory()
    codec = as_codec(load_codec(args.checkpoint)[0], "distil").requires_grad_(False)
    teacher = open_teacher(args.teacher)
    if not isinstance(teacher, FeatureTeacher):
        raise ValueError(f"teacher {args.teacher!r} is a panel; a guide is distilled from one network")
    source = CropSource(args.data, smallest=settings.crop)

    def show(step: int, missed: list[float]) -> None:
        print(f"step {step}/{settings.steps} missed " + " ".join(f"{share:.3f}" for share in missed), flush=True)

    save_guide(args.checkpoint, distil(settings, GuideConfig(), teacher, codec, source, show))
    print(f"wrote {args.checkpoint / FILE}")
    return 0


def run_pack(args: argparse.Namespace) -> int:
    """Write the weights as float16; exporting the result gives the same bundle, because export rounds them so anyway."""
    from ugicm_train.checkpoint import load_codec, save_weights
    from ugicm_train.guide_file import FILE, load_guide, save_guide

    codec, history = load_codec(args.checkpoint)
    save_weights(args.out, codec.config, codec.state_dict(), _without_folders(history), half=True)
    if (args.checkpoint / FILE).exists():
        save_guide(args.out, load_guide(args.checkpoint))
    print(f"wrote {args.out}")
    return 0


def _without_folders(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Stages, and the stages of checkpoints blended in, with the names of files alone."""
    shown = []
    for stage in history:
        files = {"instances": _without_folder(stage["instances"])} if "instances" in stage else {}
        if "teacher" in stage:  # several have commas between them
            files["teacher"] = ",".join(_without_folder(part) for part in stage["teacher"].split(","))
        blended = {"other": _without_folders(stage["other"])} if "other" in stage else {}
        shown.append(stage | files | blended)
    return shown


def _without_folder(place: str) -> str:
    """A file's name, or `family:ARCH:` and a file's name: a packed checkpoint goes to others, whose folders are not ours."""
    family, colon, file = place.rpartition(":")
    return family + colon + Path(file).name


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "describe": run_describe,
    "fit": run_fit,
    "recipe": run_recipe,
    "compare": run_compare,
    "evaluate": run_evaluate,
    "ablate": run_ablate,
    "prune": run_prune,
    "widen": run_widen,
    "blend": run_blend,
    "rebase": run_rebase,
    "distil": run_distil,
    "reach": run_reach,
    "pack": run_pack,
}
