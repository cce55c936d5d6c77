"""Write the engines as ONNX graphs with dynamic batch, height and width."""

from __future__ import annotations

import io
import logging
import warnings

import onnx
import torch
from torch import Tensor, nn

from ugicm_export.half import store_as_half
from ugicm_export.views import DecoderView, EncoderView
from ugicm_train.model.codec import Codec

OPSET = 17
EXAMPLE_SIDE = 128
"""Side of the picture the graphs are traced with; any multiple of 64 gives the same graph."""


def encoder_onnx(codec: Codec, opset: int = OPSET) -> bytes:
    """The encoder engine: (image, quality) -> (z, r)."""
    image = torch.zeros(1, EXAMPLE_SIDE, EXAMPLE_SIDE, 3, dtype=torch.uint8)
    spatial = {
        "image": {0: "batch", 1: "height", 2: "width"},
        "quality": {0: "batch"},
        "z": {0: "batch", 2: "height_64", 3: "width_64"},
        "r": {0: "batch", 2: "height_16", 3: "width_16"},
    }
    inputs = {"image": image, "quality": torch.zeros(1, dtype=torch.int64)}
    return _export(EncoderView(codec), inputs, ["z", "r"], spatial, opset)


def decoder_onnx(codec: Codec, opset: int = OPSET) -> bytes:
    """The decoder engine: (z, r, quality, preference) -> image."""
    config = codec.config
    spatial = {
        "z": {0: "batch", 2: "height_64", 3: "width_64"},
        "r": {0: "batch", 2: "height_16", 3: "width_16"},
        "quality": {0: "batch"},
        "preference": {0: "batch"},
        "image": {0: "batch", 1: "height", 2: "width"},
    }
    inputs = {
        "z": torch.zeros(1, config.hyper, EXAMPLE_SIDE // 64, EXAMPLE_SIDE // 64, dtype=torch.int32),
        "r": torch.zeros(1, config.latent, EXAMPLE_SIDE // 16, EXAMPLE_SIDE // 16, dtype=torch.int32),
        "quality": torch.zeros(1, dtype=torch.int64),
        "preference": torch.zeros(1),
    }
    return _export(DecoderView(codec), inputs, ["image"], spatial, opset)


def _export(
    view: nn.Module, inputs: dict[str, Tensor], outputs: list[str], axes: dict[str, dict[int, str]], opset: int
) -> bytes:
    """Trace, check and return the serialised graph."""
    buffer = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            view.eval(),
            tuple(inputs.values()),
            buffer,  # type: ignore[arg-type]
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=opset,
            do_constant_folding=True,
            dynamo=False,
        )
    model = store_as_half(onnx.load_from_string(buffer.getvalue()))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()
