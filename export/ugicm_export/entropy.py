"""What gives symbols their meaning: `entropy.bin` (made by `ugicm_train.integer`) and the hash of the mean network."""

from __future__ import annotations

import hashlib
import struct

import numpy as np

from ugicm_train.integer import entropy_file, entropy_spec
from ugicm_train.model.codec import Codec

__all__ = ["entropy_file", "entropy_spec", "mean_network_sha256"]


def mean_network_sha256(codec: Codec) -> str:
    """SHA-256 (hex) over name, shape and float32 bytes of every tensor of the mean network, in the order of names."""
    digest = hashlib.sha256()
    for name, value in sorted(codec.mean_network.state_dict().items()):
        array = value.detach().cpu().numpy().astype("<f4")
        digest.update(name.encode() + b"\0" + struct.pack(f"<{array.ndim + 1}I", array.ndim, *array.shape))
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
