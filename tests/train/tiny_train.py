"""What the tests of training share: a network of a few channels, a config of a few steps, and a folder of drawn pictures."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ugicm_train.config import NetworkConfig, TrainConfig
from ugicm_train.model.codec import Codec

NETWORK = NetworkConfig(
    channels8=16,
    channels16=32,
    latent=16,
    hyper=8,
    analysis8=1,
    analysis16=1,
    synthesis16=1,
    synthesis8=1,
    context=16,
    context_blocks=1,
    scale_hidden=16,
    scale_fine=8,
    condition=8,
    quality_knots=3,
)

TRAIN = TrainConfig(
    steps=6,
    batch=4,
    crop=64,
    late_batch=2,
    late_crop=64,
    late_from=0.5,
    warmup=2,
    precision="fp32",
)

CLIP_CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 4, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
}
"""A CLIP of a few thousand weights, as open_clip's configuration files describe one."""


def tiny_codec(seed: int = 0) -> Codec:
    """A random codec; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return Codec(NETWORK)


def draw_pictures(folder: Path, count: int = 3, side: int = 96) -> Path:
    """Write `count` smooth colour pictures of `side` x `side` pixels as PNG files and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:side, 0:side] / side
    for number in range(count):
        planes = [np.sin(6 * (x * (channel + 1) + y * (number + 1)) + number) for channel in range(3)]
        pixels = (np.stack(planes, axis=2) * 100 + 128).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder
