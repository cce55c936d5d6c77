"""A short deterministic run of every fuzz target on mutated seeds; UGICM_FUZZ_SECONDS makes it longer."""

import os
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fuzz_targets
from ugicm import UgicmError

SECONDS = float(os.environ.get("UGICM_FUZZ_SECONDS", "6"))
INTERESTING = [0, 1, 63, 64, 127, 128, 254, 255]


def seeds(name):
    found = [path.read_bytes() for path in sorted((fuzz_targets.CORPUS / name).iterdir())]
    if name == "stream":
        random = np.random.default_rng(0)
        for shape in ((1, 1), (65, 130), (300, 40)):
            found.append(fuzz_targets.codec().encode(random.integers(0, 256, (*shape, 3)).astype(np.uint8), 30))
    return found


def mutated(data, random, others):
    """One to four mutations: flip, set, delete, double, splice."""
    data = bytearray(data)
    for _ in range(random.integers(1, 5)):
        if not data:
            break
        position = int(random.integers(0, len(data)))
        length = int(random.integers(1, 9))
        match int(random.integers(0, 6)):
            case 0:
                data[position] ^= 1 << int(random.integers(0, 8))
            case 1:
                data[position] = INTERESTING[int(random.integers(0, len(INTERESTING)))]
            case 2:
                del data[position : position + length]
            case 3:
                data[position:position] = data[position : position + length]
            case 4:
                other = others[int(random.integers(0, len(others)))]
                start = int(random.integers(0, len(other)))
                data[position : position + length] = other[start : start + length]
            case 5:
                data[position : position + 4] = random.bytes(4)
    return bytes(data)


@pytest.mark.parametrize("name", fuzz_targets.TARGETS)
def test_mutated_seeds(name):
    target, known = fuzz_targets.TARGETS[name], seeds(name)
    random = np.random.default_rng(zlib.crc32(name.encode()))
    end, runs = time.monotonic() + SECONDS, 0
    for seed in known:
        target(seed)
    while time.monotonic() < end:
        data = mutated(known[runs % len(known)], random, known)
        try:
            target(data)
        except Exception as error:
            raise AssertionError(f"run {runs}: {error!r} for {data.hex()}") from error
        runs += 1
    assert runs > 20


def test_seeds_reach_the_inside():
    """A repaired seed decodes, and a mutated one with repaired checks gets as far as the entropy decoder."""
    whole = seeds("stream")[-1]
    fuzz_targets.codec().decode_symbols(fuzz_targets.repaired(whole))
    damaged = bytearray(whole)
    damaged[-3] ^= 0xFF
    with pytest.raises(UgicmError, match="checksum"):
        fuzz_targets.codec().decode_symbols(bytes(damaged))
    with pytest.raises(UgicmError, match="entropy decoder"):
        fuzz_targets.codec().decode_symbols(fuzz_targets.repaired(bytes(damaged)))
    for path in (fuzz_targets.CORPUS / "manifest").glob("sound*"):
        assert fuzz_targets.parse_manifest(path.read_bytes()).hyper_channels
