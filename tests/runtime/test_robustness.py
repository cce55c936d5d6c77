"""Damaged streams: always a `UgicmError`, whatever was cut or flipped. UGICM_FUZZ_COUNT raises the number of slower trials."""

import os

import numpy as np
import pytest
from ugicm.bitstream import Stream, parse, serialise
from ugicm.errors import CorruptStreamError, NotAStreamError, StreamError, TruncatedStreamError

FLIPS = 10_000
COUNT = int(os.environ.get("UGICM_FUZZ_COUNT", "300"))


def test_every_truncation(codec, stream):
    for length in range(len(stream)):
        with pytest.raises(TruncatedStreamError if length else NotAStreamError):
            codec.decode(stream[:length])


def test_appended_bytes(codec, stream):
    for extra in (b"\0", b"x" * 100, stream):
        with pytest.raises(CorruptStreamError):
            codec.decode(stream + extra)


def test_random_flips(codec, stream):
    random = np.random.default_rng(1)
    for _ in range(FLIPS):
        damaged = bytearray(stream)
        for bit in random.choice(len(stream) * 8, random.integers(1, 9), replace=False):
            damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            codec.decode(damaged)


def test_random_bytes(codec, stream):
    random = np.random.default_rng(2)
    for _ in range(COUNT):
        with pytest.raises(StreamError):
            codec.decode(stream[: random.integers(0, 60)] + random.bytes(random.integers(0, 200)))


def test_damage_behind_right_checksums(codec, stream):
    """Someone who repairs the checksums can make a wrong picture, but nothing other than a picture or an error."""
    parsed = parse(stream)
    random = np.random.default_rng(3)
    outcomes = {"error": 0, "picture": 0}
    for _ in range(COUNT):
        z, band = bytearray(parsed.z), bytearray(parsed.bands[0])
        target = random.choice([0, 1])
        part = (z, band)[target]
        for position in random.integers(0, len(part), random.integers(1, 4)):
            part[position] = random.integers(0, 256)
        if random.random() < 0.3:
            del part[random.integers(0, len(part)) :]
        forged = Stream(133, 70, int(random.integers(0, 64)), parsed.fingerprint, bytes(z), (bytes(band),))
        try:
            image = codec.decode(serialise(forged))
        except CorruptStreamError:
            outcomes["error"] += 1
        else:
            outcomes["picture"] += 1
            assert image.shape == (70, 133, 3)
    assert outcomes["error"] > outcomes["picture"]


def test_a_forged_size(codec, stream):
    """The right data under another size does not decode to a picture that looks sound by accident."""
    parsed = parse(stream)
    for width, height in ((1, 1), (64, 64), (300, 70), (133, 200), (4000, 70)):
        forged = Stream(width, height, parsed.level, parsed.fingerprint, parsed.z, parsed.bands)
        with pytest.raises(CorruptStreamError):
            codec.decode(serialise(forged))
