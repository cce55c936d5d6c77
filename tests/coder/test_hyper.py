"""encode_hyper and decode_hyper: the band coder with one stored index per channel and a limit of 127."""

import numpy as np
import pytest
import reference_coder
from coder_helpers import HYPER, QUALITIES, random_spec, random_tables
from ugicm_coder import EntropyModel, StreamError, pack


def random_hyper(seed, height, width):
    generator = np.random.default_rng(seed)
    return np.clip(np.rint(generator.normal(size=(HYPER, height, width)) * 12), -127, 127).astype(np.int16)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (8, 12), (60, 60)])
@pytest.mark.parametrize("quality", [0, 0.125, 1.5, QUALITIES - 1])
def test_round_trip_and_identity_with_reference(model, reference, height, width, quality):
    z = random_hyper(height, height, width)
    stream = model.encode_hyper(z, quality)
    indexes = np.broadcast_to(reference_coder.at_quality(reference.z_index, quality)[:, None, None], z.shape)
    assert stream == reference_coder.encode_band(reference, z, indexes)
    np.testing.assert_array_equal(model.decode_hyper(stream, height, width, quality), z)


@pytest.mark.parametrize("value", [-127, 127, 0])
def test_limits(model, value):
    z = np.full((HYPER, 3, 5), value, np.int16)
    np.testing.assert_array_equal(model.decode_hyper(model.encode_hyper(z, 1), 3, 5, 1), z)


def test_values_above_127_are_refused_both_ways():
    data = pack(random_spec(1, hyper_channels=HYPER, latent_channels=HYPER, tables=random_tables(1)))
    model = EntropyModel(data)
    index = reference_coder.parse(data).z_index[0].astype(np.uint8)
    for value in (128, -128, 200, -512, 30000):
        z = np.zeros((HYPER, 2, 8), np.int16)
        z[4, 1, 2] = value
        with pytest.raises(ValueError, match=f"z holds {value} in channel 4; expected -127..127"):
            model.encode_hyper(z, 0)
        stream = model.encode_residual(z, np.broadcast_to(index[:, None, None], z.shape))
        with pytest.raises(StreamError, match="outside the permitted range"):
            model.decode_hyper(stream, 2, 8, 0)


def test_empty(model):
    assert model.encode_hyper(np.zeros((HYPER, 0, 4), np.int16), 0) == b""
    assert model.decode_hyper(b"", 0, 4, 0).shape == (HYPER, 0, 4)


def test_truncation_at_every_length(model):
    stream = model.encode_hyper(random_hyper(3, 6, 7), 0)
    for length in range(len(stream)):
        with pytest.raises(StreamError):
            model.decode_hyper(stream[:length], 6, 7, 0)


def test_argument_errors(model):
    z = random_hyper(4, 2, 2)
    for quality in (-1, QUALITIES, QUALITIES - 0.875, 0.1, float("nan")):
        for call in (lambda q: model.encode_hyper(z, q), lambda q: model.decode_hyper(b"", 2, 2, q)):
            with pytest.raises(ValueError, match=f"quality is {quality}; expected 0..{QUALITIES - 1} in steps of 1/8"):
                call(quality)
    with pytest.raises(ValueError, match=r"expected 0\.\.16777216 positions"):
        model.decode_hyper(b"", 1 << 20, 1 << 20, 0)
    with pytest.raises(ValueError, match="positions"):
        model.decode_hyper(b"", -1, 2, 0)
    with pytest.raises(ValueError, match="expected \\(5, any, any\\)"):
        model.encode_hyper(z[:2], 0)
    with pytest.raises(TypeError, match="expected int16"):
        model.encode_hyper(z.astype(np.float32), 0)
