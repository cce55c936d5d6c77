"""Models shared by the coder tests."""

import sys
from pathlib import Path

import pytest

# The helper modules of this folder are imported by their plain names under every import mode of pytest.
sys.path.insert(0, str(Path(__file__).parent))

import reference_coder
from coder_helpers import random_spec
from ugicm_coder import EntropyModel, pack


@pytest.fixture(scope="session")
def packed() -> bytes:
    """A small entropy.bin with the standard tables."""
    return pack(random_spec(0))


@pytest.fixture(scope="session")
def model(packed: bytes) -> EntropyModel:
    return EntropyModel(packed)


@pytest.fixture(scope="session")
def reference(packed: bytes) -> reference_coder.Model:
    """The same model, as the reference coder reads it."""
    return reference_coder.parse(packed)
