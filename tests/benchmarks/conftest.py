"""Makes `benchmarks` importable from any place, and finds the shared data or skips."""

import sys
from pathlib import Path

import numpy as np
import pytest

# The repository's root holds `benchmarks`; the helper modules of this folder are imported by their plain names.
sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]


@pytest.fixture(scope="session")
def data():
    """The shared data; a test that asks for it is skipped where there is none."""
    from benchmarks.config import DEFAULT_DATA

    if not (DEFAULT_DATA / "eval").is_dir():
        pytest.skip(f"there is no shared data at '{DEFAULT_DATA}'")
    return DEFAULT_DATA


@pytest.fixture(scope="session")
def picture():
    """A smooth picture with a few edges, (176, 208, 3) uint8."""
    y, x = np.mgrid[0:176, 0:208]
    tiles = 40 * ((x // 32 + y // 32) % 2)
    return np.stack([x + tiles, y + tiles, 200 - x // 2 + 0 * y], axis=2).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def bundle():
    """The default bundle of the runtime; skips where there is none."""
    from ugicm.bundle import Bundle
    from ugicm.errors import BundleError

    try:
        return Bundle.open(None).path
    except BundleError as error:
        pytest.skip(f"there is no default bundle: {error}")
