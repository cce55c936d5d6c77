"""Round weights to eight bits so that the errors of one product cancel for inputs like the measured ones.

GPTQ (Frantar et al., "GPTQ: accurate post-training quantization for generative pre-trained transformers", ICLR 2023): one input
after the other is rounded, and what that changes is made up for by the inputs not rounded yet, by least squares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

ROWS = 1024
"""Inputs taken from each call of a layer."""
DAMPING = 1e-4
LARGEST = 127


@torch.no_grad()
def rounded_weights(layers: Mapping[str, nn.Module], run: Callable[[], None]) -> dict[str, np.ndarray]:
    """(in, out) matrices on the int8 grid of each output, by name, for layers with a float `matrix` (in, out).

    `run` passes pictures through the layers. The scale of an output is its largest weight / 127, as ONNX Runtime's quantiser has it.
    """
    moments: dict[str, Tensor] = {}
    hooks = [layer.register_forward_pre_hook(_gatherer(moments, name)) for name, layer in layers.items()]
    run()
    for hook in hooks:
        hook.remove()
    weights = {name: layer.get_buffer("matrix").double() for name, layer in layers.items()}
    return {name: _rounded(weight, moments[name]).float().numpy() for name, weight in weights.items()}


def _gatherer(moments: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def gather(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0].flatten(0, -2)
        rows = rows[:: max(1, len(rows) // ROWS)].double()
        moments[name] = moments.get(name, 0) + rows.T @ rows

    return gather


def _rounded(weight: Tensor, moment: Tensor) -> Tensor:
    """`weight` (in, out), `moment` (in, in): sums of products of the inputs."""
    scale = weight.abs().amax(0).clamp_min(1e-12) / LARGEST
    order = moment.diagonal().argsort(descending=True)
    left = weight[order].clone()
    ordered = moment[order][:, order] + DAMPING * moment.diagonal().mean() * torch.eye(len(order), dtype=torch.float64)
    inverse = torch.linalg.cholesky(torch.linalg.inv(ordered), upper=True)
    result = torch.empty_like(weight)
    for row, place in enumerate(order):
        result[place] = (left[row] / scale).round().clamp(-LARGEST, LARGEST) * scale
        left[row:] -= inverse[row, row:, None] * ((left[row] - result[place]) / inverse[row, row])
    return result
