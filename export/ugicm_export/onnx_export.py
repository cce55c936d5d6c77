"""Write the engines as ONNX graphs with dynamic batch, height and width: traced, simplified, labelled and checked."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping

import onnx
import torch
from torch import Tensor, nn

from ugicm_export.half import store_as_half
from ugicm_export.views import (
    DecoderView,
    EncoderView,
    FoldedDecoderView,
    RefinerView,
    frozen,
    frozen_guide,
    frozen_structure,
)
from ugicm_train.config import NetworkConfig
from ugicm_train.model.codec import Codec
from ugicm_train.model.guide import Guide
from ugicm_train.model.structure import Structure

OPSET = 17
OPSETS = range(17, 21)
"""Opsets the tracer writes and the tests run."""
EXAMPLE_SIDE = 128
"""Side of the picture the graphs are traced with; any multiple of 64 gives the same graph."""

_AXES = {
    "image": {0: "batch", 1: "height", 2: "width"},
    "z": {0: "batch", 2: "height_64", 3: "width_64"},
    "r": {0: "batch", 2: "height_16", 3: "width_16"},
    "index": {0: "batch", 2: "height_16", 3: "width_16"},
    "offset": {0: "batch", 2: "height_16", 3: "width_16"},
    "moved": {0: "batch", 2: "height_16", 3: "width_16"},
    "share": {},
    "size": {},
    "guidance": {},
    "quality": {0: "batch"},
    "preference": {0: "views"},
}
"""Sizes that are free. `batch` is `views`, or 1. What meets a preference has the batch `views` before, by an Expand in the network:
where the graph broadcasts `batch` against `views`, ONNX Runtime 1.31 takes a buffer of one view for several (docs/runtime.md)."""


def encoder_onnx(codec: Codec, opset: int = OPSET) -> bytes:
    """The encoder engine: (image, quality) -> (z, r)."""
    return finished(encoder_graph(frozen(codec), opset))


def decoder_onnx(codec: Codec, opset: int = OPSET) -> bytes:
    """The decoder engine: (z, r, quality, preference) -> image."""
    return finished(decoder_graph(frozen(codec), opset))


def folded_decoder_onnx(codec: Codec, preference: float, opset: int = OPSET) -> bytes:
    """The decoder engine at one preference: (z, r, quality) -> image."""
    return finished(folded_decoder_graph(frozen(codec), preference, opset))


def refiner_onnx(
    codec: Codec, weights: Tensor, structure: Structure | None = None, guide: Guide | None = None, opset: int = OPSET
) -> bytes:
    """One step of `encode --effort`: (image, z, index, quality, offset, share, size[, guidance]) -> (moved, r); see `RefinerView`."""
    symbols = _symbols(codec.config)
    latent = symbols["r"]
    inputs = {
        "image": torch.zeros(1, EXAMPLE_SIDE, EXAMPLE_SIDE, 3, dtype=torch.uint8),
        "z": symbols["z"],
        "index": latent,
        "quality": symbols["quality"],
        "offset": latent.float(),
        "share": torch.zeros(1),
        "size": torch.ones(1),
    }
    if guide is not None:
        inputs["guidance"] = torch.ones(1)
        guide = frozen_guide(guide)
    if structure is not None:
        structure = frozen_structure(structure)
    return finished(_traced(RefinerView(frozen(codec), weights, structure, guide), inputs, ["moved", "r"], opset))


def encoder_graph(codec: Codec, opset: int) -> onnx.ModelProto:
    """The simplified graph of a `frozen` codec's encoder, its weights still in float32."""
    image = torch.zeros(1, EXAMPLE_SIDE, EXAMPLE_SIDE, 3, dtype=torch.uint8)
    return _traced(EncoderView(codec), {"image": image, "quality": torch.zeros(1)}, ["z", "r"], opset)


def decoder_graph(codec: Codec, opset: int) -> onnx.ModelProto:
    """The simplified graph of a `frozen` codec's decoder, its weights still in float32."""
    inputs = _symbols(codec.config) | {"preference": torch.zeros(1)}
    return _traced(DecoderView(codec), inputs, ["image"], opset)


def folded_decoder_graph(codec: Codec, preference: float, opset: int) -> onnx.ModelProto:
    """As `decoder_graph` at one preference; changes `codec`."""
    return _traced(FoldedDecoderView(codec, preference), _symbols(codec.config), ["image"], opset)


def finished(model: onnx.ModelProto) -> bytes:
    """The bytes of a graph after storing weights in half the space where that loses nothing, and checking everything.

    Raises `onnx.checker.ValidationError` or `onnx.shape_inference.InferenceError`.
    """
    model = store_as_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    return model.SerializeToString()


def with_metadata(data: bytes, values: Mapping[str, str]) -> bytes:
    """The same engine with `values` among its metadata, where ONNX Runtime and Netron show them."""
    model = onnx.load_from_string(data)
    for key, value in values.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def _symbols(config: NetworkConfig) -> dict[str, Tensor]:
    small, large = EXAMPLE_SIDE // 64, EXAMPLE_SIDE // 16
    return {
        "z": torch.zeros(1, config.hyper, small, small, dtype=torch.int32),
        "r": torch.zeros(1, config.latent, large, large, dtype=torch.int32),
        "quality": torch.zeros(1),
    }


def _traced(view: nn.Module, inputs: dict[str, Tensor], outputs: list[str], opset: int) -> onnx.ModelProto:
    """Trace and simplify; `onnxslim` folds constants, and drops what the tracer left over."""
    import onnxslim

    axes = {name: _AXES[name] for name in [*inputs, *outputs]}
    if "preference" in inputs:
        axes["image"] = axes["image"] | {0: "views"}
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
        model = onnxslim.slim(onnx.load_from_string(buffer.getvalue()))
    assert isinstance(model, onnx.ModelProto)
    del model.graph.value_info[:]
    for value in model.graph.output:
        if value.name == "image":  # the tracer loses what the last reshape says
            value.type.tensor_type.shape.dim[3].dim_value = 3
    return model
