"""A short reading of docs/entropy.md in pure Python: the test suite demands identical bytes from the native core."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

PRECISION, TOTAL, LOW, BLOCK = 11, 1 << 11, 1 << 16, 16
SMALL_STREAM, LANES = 8192, 4


@dataclass
class Model:
    """entropy.bin as Python lists and int64 arrays."""

    frequencies: list[list[int]]
    zero_flags: list[int]
    lift: int
    z_index: np.ndarray
    layers: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    quality_bias: np.ndarray


def parse(data: bytes) -> Model:
    """Reads a file known to be intact."""
    flags, lift, qualities, hyper, wide, narrow, latent = struct.unpack_from("<2B5H", data, 12)
    place = 24

    def take(dtype: str, *shape: int) -> np.ndarray:
        nonlocal place
        array = np.frombuffer(data, dtype, int(np.prod(shape)), place).reshape(shape)
        place += array.nbytes
        return array.astype(np.int64)

    frequencies = [take("<u2", 2 * int(take("u1", 1)[0]) + 2).tolist() for _ in range(64)]
    zero_flags = take("<u2", flags).tolist()
    z_index = take("u1", qualities, hyper)
    shapes = ((wide, hyper), (wide, 9), (16 * narrow, wide), (narrow, 9), (latent, narrow))
    layers = [(take("i1", *shape), take("<i4", shape[0]), take("u1", shape[0])) for shape in shapes]
    return Model(frequencies, zero_flags, lift, z_index, layers, take("<i4", qualities, latent))


def at_quality(table: np.ndarray, quality: float) -> np.ndarray:
    """Row of a table (Q, n) at a quality that is a multiple of 1/8: rows between two whole ones are mixed and rounded half up."""
    low, share = divmod(round(8 * quality), 8)
    return table[low] if share == 0 else (table[low] * (8 - share) + table[low + 1] * share + 4) >> 3


def scale_indexes(model: Model, z: np.ndarray, quality: float) -> np.ndarray:
    """The scale network in int64, one whole map at a time: z (Z, hz, wz) -> (M, 4 hz, 4 wz)."""

    def finish(total: np.ndarray, bias: np.ndarray, shift: np.ndarray, maximum: int) -> np.ndarray:
        rounding = np.where(shift > 0, 1 << np.maximum(shift - 1, 0), 0)
        total = total + (bias + rounding)[:, None, None]
        return np.clip(total >> shift[:, None, None], 0, maximum)

    def depthwise(weight: np.ndarray, a: np.ndarray) -> np.ndarray:
        padded = np.pad(a, ((0, 0), (1, 1), (1, 1)))
        taps = [padded[:, i : i + a.shape[1], j : j + a.shape[2]] for i in range(3) for j in range(3)]
        return sum(weight[:, t, None, None] * taps[t] for t in range(9))

    def pointwise(weight: np.ndarray, a: np.ndarray) -> np.ndarray:
        return np.einsum("oi,ihw->ohw", weight, a)

    (w1, b1, s1), (w2, b2, s2), (w3, b3, s3), (w4, b4, s4), (w5, b5, s5) = model.layers
    a = finish(pointwise(w1, np.clip(z.astype(np.int64), -127, 127)), b1, s1, 255)
    a = finish(depthwise(w2, a), b2, s2, 255)
    a = finish(pointwise(w3, a), b3, s3, 255)
    _, height, width = a.shape
    a = a.reshape(-1, 4, 4, height, width).transpose(0, 3, 1, 4, 2).reshape(-1, 4 * height, 4 * width)
    a = finish(depthwise(w4, a), b4, s4, 255)
    return finish(pointwise(w5, a), b5 + at_quality(model.quality_bias, quality), s5, 63).astype(np.uint8)


def intervals(model: Model, index: int) -> tuple[int, list[tuple[int, int]]]:
    """(radius, [(start, frequency)]) of one table; the escape comes last."""
    table = model.frequencies[index]
    starts = np.cumsum([0, *table[:-1]]).tolist()
    return len(table) // 2 - 1, list(zip(starts, table, strict=True))


def blocks(indexes: np.ndarray) -> list[slice]:
    """Block positions in the flattened band; a block never crosses a channel."""
    channels, rows, columns = indexes.shape
    plane = rows * columns
    return [
        slice(c * plane + first, c * plane + min(first + BLOCK, plane))
        for c in range(channels)
        for first in range(0, plane, BLOCK)
    ]


def encode_band(model: Model, symbols: np.ndarray, indexes: np.ndarray) -> bytes:
    """Four states where the stream is long, else one; ValueError in the rare case that neither suits its own length."""
    if symbols.size == 0:
        return b""
    long = encode_lanes(model, symbols, indexes, LANES)
    if len(long) >= SMALL_STREAM:
        return long
    short = encode_lanes(model, symbols, indexes, 1)
    if len(short) >= SMALL_STREAM:
        raise ValueError("too short with four states, too long with one")
    return short


def encode_lanes(model: Model, symbols: np.ndarray, indexes: np.ndarray, lanes: int) -> bytes:
    """Lists every coding step in decoding order, then performs the steps backwards."""
    values, scales = symbols.reshape(-1).tolist(), indexes.reshape(-1).tolist()
    flags: list[tuple[int, int, int, int]] = []  # lane, start, frequency, precision
    steps: list[tuple[int, int, int, int]] = []
    raw: list[tuple[int, int, int, int]] = []
    for block in blocks(indexes):
        largest, lift = max(scales[block]), 0
        if largest < len(model.zero_flags):
            zero, lane = model.zero_flags[largest], len(flags) % lanes
            if not any(values[block]):
                flags.append((lane, 0, zero, PRECISION))
                continue
            flags.append((lane, zero, TOTAL - zero, PRECISION))
            lift = model.lift
        for i, (value, index) in enumerate(zip(values[block], scales[block], strict=True)):
            radius, table = intervals(model, max(index, lift))
            if abs(value) <= radius:
                steps.append((i % lanes, *table[value + radius], PRECISION))
                continue
            steps.append((i % lanes, *table[-1], PRECISION))
            offset = abs(value) - radius
            bits = offset.bit_length() - 1
            raw.append((0, bits << 1 | (value < 0), 1, 5))
            raw.append((0, offset - (1 << bits), 1, bits))
    state, words = [LOW] * lanes, []
    for lane, start, frequency, precision in reversed(flags + steps + raw):
        x = state[lane]
        if x >= frequency << (32 - precision):
            words.append(x & 0xFFFF)
            x >>= 16
        state[lane] = (x // frequency << precision) + x % frequency + start
    return struct.pack(f"<{lanes}I", *state) + struct.pack(f"<{len(words)}H", *reversed(words))


class Decoder:
    """The lanes and words of one stream."""

    def __init__(self, data: bytes, lanes: int) -> None:
        self.state = list(struct.unpack_from(f"<{lanes}I", data))
        self.words = list(struct.unpack(f"<{(len(data) - 4 * lanes) // 2}H", data[4 * lanes :]))

    def take(self, lane: int, table: list[tuple[int, int]], precision: int = PRECISION) -> int:
        """Decodes one symbol: its number in `table`."""
        slot = self.state[lane] & ((1 << precision) - 1)
        number = next(n for n, (start, frequency) in enumerate(table) if slot < start + frequency)
        start, frequency = table[number]
        self.advance(lane, frequency * (self.state[lane] >> precision) + slot - start)
        return number

    def raw(self, bits: int) -> int:
        """Decodes `bits` equally likely bits from lane 0."""
        value = self.state[0] & ((1 << bits) - 1)
        self.advance(0, self.state[0] >> bits)
        return value

    def advance(self, lane: int, x: int) -> None:
        self.state[lane] = x << 16 | self.words.pop(0) if x < LOW else x


def decode_band(model: Model, data: bytes, indexes: np.ndarray) -> np.ndarray:
    """Decodes a stream known to be intact."""
    if indexes.size == 0:
        return np.zeros(indexes.shape, np.int16)
    scales = indexes.reshape(-1).tolist()
    values = np.zeros(indexes.size, np.int16)
    lanes = 1 if len(data) < SMALL_STREAM else LANES
    decoder = Decoder(data, lanes)
    coded: list[tuple[slice, int]] = []
    flags = 0
    for block in blocks(indexes):
        largest, lift = max(scales[block]), 0
        if largest < len(model.zero_flags):
            zero = model.zero_flags[largest]
            lane, flags, lift = flags % lanes, flags + 1, model.lift
            if decoder.take(lane, [(0, zero), (zero, TOTAL - zero)]) == 0:
                continue
        coded.append((block, lift))
    escapes: list[tuple[int, int]] = []
    for block, lift in coded:
        for i in range(block.stop - block.start):
            radius, table = intervals(model, max(scales[block.start + i], lift))
            number = decoder.take(i % lanes, table)
            if number == 2 * radius + 1:
                escapes.append((block.start + i, radius))
            else:
                values[block.start + i] = number - radius
    for position, radius in escapes:
        field = decoder.raw(5)
        magnitude = radius + (1 << (field >> 1)) + decoder.raw(field >> 1)
        values[position] = -magnitude if field & 1 else magnitude
    assert decoder.state == [LOW] * lanes
    assert not decoder.words
    return values.reshape(indexes.shape)
