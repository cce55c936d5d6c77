"""Parameters and multiply-accumulates of a network, counted on a traced pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ugicm_train.config import AnyNetwork
from ugicm_train.model.build import build
from ugicm_train.model.codec import Codec


@dataclass(frozen=True)
class Description:
    """Parameters of the whole model and of what each side runs, and kMAC per pixel of each engine and of the scale network."""

    parameters: int
    encoder_parameters: int
    decoder_parameters: int
    encoder_kmac: float
    decoder_kmac: float
    scale_network_kmac: float


def _count(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def kmac(call: Callable[[], object], side: int) -> float:
    """Thousands of multiply-accumulates per pixel of a call on a square picture."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2 / side**2 / 1000


def describe(config: AnyNetwork, side: int = 128) -> Description:
    """Count on a picture of `side` x `side` pixels (a multiple of 64)."""
    codec = build(config).eval()
    if isinstance(codec, Codec):
        network = codec.scale_network
        priors: tuple[torch.nn.Module, ...] = (codec.mean_network, network)
        scales: Callable[[], object] = lambda: network(z, level)  # noqa: E731
    else:
        hyper = codec.hyper_synthesis
        priors, scales = (hyper,), lambda: hyper(z)
    x = torch.zeros(1, 3, side, side)
    level, preference = torch.zeros(1, dtype=torch.int64), torch.zeros(1)
    with torch.no_grad():
        z, r = codec.encode(x, level)
        costs = [
            kmac(lambda: codec.encode(x, level), side),
            kmac(lambda: codec.decode(z, r, level, preference), side),
            kmac(scales, side),
        ]
    return Description(
        _count(codec),
        _count(codec.analysis, codec.hyper_analysis, *priors),
        _count(codec.synthesis, *priors),
        *costs,
    )
