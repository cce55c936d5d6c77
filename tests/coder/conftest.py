"""Models shared by the coder tests."""

import pytest
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
