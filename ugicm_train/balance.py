"""How the human and the machine objective share a step: their gradients summed, weighed, or combined without conflict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ugicm_train.config import TrainConfig
from ugicm_train.losses import Loss

EMA_DECAY = 0.98
SCALE_LIMIT = 100.0
"""`ema` weighs the machine objective by at most this factor, and by at least its inverse."""


class Balance(Protocol):
    """Turns the losses of a step's micro-batches into the gradients of the weights."""

    own_reduction: bool
    """Whether `finish` averages gradients over processes itself, so that the backward passes must not."""

    def backward(self, loss: Loss, share: float) -> None:
        """Add the gradients of a micro-batch that is `share` of the step."""
        ...

    def finish(self) -> None:
        """Leave the step's gradients in the weights."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        ...

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        ...


def _reduced(value: Tensor, fabric: Fabric) -> Tensor:
    """Mean of a tensor over all processes."""
    if fabric.world_size == 1:
        return value
    found = fabric.all_reduce(value, reduce_op="mean")
    assert isinstance(found, Tensor)
    return found


class FixedBalance:
    """The sum of both objectives with the weights of the configuration."""

    own_reduction = False

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric

    def backward(self, loss: Loss, share: float) -> None:
        self.fabric.backward(loss.total if share == 1 else loss.total * share)

    def finish(self) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {}

    def load(self, tensors: dict[str, Tensor]) -> None:
        pass


class EmaBalance(FixedBalance):
    """The machine distortion is scaled to the magnitude of the human one, both running means over steps and processes."""

    def __init__(self, fabric: Fabric) -> None:
        super().__init__(fabric)
        self.magnitudes = torch.zeros(2, device=fabric.device)
        self.seen = torch.zeros((), device=fabric.device)

    def backward(self, loss: Loss, share: float) -> None:
        now = torch.stack([loss.human.detach(), loss.machine.detach()]).float()
        now = _reduced(now, self.fabric)
        self.seen = EMA_DECAY * self.seen + 1 - EMA_DECAY
        self.magnitudes = EMA_DECAY * self.magnitudes + (1 - EMA_DECAY) * now
        self.fabric.backward((loss.human_rate + loss.machine_rate + loss.human + self.scale() * loss.machine) * share)

    def scale(self) -> Tensor:
        """Factor of the machine distortion."""
        human, machine = self.magnitudes / self.seen
        return (human / machine.clamp_min(1e-12)).clamp(1 / SCALE_LIMIT, SCALE_LIMIT)

    def state(self) -> dict[str, Tensor]:
        return {"balance.magnitudes": self.magnitudes, "balance.seen": self.seen}

    def load(self, tensors: dict[str, Tensor]) -> None:
        self.magnitudes = tensors["balance.magnitudes"].to(self.magnitudes)
        self.seen = tensors["balance.seen"].to(self.seen)


class AggregatedBalance:
    """The Jacobian of both objectives (each with its share of the rate), made one gradient by an aggregator of torchjd.

    `upgrad`: Quinton and Rey, "Jacobian Descent for Multi-Objective Optimization", arXiv 2406.16232.
    `mgda`: Désidéri, "Multiple-gradient descent algorithm", 2012.
    """

    own_reduction = True

    def __init__(self, kind: str, parameters: Iterable[nn.Parameter], fabric: Fabric) -> None:
        from torchjd.aggregation import MGDA, UPGrad

        self.fabric = fabric
        self.parameters = [p for p in parameters if p.requires_grad]
        self.aggregator = UPGrad() if kind == "upgrad" else MGDA()
        self.rows: Tensor | None = None

    def backward(self, loss: Loss, share: float) -> None:
        objectives = [loss.human_rate + loss.human, loss.machine_rate + loss.machine]
        rows = []
        for objective, keep in zip(objectives, (True, False), strict=True):
            found = torch.autograd.grad(objective * share, self.parameters, retain_graph=keep, materialize_grads=True)
            rows.append(torch.cat([gradient.flatten().float() for gradient in found]))
        jacobian = torch.stack(rows)
        self.rows = jacobian if self.rows is None else self.rows + jacobian

    def finish(self) -> None:
        assert self.rows is not None
        jacobian = _reduced(self.rows, self.fabric)
        # An aggregate is a mean of the objectives' gradients where they agree; `fixed` is their sum.
        combined = self.aggregator(jacobian) * len(jacobian)
        parts = combined.split([p.numel() for p in self.parameters])
        for parameter, part in zip(self.parameters, parts, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))
        self.rows = None

    def state(self) -> dict[str, Tensor]:
        return {}

    def load(self, tensors: dict[str, Tensor]) -> None:
        pass


def make_balance(config: TrainConfig, parameters: Iterable[nn.Parameter], fabric: Fabric) -> Balance:
    """The balance that the configuration asks for."""
    if config.balance == "ema":
        return EmaBalance(fabric)
    if config.balance in ("upgrad", "mgda"):
        return AggregatedBalance(config.balance, parameters, fabric)
    return FixedBalance(fabric)
