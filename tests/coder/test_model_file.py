"""entropy.bin: pack and the parser."""

import dataclasses
import hashlib
import struct

import numpy as np
import pytest
from coder_helpers import HYPER, LATENT, QUALITIES, fixed_spec, random_spec, reseal
from ugicm_coder import EntropyModel, ModelError, pack


def test_properties(model):
    assert (model.hyper_channels, model.latent_channels, model.qualities) == (HYPER, LATENT, QUALITIES)


def test_pinned_bytes():
    """Head and hash of a fixed model, and a hash of what it computes: file format and arithmetic are frozen."""
    data = pack(fixed_spec())
    assert data[:33].hex() == "8b5547450d0a1a0a020b104003050200020003000200070000f8070800010200d7"
    assert hashlib.sha256(data).hexdigest() == "1d3266951ec4a0750ada83fe84e2729ac13728a406c7786eaa720683115cbb8c"
    z = (np.arange(2 * 5 * 6) * 29 % 255 - 127).astype(np.int16).reshape(2, 5, 6)
    indexes = EntropyModel(data).scale_indexes(z, 1)
    assert len(np.unique(indexes)) > 20
    assert (
        hashlib.sha256(indexes.tobytes()).hexdigest()
        == "0319639f44aadfbb08159e14f054f0d57a2c59361dd3a9dac36fd3f20b7022fd"
    )


def test_truncation_at_every_length(packed):
    for length in range(len(packed)):
        with pytest.raises(ModelError):
            EntropyModel(packed[:length])


def test_truncation_with_a_right_checksum(packed):
    """Cutting the body but repairing the checksum reaches the bounds check of every field."""
    for length in range(len(packed) - 4):
        with pytest.raises(ModelError):
            EntropyModel(reseal(packed[:length] + b"\0\0\0\0"))


def test_trailing_bytes(packed):
    with pytest.raises(ModelError, match="after its last field"):
        EntropyModel(reseal(packed[:-4] + b"\0" + packed[-4:]))


def test_flipped_bytes_fail_the_checksum(packed):
    for place in range(len(packed)):
        damaged = bytearray(packed)
        damaged[place] ^= 0x40
        with pytest.raises(ModelError):
            EntropyModel(bytes(damaged))


def test_flipped_bytes_with_a_right_checksum_are_safe(packed):
    """Each damaged file is refused or gives a model that runs within its ranges."""
    generator = np.random.default_rng(0)
    z = generator.integers(-127, 128, (HYPER, 1, 2)).astype(np.int16)
    for place in range(8, len(packed) - 4):
        damaged = bytearray(packed)
        damaged[place] ^= int(generator.integers(1, 256))
        try:
            model = EntropyModel(reseal(bytes(damaged)))
        except ModelError:
            continue
        assert (model.hyper_channels, model.latent_channels) == (HYPER, LATENT)
        indexes = model.scale_indexes(z, 0)
        assert indexes.max() <= 63
        stream = model.encode_residual(indexes.astype(np.int16), indexes)
        np.testing.assert_array_equal(model.decode_residual(stream, indexes), indexes)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, b"\x89", "first eight bytes"),
        (8, b"\x01", "unknown version"),
        (9, b"\x0c", "unknown version"),
        (10, b"\x08", "unknown version"),
        (11, b"\x20", "unknown version"),
        (12, b"\x41", "impossible frequency table"),
        (13, b"\x40", "scale index above 63"),
        (14, b"\0\0", "count of zero"),
        (14, b"\x01\x01", "above the limit"),
        (16, b"\x01\x04", "above the limit"),
        (22, b"\0\0", "count of zero"),
        (25, b"\0\0", "impossible frequency table"),
        (25, b"\xff\xff", "impossible frequency table"),
    ],
)
def test_errors_name_the_fault(packed, place, value, message):
    damaged = packed[:place] + value + packed[place + len(value) :]
    with pytest.raises(ModelError, match=message):
        EntropyModel(reseal(damaged))


def test_flag_frequencies_are_checked():
    spec = random_spec(0)
    for frequency in (0, 2048):
        tables = dataclasses.replace(spec.tables, zero_flags=np.array([frequency], np.uint16))
        with pytest.raises(ModelError, match="impossible frequency table"):
            pack(dataclasses.replace(spec, tables=tables))


def test_z_index_is_checked():
    spec = random_spec(0)
    z_index = spec.z_index.copy()
    z_index[-1, -1] = 64
    with pytest.raises(ModelError, match="index above 63"):
        pack(dataclasses.replace(spec, z_index=z_index))


def test_pack_names_a_wrong_array():
    spec = random_spec(0)
    with pytest.raises(ValueError, match="z_index is int64"):
        pack(dataclasses.replace(spec, z_index=spec.z_index.astype(np.int64)))
    with pytest.raises(ValueError, match=r"quality_bias is int32 \(3, 7\); expected int32 \(4, 7\)"):
        pack(dataclasses.replace(spec, quality_bias=spec.quality_bias[1:]))
    layers = (spec.layers[1], *spec.layers[1:])
    with pytest.raises(ValueError, match="dimensions"):
        pack(dataclasses.replace(spec, layers=layers))
    short = dataclasses.replace(spec.layers[2], shift=spec.layers[2].shift[:-1])
    with pytest.raises(ValueError, match=r"layers\[2\].shift"):
        pack(dataclasses.replace(spec, layers=(*spec.layers[:2], short, *spec.layers[3:])))
    with pytest.raises(ValueError, match="expected 5 and 64"):
        pack(dataclasses.replace(spec, layers=spec.layers[:4]))


def test_size_matches_the_byte_table(packed):
    spec = random_spec(0)
    tables = sum(1 + 2 * len(f) for f in spec.tables.frequencies) + 2 * len(spec.tables.zero_flags)
    layers = sum(layer.weight.size + 5 * len(layer.bias) for layer in spec.layers)
    assert len(packed) == 24 + tables + spec.z_index.size + layers + 4 * spec.quality_bias.size + 4
    assert struct.unpack_from("<5H", packed, 14) == (QUALITIES, HYPER, 9, 3, LATENT)
