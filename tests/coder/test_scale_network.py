import dataclasses

import numpy as np
import pytest
import reference_coder
from coder_helpers import HYPER, QUALITIES, random_spec
from ugicm_coder import EntropyModel, ModelError, pack


def random_z(seed, channels, height, width):
    return np.random.default_rng(seed).integers(-127, 128, (channels, height, width)).astype(np.int16)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (3, 2), (7, 6)])
@pytest.mark.parametrize("quality", [*range(QUALITIES), 0.125, 1.5, QUALITIES - 1.125])
def test_identity_with_reference(model, reference, height, width, quality):
    z = random_z(height, HYPER, height, width)
    indexes = model.scale_indexes(z, quality)
    assert indexes.dtype == np.uint8
    assert len(np.unique(indexes)) > 3
    np.testing.assert_array_equal(indexes, reference_coder.scale_indexes(reference, z, quality))


@pytest.mark.parametrize("seed", range(6))
def test_identity_over_random_sizes(seed):
    generator = np.random.default_rng(seed)
    hyper, wide, narrow, latent = (int(n) for n in generator.integers(1, 70, 4))
    data = pack(random_spec(seed, hyper, latent, wide, narrow, qualities=2))
    z = random_z(seed, hyper, 3, 5)
    expected = reference_coder.scale_indexes(reference_coder.parse(data), z, 1)
    np.testing.assert_array_equal(EntropyModel(data).scale_indexes(z, 1), expected)


def test_input_is_clamped(model):
    z = random_z(0, HYPER, 2, 2)
    z[0] = 32767
    z[1] = -32768
    np.testing.assert_array_equal(model.scale_indexes(z, 0), model.scale_indexes(np.clip(z, -127, 127), 0))


def test_empty_map_and_strides(model):
    assert model.scale_indexes(np.zeros((HYPER, 0, 3), np.int16), 0).shape == (7, 0, 12)
    z = random_z(1, HYPER, 4, 6)
    np.testing.assert_array_equal(model.scale_indexes(np.asfortranarray(z), 2), model.scale_indexes(z, 2))


def with_layer(spec, number, **changes):
    layers = list(spec.layers)
    layers[number] = dataclasses.replace(layers[number], **changes)
    return dataclasses.replace(spec, layers=tuple(layers))


def largest_bias(spec, number):
    """The largest bias of output 0 that the overflow proof of layer `number` accepts."""
    layer = spec.layers[number]
    total = np.abs(layer.weight[0].astype(np.int64)).sum() * (127 if number == 0 else 255)
    rounding = 0 if layer.shift[0] == 0 else 1 << (int(layer.shift[0]) - 1)
    extra = np.abs(spec.quality_bias[:, 0].astype(np.int64)).max() if number == 4 else 0
    return int((1 << 31) - 1 - total - rounding - extra)


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("sign", [1, -1])
def test_overflow_proof_is_exact(number, sign):
    """The last legal bias is accepted and still computes exactly; one more is refused."""
    spec = random_spec(2)
    bias = spec.layers[number].bias.copy()
    bias[0] = sign * largest_bias(spec, number)
    data = pack(with_layer(spec, number, bias=bias))
    z = np.where(random_z(3, HYPER, 2, 3) > 0, 127, -127).astype(np.int16)
    expected = reference_coder.scale_indexes(reference_coder.parse(data), z, 0)
    np.testing.assert_array_equal(EntropyModel(data).scale_indexes(z, 0), expected)
    bias[0] += sign
    with pytest.raises(ModelError, match="overflow"):
        pack(with_layer(spec, number, bias=bias))


def test_quality_bias_counts_in_the_overflow_proof():
    spec = random_spec(2)
    quality_bias = spec.quality_bias.copy()
    quality_bias[-1, -1] = -(1 << 31)
    with pytest.raises(ModelError, match="overflow"):
        pack(dataclasses.replace(spec, quality_bias=quality_bias))


def test_weight_and_shift_ranges():
    spec = random_spec(2)
    weight = spec.layers[2].weight.copy()
    weight[0, 0] = -128
    with pytest.raises(ModelError, match="weight -128"):
        pack(with_layer(spec, 2, weight=weight))
    shift = spec.layers[3].shift.copy()
    shift[0] = 25
    with pytest.raises(ModelError, match="shift above 24"):
        pack(with_layer(spec, 3, shift=shift))


def test_every_shift(reference):
    spec = random_spec(4, wide=25)
    data = pack(with_layer(spec, 0, shift=np.arange(25, dtype=np.uint8)))
    z = random_z(5, HYPER, 2, 2)
    expected = reference_coder.scale_indexes(reference_coder.parse(data), z, 0)
    np.testing.assert_array_equal(EntropyModel(data).scale_indexes(z, 0), expected)
