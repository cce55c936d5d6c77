"""Fewer hidden channels in the residual blocks of a trained network, chosen and made up for by least squares."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ugicm_train.batches import Batch
from ugicm_train.config import HIDDEN_FIELDS, NetworkConfig
from ugicm_train.model.codec import Codec
from ugicm_train.model.layers import Pointwise, ResidualBlock

SAMPLES = 4096
"""About so many positions of each batch are looked at."""
RIDGE = 1e-6


class Moments:
    """Mean (K,) and covariance (K,K) of a layer's input, gathered batch by batch."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.total = torch.zeros(width, dtype=torch.float64)
        self.products = torch.zeros(width, width, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Take in some positions of `values` (N,K,H,W)."""
        rows = values.movedim(1, -1).flatten(0, -2)
        rows = rows[:: max(1, len(rows) // SAMPLES)].double()
        self.count += len(rows)
        self.total += rows.sum(0)
        self.products += rows.T @ rows

    @property
    def mean(self) -> Tensor:
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        return self.products / self.count - torch.outer(self.mean, self.mean)


def fewer_inputs(weight: Tensor, covariance: Tensor, keep: int) -> tuple[Tensor, Tensor, float]:
    """The `keep` inputs of a linear layer that can stand for all of them, one removed at a time.

    Optimal Brain Surgeon (Hassibi and Stork, NeurIPS 1992) on whole inputs: the next to go is the one whose absence, after the
    best correction of the others' weights, changes the output least.

    Args: weight (out, K), covariance (K,K) of the inputs, keep in 1..K. Returns the indexes (keep,) in order, the corrected weight
    (out, keep), and the lost share of the output's variance.
    """
    weight = weight.double().clone()
    ridge = RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=covariance.dtype)
    before = float(torch.einsum("oi,ij,oj->", weight, covariance, weight))
    inverse = torch.linalg.inv(covariance + ridge)
    alive = torch.ones(len(covariance), dtype=torch.bool)
    lost = 0.0
    for _ in range(len(covariance) - keep):
        cost = weight.square().sum(0) / inverse.diagonal()
        cost[~alive] = math.inf
        gone = int(cost.argmin())
        lost += float(cost[gone])
        row = inverse[gone] / inverse[gone, gone]
        weight -= torch.outer(weight[:, gone], row)
        inverse = inverse - torch.outer(inverse[:, gone], row)
        alive[gone] = False
        inverse[gone, gone] = 1.0  # its row and column are zero by now; this keeps the cost finite
    kept = torch.nonzero(alive).flatten()
    return kept, weight[:, kept].float(), lost / before


def _narrow(layer: Pointwise, weight: Tensor, bias: Tensor) -> None:
    layer.weight = torch.nn.Parameter(weight.contiguous())
    layer.bias = torch.nn.Parameter(bias.contiguous())


def _concerned(codec: Codec, hidden: dict[str, int]) -> Iterator[tuple[str, ResidualBlock, int]]:
    for field, start in HIDDEN_FIELDS.items():
        for name, block in codec.named_modules():
            if field in hidden and name.startswith(start) and isinstance(block, ResidualBlock):
                yield name, block, hidden[field]


@torch.no_grad()
def prune(codec: Codec, hidden: dict[str, int], batches: Sequence[Batch]) -> tuple[NetworkConfig, dict[str, float]]:
    """Narrow the blocks of `codec`, in place, to the hidden channels that `hidden` (fields of NetworkConfig) asks for.

    `batches` are what the network sees in training. Returns the new configuration and, per block, the share of its branch's
    variance that is lost before any retraining. ValueError if a block has not so many hidden channels.
    """
    moments = {}
    for name, block, keep in _concerned(codec, hidden):
        if not 0 < keep <= block.expand.weight.shape[0]:
            raise ValueError(f"{name} has {block.expand.weight.shape[0]} hidden channels: cannot keep {keep}")
        moments[name] = Moments(block.expand.weight.shape[0])
    hooks = [
        block.contract.register_forward_pre_hook(lambda _, inputs, found=moments[name]: found.add(inputs[0]))
        for name, block, _ in _concerned(codec, hidden)
    ]
    for batch in batches:
        codec(batch.x, batch.level, batch.preference)
    for hook in hooks:
        hook.remove()
    losses = {}
    for name, block, keep in _concerned(codec, hidden):
        found = moments[name]
        old = block.contract.weight
        kept, weight, losses[name] = fewer_inputs(old, found.covariance, keep)
        change = old.double() @ found.mean - weight.double() @ found.mean[kept]
        _narrow(block.expand, block.expand.weight[kept], block.expand.bias[kept])
        _narrow(block.contract, weight, block.contract.bias + change.float())
    return dataclasses.replace(codec.config, **hidden), losses
