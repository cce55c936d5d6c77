"""Balances: the sum they must equal, magnitudes equalised, and conflicts that torchjd resolves."""

import dataclasses

import pytest
import torch
from lightning_fabric import Fabric
from tiny_train import NETWORK, TRAIN, tiny_codec

from ugicm_train.balance import SCALE_LIMIT, AggregatedBalance, EmaBalance, FixedBalance, make_balance
from ugicm_train.config import BALANCES
from ugicm_train.data import CropSource
from ugicm_train.loop import Trainer
from ugicm_train.losses import Loss

FABRIC = Fabric(accelerator="cpu", devices=1)


class PixelTeacher:
    """The mean absolute difference."""

    def distance(self, view, x, scale=1.0):
        return (view - x).abs().mean((1, 2, 3))


def loss(weight, human, machine):
    """A loss whose objectives are linear in a weight vector."""
    zero = torch.zeros(())
    h, m = (weight * torch.tensor(human)).sum(), (weight * torch.tensor(machine)).sum()
    return Loss(h + m, {"loss": h + m}, zero, zero, h, m)


def gradient(balance, weight, *losses):
    weight.grad = None
    for one in losses:
        balance.backward(one, 1 / len(losses))
    balance.finish()
    return weight.grad


def make(kind, weight):
    return make_balance(dataclasses.replace(TRAIN, stage="semantic", balance=kind), [weight], FABRIC)


@pytest.mark.parametrize(
    ("kind", "found"),
    list(zip(BALANCES, (FixedBalance, EmaBalance, AggregatedBalance, AggregatedBalance), strict=True)),
)
def test_every_balance_is_made(kind, found):
    assert type(make(kind, torch.nn.Parameter(torch.ones(2)))) is found


@pytest.mark.parametrize("kind", BALANCES)
def test_equal_objectives_give_their_sum(kind):
    weight = torch.nn.Parameter(torch.ones(3))
    found = gradient(make(kind, weight), weight, loss(weight, [1.0, 0.0, 2.0], [1.0, 0.0, 2.0]))
    torch.testing.assert_close(found, torch.tensor([2.0, 0.0, 4.0]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["upgrad", "mgda"])
def test_conflicting_objectives_both_fall(kind):
    weight = torch.nn.Parameter(torch.ones(2))
    human, machine = torch.tensor([1.0, 0.0]), torch.tensor([-4.0, 1.0])
    assert (human + machine) @ human < 0, "the sum would make the human objective worse"
    found = gradient(make(kind, weight), weight, loss(weight, human.tolist(), machine.tolist()))
    assert found @ human >= -1e-3
    assert found @ machine >= -1e-3
    assert found.norm() > 0.1


def test_magnitudes_are_equalised_and_the_scale_is_limited():
    weight = torch.nn.Parameter(torch.ones(2))
    balance = make("ema", weight)
    found = gradient(balance, weight, loss(weight, [6.0, 0.0], [0.0, 2.0]))
    torch.testing.assert_close(found, torch.tensor([6.0, 6.0]))
    gradient(balance, weight, loss(weight, [6.0, 0.0], [0.0, 0.0]))
    assert balance.scale().item() > 3
    silent = make("ema", weight)
    gradient(silent, weight, loss(weight, [6.0, 0.0], [0.0, 0.0]))
    assert silent.scale() == SCALE_LIMIT


@pytest.mark.parametrize("kind", BALANCES)
def test_micro_batches_add_up(kind):
    weight = torch.nn.Parameter(torch.ones(2))
    whole = gradient(make(kind, weight), weight, loss(weight, [2.0, 1.0], [1.0, 2.0])).clone()
    parts = [loss(weight, [2.0, 1.0], [1.0, 2.0]) for _ in range(2)]
    torch.testing.assert_close(gradient(make(kind, weight), weight, *parts), whole)


@pytest.mark.parametrize("kind", ["ema", "upgrad", "mgda"])
def test_resumed_run_equals_an_uninterrupted_one(pictures, tmp_path, kind):
    config = dataclasses.replace(TRAIN, stage="semantic", balance=kind, precision="bf16")
    source = CropSource(pictures, smallest=64)

    def trainer(out):
        return Trainer(config, NETWORK, source, out, start=tiny_codec().state_dict(), teacher=PixelTeacher())

    whole, first = trainer(tmp_path / "whole"), trainer(tmp_path / "parts")
    expected = [whole.train_step()["loss"].item() for _ in range(4)]
    found = [first.train_step()["loss"].item() for _ in range(2)]
    first.save()
    second = trainer(tmp_path / "parts")
    second.resume()
    assert found + [second.train_step()["loss"].item() for _ in range(2)] == expected
