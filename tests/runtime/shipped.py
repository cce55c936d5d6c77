"""What the tests of the shipped model share."""

from pathlib import Path

import numpy as np
import pytest
from ugicm.bundle import DEFAULT_PATH

EXAMPLE = Path(__file__).parents[2] / "examples" / "kodim23.png"
needs_model = pytest.mark.skipif(not DEFAULT_PATH.exists(), reason="this checkout has no default bundle")


def psnr(one, other):
    """In dB, of two uint8 pictures."""
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))
