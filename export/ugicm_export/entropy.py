"""From a codec to `entropy.bin`: the integers of the scale network, the indexes of the hyper latent, the tables."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import torch
from ugicm_coder import EntropyModelSpec, IntegerLayer, pack

from ugicm_train.config import QUALITY_LEVELS
from ugicm_train.model.codec import Codec


@torch.no_grad()
def entropy_spec(codec: Codec) -> EntropyModelSpec:
    """Everything `entropy.bin` holds, read from a codec."""
    layers, quality_bias = codec.scale_network.export()
    converted = [
        IntegerLayer(
            layer.weight.reshape(-1, 3, 3).numpy() if layer.depthwise else layer.weight.numpy(),
            layer.bias.numpy(),
            layer.shift.numpy(),
        )
        for layer in layers
    ]
    z_index = codec.hyper_scale_index(torch.arange(QUALITY_LEVELS))
    return EntropyModelSpec(
        z_index=z_index.round().to(torch.uint8).numpy(),
        layers=tuple(converted),  # type: ignore[arg-type]
        quality_bias=quality_bias.numpy(),
    )


def entropy_file(codec: Codec) -> bytes:
    """The bytes of `entropy.bin`; `ugicm_coder.ModelError` if a sum of the scale network could overflow."""
    return pack(entropy_spec(codec))


def mean_network_sha256(codec: Codec) -> str:
    """SHA-256 (hex) over name, shape and float32 bytes of every tensor of the mean network, in the order of names."""
    digest = hashlib.sha256()
    for name, value in sorted(codec.mean_network.state_dict().items()):
        array = value.detach().cpu().numpy().astype("<f4")
        digest.update(name.encode() + b"\0" + struct.pack(f"<{array.ndim + 1}I", array.ndim, *array.shape))
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
