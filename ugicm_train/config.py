"""Configuration of the network and of a training run: frozen dataclasses, presets that hold only differences."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import math
import textwrap
from dataclasses import dataclass
from typing import Any, TypeAlias

from ugicm_train.stages import STAGES, Stage

QUALITY_LEVELS = 64
BALANCES = ("fixed", "ema", "upgrad", "mgda")
LAMBDA_MIN, LAMBDA_MAX = 0.00038, 0.15
MS_SSIM_UNIT = 2400.0
"""Squared error (in 8-bit steps) that is as bad as an MS-SSIM of 0 instead of 1: the ratio of the weights that CompressAI gives both."""
LEAST_MS_SSIM_SIDE = 192
"""The five scales of MS-SSIM, with windows of 11 pixels, need pictures of more than 160 pixels; crops come in steps of 64."""


@dataclass(frozen=True)
class NetworkConfig:
    """Widths and depths of the codec; channel counts are multiples of 16 so that engines can block them."""

    channels8: int = 160
    """Feature channels at 1/8 resolution."""
    channels16: int = 256
    """Feature channels at 1/16 resolution."""
    latent: int = 256
    """M, channels of the latent y; a multiple of 4, one group per context step."""
    hyper: int = 96
    """Z, channels of the hyper latent z."""
    analysis8: int = 2
    """Residual blocks of the analysis at 1/8 resolution."""
    analysis16: int = 1
    """Residual blocks of the analysis at 1/16 resolution."""
    synthesis16: int = 0
    """Residual blocks of the synthesis at 1/16 resolution."""
    synthesis8: int = 5
    """Preference-conditioned residual blocks of the synthesis at 1/8 resolution."""
    analysis8_hidden: int = 0
    """Hidden channels of the 1x1-expand-1x1 branch of the analysis' blocks at 1/8 resolution; 0: twice the channels."""
    analysis16_hidden: int = 0
    """The same of its blocks at 1/16 resolution."""
    synthesis8_hidden: int = 0
    """The same of the synthesis' blocks at 1/8 resolution."""
    context: int = 128
    """Width of the mean network at 1/16 resolution."""
    context_blocks: int = 2
    """Spatial blocks of each of the three context steps."""
    scale_hidden: int = 192
    """K1, channels of the integer scale network at 1/64 resolution."""
    scale_fine: int = 64
    """K2, channels of the integer scale network at 1/16 resolution."""
    condition: int = 64
    """Width of the conditioning vector made of quality and preference."""
    quality_knots: int = 11
    """Trained points on the quality axis; the 64 levels are interpolated between them."""

    def __post_init__(self) -> None:
        if self.latent % 4:
            raise ValueError(f"latent must be a multiple of 4 (one group per context step), got {self.latent}")
        if self.latent > self.channels16 or self.channels8 > 192:
            raise ValueError(
                f"the KLT start needs latent <= channels16 and channels8 <= 192, got latent {self.latent}, "
                f"channels16 {self.channels16}, channels8 {self.channels8}"
            )


PRESETS: dict[str, dict[str, int]] = {
    "nano": {"analysis8_hidden": 192, "analysis16_hidden": 96, "synthesis8_hidden": 256},
    "base": {
        "channels8": 192, "channels16": 320, "latent": 256, "hyper": 128, "analysis8": 12, "analysis16": 4,
        "synthesis16": 8, "synthesis8": 18, "context": 256, "scale_hidden": 256,
    },
    "large": {
        "channels8": 192, "channels16": 512, "latent": 320, "hyper": 160, "analysis8": 48, "analysis16": 12,
        "synthesis16": 16, "synthesis8": 64, "context": 384, "context_blocks": 4, "scale_hidden": 320,
    },
}  # fmt: skip

HIDDEN_FIELDS = {
    "analysis8_hidden": "analysis.blocks8.",
    "analysis16_hidden": "analysis.blocks16.",
    "synthesis8_hidden": "synthesis.blocks8.",
}
"""Fields of NetworkConfig that say how wide blocks are inside -> the blocks, by the start of their names."""


@dataclass(frozen=True)
class HyperpriorConfig:
    """Ballé's hyperprior (ICLR 2018) with the preference-conditioned synthesis, for comparisons; it cannot be exported."""

    backbone: str = "hyperprior"
    """What tells this network from the main one in a file."""
    channels: int = 128
    """N, channels of the transforms and of the hyper latent."""
    latent: int = 192
    """M, channels of the latent y."""
    condition: int = 64
    """Width of the conditioning vector made of quality and preference."""
    quality_knots: int = 11
    """Trained points on the quality axis; the 64 levels are interpolated between them."""

    def __post_init__(self) -> None:
        if self.backbone != "hyperprior":
            raise ValueError(f"unknown backbone {self.backbone!r}; known: hyperprior, or none for the main network")


AnyNetwork: TypeAlias = "NetworkConfig | HyperpriorConfig"
PAPER = "paper"
"""Name of the preset of the hyperprior."""
PRESET_NAMES = (*PRESETS, PAPER)


def network_preset(name: str) -> AnyNetwork:
    """Return the network of preset `name`; ValueError names the known presets."""
    if name not in PRESET_NAMES:
        raise ValueError(f"unknown preset {name!r}; known presets: {', '.join(PRESET_NAMES)}")
    return HyperpriorConfig() if name == PAPER else NetworkConfig(**PRESETS[name])


def network_from_dict(values: dict[str, Any]) -> AnyNetwork:
    """Rebuild the network's config from JSON `values`; ValueError names unknown fields."""
    return from_dict(HyperpriorConfig if "backbone" in values else NetworkConfig, values)


def rate_lambda(level: Any, lowest: float = LAMBDA_MIN, highest: float = LAMBDA_MAX) -> Any:
    """Weight of the distortion 255^2 * MSE against bits per pixel at quality `level` (0..63, number or tensor)."""
    return lowest * (highest / lowest) ** (level / (QUALITY_LEVELS - 1))


@dataclass(frozen=True)
class TrainConfig:
    """One stage of training; everything that changes the loss curve is here and is saved with the checkpoint."""

    stage: str = "rate_distortion"
    """rate_distortion (the human objective at every preference), semantic (human and machine objectives mixed by preference), preference
    (the same objectives, but only what the preference acts through trains: streams and the human view stay as they are), or
    integer (only the scale network trains, through its exact integer simulation: the rate falls, the views stay)."""
    steps: int = 20000
    """Optimiser steps of this stage."""
    batch: int = 16
    """Crops per step over all processes and micro-batches."""
    crop: int = 128
    """Side of the square training crops in pixels, a multiple of 64."""
    late_batch: int = 8
    """Crops per step over all processes in the last part of the stage."""
    late_crop: int = 256
    """Side of the crops in the last part of the stage: they show the hyper latent more than 2x2 positions."""
    late_from: float = 0.5
    """Fraction of the steps after which `late_batch` and `late_crop` are used; 1 keeps the first to the end."""
    shrink: float = 1.0
    """Below 1: crops are shrunk by a factor between this and 1, drawn for each, so that a small data set has more to show. Images of less
    than a crop's side divided by the factor are shrunk less."""
    turn: bool = False
    """Rows and columns of half the crops change places, for the same reason."""
    learning_rate: float = 4e-4
    """Peak learning rate."""
    warmup: int = 200
    """Steps of linear warm-up."""
    decay_from: float = 0.5
    """Fraction of the steps after which the learning rate falls along a cosine."""
    final_rate: float = 0.01
    """Learning rate at the last step, as a fraction of the peak."""
    gradient_clip: float = 1.0
    """Largest gradient norm."""
    lambda_min: float = LAMBDA_MIN
    """Weight of the distortion against bits per pixel at level 0; a lower one makes the smallest files smaller."""
    lambda_max: float = LAMBDA_MAX
    """Weight of the distortion at level 63; those between are log-spaced."""
    crop_balance: float = 0.5
    """How much crops that are easy to code count: a crop's loss is divided by this power of its own value. 0 counts bits and errors
    alike wherever they are, so that textures own the gradient; 1 counts what changes relative to each crop's loss."""
    ema: float = 0.998
    """Decay per step of the averaged weights that are validated and exported."""
    optimizer: str = "adam"
    """adam, or muon (orthogonalised momentum for the 1x1 convolutions, Adam for the rest)."""
    precision: str = "bf16"
    """bf16 (autocast) or fp32."""
    accumulate: int = 1
    """Micro-batches per step, for batches that do not fit in memory: each holds this share of the batch."""
    compile: bool = False
    """Compile the network with torch.compile; the first steps then take long."""
    teacher: str = ""
    """Frozen network of the machine objective: open_clip:ARCH:TAG, open_clip:ARCH:FILE, timm:ARCH:FILE, export:FILE (a program
    of torch.export), or the FILE of timm mobilenetv2_100 (stages semantic and preference). Of several, with commas between them,
    each step asks one at random."""
    balance: str = "fixed"
    """How human and machine objectives share a step: fixed (weights below), ema (magnitudes equalised by running means), upgrad
    or mgda (gradients of both combined without conflict, by torchjd)."""
    human_ms_ssim: float = 0.0
    """Share of the human objective that is 1 - MS-SSIM, weighed so that the rates of the levels stay about where they are; the rest is
    the squared error. MS-SSIM needs crops of at least 192 pixels."""
    machine_mse: float = 0.4
    """Weight of the human objective, pixels, inside the machine objective at level 0."""
    machine_mse_growth: float = 0.5
    """How much that weight grows towards level 63: 2 makes it three times as large there."""
    machine_teacher: float = 2.2
    """Weight of the teacher distance inside the machine objective. These three make it about as large as the human one, so that a
    semantic stage leaves the rates of the levels where they are; a preference stage wants others (see docs/training.md)."""
    global_weight: float = 1.0
    """Share of the teacher distance between whole crops."""
    local_weight: float = 0.0
    """Share of the teacher distance between random parts of the crops."""
    instance_weight: float = 0.0
    """Share of the teacher distance between the objects in the crops, see `instances`."""
    instances: str = ""
    """Where the objects are: proposals (regions found in the picture itself), a COCO JSON file, or a folder of PNG masks."""
    seed: int = 0
    """Seed of the crops, the quality and preference draws and the rounding noise."""

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"unknown stage {self.stage!r}; known stages: {', '.join(STAGES)}")
        if self.optimizer not in ("adam", "muon"):
            raise ValueError(f"unknown optimizer {self.optimizer!r}; known: adam, muon")
        if self.precision not in ("bf16", "fp32"):
            raise ValueError(f"unknown precision {self.precision!r}; known: bf16, fp32")
        if self.balance not in BALANCES:
            raise ValueError(f"unknown balance {self.balance!r}; known: {', '.join(BALANCES)}")
        if not 0 < self.lambda_min < self.lambda_max:
            raise ValueError(f"0 < lambda_min < lambda_max must hold, got {self.lambda_min} and {self.lambda_max}")
        for name in ("steps", "batch", "late_batch", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("batch", "late_batch"):
            if getattr(self, name) % self.accumulate:
                raise ValueError(f"{name} {getattr(self, name)} cannot be cut into {self.accumulate} micro-batches")
        self._check_crops()
        self._check_structure()
        self._check_supervision()

    def _check_crops(self) -> None:
        if not 0.1 <= self.shrink <= 1:
            raise ValueError(f"shrink must be in [0.1, 1], got {self.shrink}")
        if not 0 <= self.crop_balance <= 1:
            raise ValueError(f"crop_balance must be in [0, 1], got {self.crop_balance}")
        for name in ("crop", "late_crop"):
            if getattr(self, name) <= 0 or getattr(self, name) % 64:
                raise ValueError(f"{name} must be a positive multiple of 64, got {getattr(self, name)}")

    def _check_structure(self) -> None:
        if not 0 <= self.human_ms_ssim <= 1:
            raise ValueError(f"human_ms_ssim must be in [0, 1], got {self.human_ms_ssim}")
        if self.human_ms_ssim and min(self.crop, self.late_crop) < LEAST_MS_SSIM_SIDE:
            raise ValueError(
                f"human_ms_ssim needs crops of at least {LEAST_MS_SSIM_SIDE} pixels, got {self.crop} and {self.late_crop}; "
                "set crop and late_crop"
            )

    def _check_supervision(self) -> None:
        shares = (self.global_weight, self.local_weight, self.instance_weight)
        if min(shares) < 0 or sum(shares) <= 0:
            raise ValueError(f"global, local and instance weight must be 0 or more and one above 0, got {shares}")
        if (self.instance_weight > 0) != bool(self.instances):
            raise ValueError(
                f"instance_weight {self.instance_weight} and instances {self.instances!r} go together: give a weight above 0 and "
                "proposals, a COCO JSON file or a folder of PNG masks, or neither"
            )
        if not self.needs_teacher and (self.balance != "fixed" or shares != (1.0, 0.0, 0.0)):
            raise ValueError(f"stage {self.stage} has no machine objective: leave out balance, weights and instances")

    @property
    def rules(self) -> Stage:
        """What the stage trains and asks for."""
        return STAGES[self.stage]

    @property
    def needs_teacher(self) -> bool:
        """Whether the stage has a machine objective."""
        return self.rules.machine

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of step `step` (0-based): linear warm-up, plateau, cosine decay."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup))
        progress = (step / self.steps - self.decay_from) / max(1e-9, 1 - self.decay_from)
        if progress > 0:
            rate *= self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return rate

    def shape_at(self, step: int) -> tuple[int, int]:
        """(crops, side) of step `step`."""
        if step < self.late_from * self.steps:
            return self.batch, self.crop
        return self.late_batch, self.late_crop


@dataclass(frozen=True)
class Distillation:
    """Settings of a distillation; the same ones give the same guide."""

    steps: int = 3600
    """Optimiser steps."""
    batch: int = 8
    """Crops per step."""
    crop: int = 256
    """Side of a crop in pixels, a multiple of 64."""
    learning_rate: float = 3e-3
    """Highest learning rate."""
    seed: int = 0
    """Of the weights and of what is drawn."""

    def __post_init__(self) -> None:
        if self.crop % 64 or self.crop < 128:
            raise ValueError(f"crop must be a multiple of 64 and at least 128, got {self.crop}")


def from_dict(kind: type, values: dict[str, Any]) -> Any:
    """Rebuild config dataclass `kind` from JSON `values`; ValueError names unknown fields."""
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown {kind.__name__} fields {unknown}; this file was written by another version")
    return kind(**values)


def field_sentences(kind: type) -> dict[str, str]:
    """Name -> the sentence under each field of a config dataclass, the only place where a field is explained."""
    (body,) = (
        node.body for node in ast.parse(textwrap.dedent(inspect.getsource(kind))).body if isinstance(node, ast.ClassDef)
    )
    found = {}
    for before, node in itertools.pairwise(body):
        if isinstance(before, ast.AnnAssign) and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[before.target.id] = str(node.value.value)  # type: ignore[union-attr]
    return found
