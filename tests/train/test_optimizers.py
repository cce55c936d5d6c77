"""Optimisers: which parameter goes where, and a state that survives as named tensors."""

import pytest
import torch
from tiny_train import tiny_codec

from ugicm_train.model.layers import Pointwise
from ugicm_train.optimizers import make_optimizers, optimizer_tensors, restore_optimizers, set_learning_rate


def step(codec, optimizers, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in codec.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    for optimizer in optimizers:
        optimizer.step()


@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_every_parameter_has_one_optimizer(kind):
    codec = tiny_codec()
    optimizers = make_optimizers(codec, kind, 1e-3)
    held = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in codec.parameters())


def test_muon_without_matrices_says_what_to_take():
    with pytest.raises(ValueError, match="take adam"):
        make_optimizers(torch.nn.Linear(2, 2), "muon", 1e-3)


def test_muon_takes_the_matrices():
    codec = tiny_codec()
    muon = make_optimizers(codec, "muon", 1e-3)[0]
    assert len(muon.param_groups[0]["params"]) == sum(isinstance(m, Pointwise) for m in codec.modules())


@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_restored_optimizers_go_on_exactly(kind):
    codec, other = tiny_codec(), tiny_codec()
    optimizers = make_optimizers(codec, kind, 1e-3)
    for seed in range(2):
        step(codec, optimizers, seed)
    saved = {name: value.clone() for name, value in optimizer_tensors(optimizers).items()}
    other.load_state_dict(codec.state_dict())
    fresh = make_optimizers(other, kind, 1e-3)
    restore_optimizers(fresh, saved)
    for one, its_optimizers in ((codec, optimizers), (other, fresh)):
        step(one, its_optimizers, 9)
    assert all(map(torch.equal, codec.parameters(), other.parameters()))


def test_moments_take_the_memory_order_of_their_weight():
    layer = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    optimizers = make_optimizers(layer, "adam", 1e-2)
    step(layer, optimizers, 0)
    before = {name: value.clone() for name, value in optimizer_tensors(optimizers).items()}
    fresh = make_optimizers(layer, "adam", 1e-2)
    restore_optimizers(fresh, {name: value.contiguous() for name, value in before.items()})
    moments = fresh[0].state[layer.weight]
    for name in ("exp_avg", "exp_avg_sq"):
        assert moments[name].stride() == layer.weight.stride()
        assert torch.equal(moments[name], before[f"optimizer.0.0.{name}"])


def test_learning_rate_reaches_every_group():
    optimizers = make_optimizers(tiny_codec(), "muon", 1e-3)
    set_learning_rate(optimizers, 0.5)
    assert {group["lr"] for optimizer in optimizers for group in optimizer.param_groups} == {0.5}
