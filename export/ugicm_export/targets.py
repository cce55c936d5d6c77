"""The targets of `ugicm-export`: one record each, from which the table, the refusals and the documentation come."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass


class TargetError(ValueError):
    """A target cannot be made here, or an option does not apply; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """One thing `ugicm-export` can write."""

    name: str
    files: str  # what it writes, inside the bundle's folder
    precision: str
    devices: str
    options: tuple[str, ...]  # command-line options that apply, beside COMMON
    modules: tuple[str, ...] = ()  # Python modules it needs beyond those of every export
    install: str = ""  # how to get them
    folder_only: bool = False  # writes folders, so the bundle cannot be a .zip
    requires: tuple[str, ...] = ()  # options that must be given
    summary: str = ""


METHODS = ("minmax", "percentile", "entropy")
"""How int8 ranges are taken from pictures: smallest and largest value; the range that holds nearly all values; the range whose
histogram in 8 bits has the least Kullback-Leibler divergence from that of the values. docs/export.md compares them."""
METHOD = "percentile"

COMMON = ("out", "name", "weights", "force", "zip", "no-refiner", "structure", "skip-verify", "opset")

TARGETS = {
    target.name: target
    for target in (
        Target(
            "onnx",
            "encoder.onnx, decoder.onnx, decoder.human.onnx ...",
            "fp32",
            "CPU, CUDA, TensorRT provider",
            ("fold-preference", "atol"),
            summary="always written: every bundle needs it",
        ),
        Target(
            "onnx-fp16",
            "encoder.fp16.onnx, decoder.fp16.onnx",
            "fp16, means in fp32",
            "GPU (on a CPU it is correct and slow)",
            ("calibration",),
            summary="measured on the pictures of --calibration, else on made-up ones",
        ),
        Target(
            "onnx-int8",
            "encoder.int8.onnx, decoder.int8.onnx",
            "int8 blocks, rest fp32",
            "CPU with VNNI or dot-product instructions",
            ("calibration", "calibration-method"),
            requires=("calibration",),
            summary="needs a folder of photos of the kind you will encode",
        ),
        Target(
            "tensorrt",
            "tensorrt/*.engine, tensorrt/timing.cache",
            "fp16, means in fp32",
            "the NVIDIA GPU it is built on",
            ("image-size", "batch", "workspace", "device"),
            modules=("tensorrt",),
            install="pip install 'ugicm[tensorrt,export]' on a machine with an NVIDIA driver",
            folder_only=True,
            summary="not portable: one GPU model and one TensorRT version",
        ),
        Target(
            "triton",
            "triton/ugicm_{encode,decode,encoder,decoder}",
            "that of the engines",
            "CPU, GPU",
            ("batch", "device"),
            folder_only=True,
            summary="model repository for NVIDIA Triton Inference Server",
        ),
    )
}


def check_request(targets: Iterable[str], given: Iterable[str], *, zipped: bool) -> None:
    """TargetError if an option of `given` (names without dashes in front) applies to none of the targets, or one is missing."""
    chosen = [TARGETS[name] for name in targets]
    names = ", ".join(target.name for target in chosen)
    allowed = {option for target in chosen for option in target.options}
    for option in given:
        if option not in allowed and option not in COMMON:
            takers = ", ".join(target.name for target in TARGETS.values() if option in target.options)
            raise TargetError(f"--{option} does not apply to the targets {names}; it is for {takers}: remove it")
    for target in chosen:
        for option in target.requires:
            if option not in given:
                raise TargetError(f"target {target.name} needs --{option}: {target.summary}")
        if target.folder_only and zipped:
            raise TargetError(f"target {target.name} writes folders and cannot go into a .zip; give --out a folder")


def check_modules(targets: Iterable[str]) -> None:
    """TargetError naming what is missing here for one of the targets; nothing is imported."""
    for name in targets:
        target = TARGETS[name]
        missing = [module for module in target.modules if importlib.util.find_spec(module) is None]
        if missing:
            raise TargetError(f"target {name} needs {', '.join(missing)}, not installed here; {target.install}")


def table() -> str:
    """What `ugicm-export --list` prints."""
    head = ("target", "precision", "devices", "files", "options")
    rows = [
        (target.name, target.precision, target.devices, target.files, " ".join(f"--{o}" for o in target.options))
        for target in TARGETS.values()
    ]
    return format_table(head, rows) + "\n\nFor every target: " + " ".join(f"--{option}" for option in COMMON)


def format_table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """Columns of equal width, a rule below the head."""
    lines = [head, *[tuple(map(str, row)) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
