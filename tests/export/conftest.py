"""A tiny untrained checkpoint and its bundle, made once per test session."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from ugicm_export.exporter import Request, export_bundle

from ugicm_train.checkpoint import save_weights
from ugicm_train.config import NetworkConfig
from ugicm_train.model.codec import Codec

TINY = NetworkConfig(
    channels8=16, channels16=16, latent=16, hyper=8, analysis8=1, analysis16=1, synthesis16=1, synthesis8=1, context=16,
    context_blocks=1, scale_hidden=16, scale_fine=8, condition=8, quality_knots=3,
)  # fmt: skip


def make_codec(seed: int = 0) -> Codec:
    """A codec with random weights whose scale network and gains are far from trivial."""
    torch.manual_seed(seed)
    codec = Codec(TINY)
    with torch.no_grad():
        codec.analysis.log_gain.rows.copy_(torch.linspace(1, 4, 3)[:, None].expand(-1, TINY.latent))
        codec.scale_network.quality.rows.copy_(torch.linspace(0, 4, 3)[:, None].expand(-1, TINY.latent))
    return codec.eval()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    save_weights(folder, TINY, make_codec().state_dict(), [{"stage": "none"}])
    return folder


@pytest.fixture(scope="session")
def bundle(checkpoint: Path) -> Path:
    out = checkpoint.parent / "bundle"
    export_bundle(checkpoint, out, progress=lambda text: None)
    return out


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 16 small smooth pictures."""
    folder = tmp_path_factory.mktemp("photos")
    y, x = np.mgrid[0:128, 0:192] / 64
    for number in range(16):
        planes = [np.sin(x * (channel + 1) + y * (number % 5 + 1) + number) for channel in range(3)]
        Image.fromarray((np.stack(planes, axis=2) * 100 + 128).astype(np.uint8)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def full_bundle(checkpoint: Path, photos: Path) -> Path:
    """The tiny bundle with every variant and two folded decoders."""
    out = checkpoint.parent / "full"
    request = Request(("onnx", "onnx-fp16", "onnx-int8"), {"human": 0.0, "p0.25": 0.25}, photos)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_bundle(checkpoint, out, request=request, progress=lambda text: None)
    return out
