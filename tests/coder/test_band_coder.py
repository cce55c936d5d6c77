"""encode_residual and decode_residual, and with them the whole of band_coder.h."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import reference_coder
from coder_helpers import LATENT, fixed_spec, random_band, random_spec, random_tables
from ugicm_coder import SCALES, EntropyModel, StreamError, pack

SHAPES = [(7, 1, 1), (7, 1, 15), (7, 4, 4), (7, 1, 17), (7, 3, 37), (7, 32, 48)]


def assert_round_trip(model, symbols, indexes):
    stream = model.encode_residual(symbols, indexes)
    decoded = model.decode_residual(stream, indexes)
    assert decoded.dtype == np.int16
    np.testing.assert_array_equal(decoded, symbols)
    return stream


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [0.0, 1.0, 8.0])
def test_round_trip_and_identity_with_reference(model, reference, shape, spread):
    symbols, indexes = random_band(len(shape) + int(spread), shape, spread)
    stream = assert_round_trip(model, symbols, indexes)
    assert stream == reference_coder.encode_band(reference, symbols, indexes)
    np.testing.assert_array_equal(reference_coder.decode_band(reference, stream, indexes), symbols)


@pytest.mark.parametrize("seed", range(12))
def test_random_tables(seed):
    data = pack(random_spec(seed, tables=random_tables(seed)))
    model, reference = EntropyModel(data), reference_coder.parse(data)
    for shape in ((7, 2, 9), (7, 13, 16)):
        symbols, indexes = random_band(seed, shape, spread=0.5)
        stream = assert_round_trip(model, symbols, indexes)
        assert stream == reference_coder.encode_band(reference, symbols, indexes)


@pytest.mark.parametrize("columns", [2340, 2341])
def test_identity_on_both_sides_of_the_lane_rule(model, reference, columns):
    """16380 symbols use one lane, 16387 four."""
    symbols, indexes = random_band(1, (7, 1, columns))
    stream = assert_round_trip(model, symbols, indexes)
    assert stream == reference_coder.encode_band(reference, symbols, indexes)


@pytest.mark.parametrize("value", [1, -1, 255, 256, -256, -511, -512, 512, -513, 32767, -32767])
@pytest.mark.parametrize("index", [0, 20, 63])
def test_extreme_values(model, reference, value, index):
    indexes = np.full((LATENT, 3, 8), index, np.uint8)
    symbols = np.full(indexes.shape, value, np.int16)
    stream = assert_round_trip(model, symbols, indexes)
    assert stream == reference_coder.encode_band(reference, symbols, indexes)
    symbols[1:] = 0
    symbols[:, 0, 0] = value
    assert_round_trip(model, symbols, indexes)


def test_uniform_noise_over_the_whole_range(model):
    generator = np.random.default_rng(5)
    symbols = generator.integers(-32767, 32768, (LATENT, 50, 64)).astype(np.int16)
    indexes = generator.integers(0, 64, symbols.shape).astype(np.uint8)
    assert_round_trip(model, symbols, indexes)


def test_empty_bands(model):
    for shape in ((LATENT, 0, 5), (LATENT, 5, 0)):
        symbols, indexes = np.zeros(shape, np.int16), np.zeros(shape, np.uint8)
        assert model.encode_residual(symbols, indexes) == b""
        assert model.decode_residual(b"", indexes).shape == shape
        with pytest.raises(StreamError):
            model.decode_residual(b"\0", indexes)


def test_zero_band_is_small(model):
    shape = (LATENT, 64, 64)
    stream = model.encode_residual(np.zeros(shape, np.int16), np.zeros(shape, np.uint8))
    assert len(stream) <= 20


def test_pinned_bytes():
    """The stream format is frozen: these bytes may never change."""
    model = EntropyModel(pack(fixed_spec()))
    position = np.arange(LATENT * 12).reshape(LATENT, 3, 4)
    indexes = (position * 5 % 64).astype(np.uint8)
    indexes[2:4] %= 3
    symbols = ((position % 5 - 2) * (indexes > 30)).astype(np.int16)
    symbols[3, 1, 1], symbols[4, 2, 2] = 1, -777
    stream = assert_round_trip(model, symbols, indexes)
    assert stream.hex() == "97a13c053268faf72606bf37e0c798ab88ff68c60300214c08052004"
    wide = np.tile(indexes, (1, 64, 64))
    stream = assert_round_trip(model, np.tile(symbols, (1, 64, 64)), wide)
    assert len(stream) > reference_coder.SMALL_STREAM
    assert hashlib.sha256(stream).hexdigest() == "2db5e169b5bd12e54918e0c64935b2d5ea4714027e1de4363517dfabc5f62328"


def test_number_of_states_follows_the_size(model):
    """Streams around the size where one state becomes four: the decoder has nothing but the size to tell."""
    rng = np.random.default_rng(12)
    indexes = np.full((LATENT, 4, 1060), 24, np.uint8)
    symbols = np.rint(rng.normal(0, SCALES[24], indexes.shape)).astype(np.int16)
    sizes = [len(assert_round_trip(model, symbols[..., :n], indexes[..., :n])) for n in range(900, 1060, 4)]
    assert min(sizes) < reference_coder.SMALL_STREAM < max(sizes)
    steps = np.diff(sizes)
    crossing = int(np.flatnonzero(np.array(sizes) >= reference_coder.SMALL_STREAM)[0]) - 1
    assert steps[crossing] - np.median(steps) >= 4  # three states more, four bytes each, of which two are not payload


def test_row_bands_are_read_in_place(model):
    symbols, indexes = random_band(9, (LATENT, 24, 16))
    for rows in (slice(0, 8), slice(8, 24), slice(23, 24)):
        stream = model.encode_residual(symbols[:, rows], indexes[:, rows])
        assert stream == model.encode_residual(symbols[:, rows].copy(), indexes[:, rows].copy())
        np.testing.assert_array_equal(model.decode_residual(stream, indexes[:, rows]), symbols[:, rows])


def test_any_strides(model):
    symbols, indexes = random_band(10, (LATENT, 6, 10))
    expected = model.encode_residual(symbols, indexes)
    for change in (np.asfortranarray, lambda a: a[:, ::-1].copy()[:, ::-1], lambda a: np.repeat(a, 2, 2)[..., ::2]):
        assert model.encode_residual(change(symbols), change(indexes)) == expected
        np.testing.assert_array_equal(model.decode_residual(expected, change(indexes)), symbols)


def test_equivalent_dtype_objects_are_accepted(model):
    """An unpickled array has an equal dtype that is another object."""
    symbols, indexes = random_band(10, (LATENT, 6, 10))
    copy = pickle.loads(pickle.dumps(symbols))
    assert model.encode_residual(copy, indexes) == model.encode_residual(symbols, indexes)
    with pytest.raises(TypeError, match="expected int16"):
        model.encode_residual(symbols.astype(">i2"), indexes)


@pytest.mark.parametrize("shape", [(LATENT, 5, 9), (LATENT, 49, 48)])
def test_truncation_at_every_length(model, shape):
    symbols, indexes = random_band(11, shape, spread=2.0)
    stream = model.encode_residual(symbols, indexes)
    step = max(1, len(stream) // 700)
    for length in [*range(0, len(stream), step), len(stream) - 2, len(stream) - 1]:
        with pytest.raises(StreamError):
            model.decode_residual(stream[:length], indexes)
    for extra in (b"\0", b"\0\0", b"\0\0\0\0"):
        with pytest.raises(StreamError):
            model.decode_residual(stream + extra, indexes)


def test_every_bit_flip_is_noticed_or_harmless(model):
    """A flip either raises or yields legal values; even without a CRC all but a few raise."""
    symbols, indexes = random_band(12, (LATENT, 5, 9))
    stream = model.encode_residual(symbols, indexes)
    silent = 0
    for bit in range(8 * len(stream)):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            decoded = model.decode_residual(bytes(damaged), indexes)
        except StreamError:
            continue
        silent += 1
        assert (np.abs(decoded.astype(int)) <= 32767).all()
    assert silent <= 8 * len(stream) // 50


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes(model, seed):
    generator = np.random.default_rng(seed)
    _, indexes = random_band(seed, (LATENT, 49, 48))
    for length in (0, 3, 4, 15, 16, 17, 18, 64, 1000, 30000):
        with pytest.raises(StreamError):
            model.decode_residual(generator.bytes(length), indexes)


def test_other_indexes_are_noticed(model):
    symbols, indexes = random_band(13, (LATENT, 20, 16))
    stream = model.encode_residual(symbols, indexes)
    with pytest.raises(StreamError):
        model.decode_residual(stream, np.maximum(indexes, 20))


def test_argument_errors_name_the_fault(model):
    symbols, indexes = random_band(14, (LATENT, 4, 4))
    low = symbols.copy()
    low[3, 0, 0] = -32768
    with pytest.raises(ValueError, match=r"-32768 in channel 3; expected -32767\.\.32767"):
        model.encode_residual(low, indexes)
    high = indexes.copy()
    for value in (64, 128, 255):
        high[2] = value
        with pytest.raises(ValueError, match=f"{value} in channel 2; expected 0..63"):
            model.encode_residual(symbols, high)
        with pytest.raises(ValueError, match=f"{value} in channel 2; expected 0..63"):
            model.decode_residual(model.encode_residual(symbols, indexes), high)
    with pytest.raises(ValueError, match="expected \\(7, 4, 4\\)"):
        model.encode_residual(symbols, indexes[:, :2])
    with pytest.raises(ValueError, match="expected \\(7, any, any\\)"):
        model.encode_residual(symbols[:3], indexes[:3])
    with pytest.raises(TypeError, match="dtype int32; expected int16"):
        model.encode_residual(symbols.astype(np.int32), indexes)
    with pytest.raises(TypeError, match="dtype int64; expected uint8"):
        model.decode_residual(b"", indexes.astype(np.int64))
    with pytest.raises(TypeError):
        model.decode_residual("text", indexes)


def test_symbols_without_a_code_are_refused():
    """Found by a search for symbols that one state rounds badly: 8,184 bytes with four states, 8,192 or more with one."""
    data = pack(random_spec(0, latent_channels=1))
    with np.load(Path(__file__).with_name("no_code.npz")) as found:
        symbols = found["symbols"].astype(np.int16).reshape(1, 1, -1)
        indexes = found["indexes"].reshape(1, 1, -1)
    with pytest.raises(StreamError, match="no code"):
        EntropyModel(data).encode_residual(symbols, indexes)
    with pytest.raises(ValueError, match="too short with four"):
        reference_coder.encode_band(reference_coder.parse(data), symbols, indexes)
    symbols[..., -4000:] = 0
    assert_round_trip(EntropyModel(data), symbols, indexes)
