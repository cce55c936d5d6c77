"""The simulation of the integer scale network: exact against the integer code, and trainable."""

import numpy as np
import pytest
import torch
from tiny_train import tiny_codec
from ugicm_coder import EntropyModel

from ugicm_train.model.scale_network import ACTIVATION_MAX, HYPER_MAX, WEIGHT_MAX, IntegerConv, ScaleNetwork

entropy = pytest.importorskip("ugicm_export.entropy")

SIZES = [(1, 1), (1, 7), (5, 1), (3, 4), (8, 12)]
PER_SIZE = 220


def wide_awake(seed: int):
    """A codec whose scale network reaches its clips on all layers, unlike a fresh one."""
    codec = tiny_codec(seed).eval()
    network = codec.scale_network
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in (network.enter, network.spread, network.refine, network.smooth, network.leave):
            layer.weight.mul_(2 + torch.rand(layer.weight.shape[0], 1, 1, 1, generator=generator))
            layer.bias.uniform_(-0.3, 0.8, generator=generator)
        network.enter.weight.mul_(0.1)
        network.quality.rows.uniform_(-1, 5, generator=generator)
    return codec


def random_z(rng: np.random.Generator, count: int, size: tuple[int, int]) -> np.ndarray:
    """(count, 8, h, w) int16 in -127..127: half spread widely, half small as trained latents are."""
    wide = rng.integers(-HYPER_MAX, HYPER_MAX + 1, (count, 8, *size))
    small = np.rint(rng.standard_normal((count, 8, *size)) * 3)
    return np.where(rng.random((count, 1, 1, 1)) < 0.5, wide, small).astype(np.int16)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@torch.no_grad()
def test_simulation_equals_the_integer_code_bit_for_bit(size):
    codec = wide_awake(size[0])
    model = EntropyModel(entropy.entropy_file(codec))
    rng = np.random.default_rng(size)
    z = random_z(rng, PER_SIZE, size)
    level = (rng.integers(0, 505, PER_SIZE) / 8).astype(np.float32)
    simulated = codec.scale_network(torch.from_numpy(z).float(), torch.from_numpy(level))
    simulated = simulated.to(torch.uint8).numpy()
    for one, quality, expected in zip(z, level, simulated, strict=True):
        np.testing.assert_array_equal(model.scale_indexes(one, quality), expected)
    assert simulated.min() == 0
    assert simulated.max() == 63


def test_at_least_a_thousand_latents_are_compared():
    assert PER_SIZE * len(SIZES) >= 1000


@torch.no_grad()
def test_fresh_network_equals_the_integer_code():
    codec = tiny_codec().eval()
    model = EntropyModel(entropy.entropy_file(codec))
    z = random_z(np.random.default_rng(0), 20, (4, 4))
    for level in (0, 31, 31.625, 63):
        simulated = codec.scale_network(torch.from_numpy(z).float(), torch.full((20,), level))
        for one, expected in zip(z, simulated.numpy(), strict=True):
            np.testing.assert_array_equal(model.scale_indexes(one, level), expected)


@torch.no_grad()
def test_hyper_indexes_equal_the_stored_ones():
    codec = tiny_codec()
    codec.hyper_scale.rows.uniform_(-1, 8)
    spec = entropy.entropy_spec(codec)
    expected = codec.hyper_scale_index(torch.arange(64)).numpy()
    np.testing.assert_array_equal(spec.z_index, expected)
    assert (spec.z_index.min(), spec.z_index.max()) == (0, 63)


@torch.no_grad()
def test_exported_integers_fit_their_types():
    layers, quality_bias = wide_awake(3).scale_network.export()
    assert [layer.weight.shape for layer in layers] == [(16, 8), (16, 9), (128, 16), (8, 9), (16, 8)]
    assert [layer.depthwise for layer in layers] == [False, True, False, True, False]
    for layer in layers:
        assert layer.weight.dtype == torch.int8
        assert layer.bias.dtype == torch.int32
        assert layer.shift.dtype == torch.uint8
        peak = layer.weight.abs().amax(1)
        assert (peak > WEIGHT_MAX // 2).all(), "the shift should use the whole int8 range"
    assert quality_bias.shape == (64, 16)


@torch.no_grad()
def test_a_layer_of_zeros_is_harmless():
    layer = IntegerConv(4, 4, False, 1.0, 1.0)
    layer.weight.zero_()
    layer.bias.zero_()
    assert torch.equal(layer(torch.full((1, 4, 2, 2), float(ACTIVATION_MAX))), torch.zeros(1, 4, 2, 2))
    assert layer.export().weight.abs().max() == 0


def test_gradients_reach_every_parameter():
    torch.manual_seed(1)
    network = ScaleNetwork(8, 16, 8, 16, 64, 3)
    z = torch.randint(-30, 31, (4, 8, 2, 2)).float().requires_grad_()
    network(z, torch.tensor([0, 20, 40, 63])).sum().backward()
    assert z.grad.abs().sum() > 0
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_autocast_does_not_touch_the_integers():
    codec = wide_awake(5)
    z, level = torch.randint(-100, 101, (2, 8, 3, 3)).float(), torch.tensor([5, 50])
    expected = codec.scale_network(z, level)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(codec.scale_network(z, level), expected)
