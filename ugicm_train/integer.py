"""The scale network as integers: the contents of `entropy.bin`, and the proof that training simulated them exactly."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from ugicm_coder import QUALITY_STEPS, EntropyModel, EntropyModelSpec, IntegerLayer, pack

from ugicm_train.config import QUALITY_LEVELS
from ugicm_train.model.codec import Codec
from ugicm_train.model.scale_network import HYPER_MAX

RANDOM_LATENTS = 64
RANDOM_SIDE = 6


class IntegerMismatch(RuntimeError):
    """The simulation of the scale network and the integer code disagree: streams of this model would not decode."""


@torch.no_grad()
def entropy_spec(codec: Codec) -> EntropyModelSpec:
    """Everything `entropy.bin` holds, read from a codec."""
    layers, quality_bias = codec.scale_network.export()
    converted = [
        IntegerLayer(
            layer.weight.reshape(-1, 3, 3).numpy() if layer.depthwise else layer.weight.numpy(),
            layer.bias.numpy(),
            layer.shift.numpy(),
        )
        for layer in layers
    ]
    z_index = codec.hyper_scale_index(torch.arange(QUALITY_LEVELS))
    return EntropyModelSpec(
        z_index=z_index.round().to(torch.uint8).numpy(),
        layers=tuple(converted),  # type: ignore[arg-type]
        quality_bias=quality_bias.numpy(),
    )


def entropy_file(codec: Codec) -> bytes:
    """The bytes of `entropy.bin`; `ugicm_coder.ModelError` if a sum of the scale network could overflow."""
    return pack(entropy_spec(codec))


@torch.no_grad()
def compare_integers(codec: Codec, latents: Iterable[tuple[Tensor, float]]) -> int:
    """Scale indexes of hyper latents ((Z,h,w) integers in -127..127, level), simulated and by the C++ code.

    The codec is on the CPU. Returns how many indexes were compared; IntegerMismatch says how many differ.
    """
    model = EntropyModel(entropy_file(codec))
    compared = differing = 0
    for z, level in latents:
        coded = model.scale_indexes(z.to(torch.int16).numpy(), level)
        simulated = codec.scale_network(z.float()[None], torch.tensor([level]))[0].numpy()
        compared += coded.size
        differing += int((coded != simulated).sum())
    if differing:
        raise IntegerMismatch(
            f"{differing} of {compared} scale indexes of the integer code differ from their simulation in torch; "
            "streams of this model would not decode, keep an earlier checkpoint and report this"
        )
    return compared


def check_integers(codec: Codec, pictures: Tensor, seed: int = 0) -> int:
    """`compare_integers` on the hyper latents of `pictures` (N,3,H,W) in [0,1] at levels over the whole axis, and on random
    ones over the whole range, at levels in eighths, which reach the clips that pictures do not."""
    rng = np.random.default_rng(seed)
    levels = np.linspace(0, QUALITY_LEVELS - 1, len(pictures)).round().astype(int)
    latents: list[tuple[Tensor, float]] = [
        (codec.encode(x[None], torch.tensor([level]))[0][0], int(level)) for x, level in zip(pictures, levels.tolist())
    ]
    shape = (codec.config.hyper, RANDOM_SIDE, RANDOM_SIDE)
    for number in range(RANDOM_LATENTS):
        z = rng.integers(-HYPER_MAX, HYPER_MAX + 1, shape) * rng.random((shape[0], 1, 1))
        step = number * QUALITY_STEPS * (QUALITY_LEVELS - 1) // (RANDOM_LATENTS - 1)
        latents.append((torch.from_numpy(z.round()), step / QUALITY_STEPS))
    return compare_integers(codec, latents)
