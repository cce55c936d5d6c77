"""Optimisers of the network and their state as named tensors, so that a run can be resumed exactly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ugicm_train.model.layers import Pointwise


def make_optimizers(codec: nn.Module, kind: str, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Adam over everything, or for `muon` orthogonalised momentum over the 1x1 matrices and Adam over the rest."""
    parameters = [p for p in codec.parameters() if p.requires_grad]
    if kind == "adam":
        return [torch.optim.Adam(parameters, learning_rate, fused=True)]
    modules = [m for m in codec.modules() if isinstance(m, Pointwise) and m.weight.requires_grad]
    matrices = [m.weight for m in modules]
    if not matrices:
        raise ValueError("optimizer muon is for 1x1 matrices, and this stage trains none: take adam")
    chosen = {id(p) for p in matrices}
    rest = [p for p in parameters if id(p) not in chosen]
    muon = torch.optim.Muon(matrices, learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.Adam(rest, learning_rate, fused=True)]


def set_learning_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    """Set the rate of every parameter group."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def optimizer_tensors(optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """All moments and step counters as `optimizer.<k>.<parameter>.<name>` tensors."""
    found = {}
    for k, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                found[f"optimizer.{k}.{index}.{name}"] = torch.as_tensor(value)
    return found


def _ordered_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A moment in the memory order of its weight: a fused step reads both side by side and would mix channels otherwise."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def restore_optimizers(optimizers: list[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    """Load what `optimizer_tensors` returned into fresh optimisers over the same parameters."""
    for k, optimizer in enumerate(optimizers):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, number, index, name = (key.split(".", 3) + [""] * 4)[:4]
            if kind == "optimizer" and int(number) == k:
                state.setdefault(int(index), {})[name] = _ordered_like(parameters[int(index)], value)
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
