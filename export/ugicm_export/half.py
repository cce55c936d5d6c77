"""Weights stored in half the bytes: values rounded to float16 once, computed with in float32 as before."""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

Network = TypeVar("Network", bound=nn.Module)
SMALLEST = 256
"""Tensors with fewer values stay as they are: a cast would cost more than it saves."""


@torch.no_grad()
def rounded_to_half(codec: Network) -> Network:
    """A copy whose parameters are the nearest float16 values, kept as float32."""
    copied = copy.deepcopy(codec)
    for parameter in copied.parameters():
        parameter.copy_(parameter.half().float())
    return copied


def store_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store every large float32 weight that float16 holds exactly as float16 followed by a Cast, which engines fold at load."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALLEST:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + "_float16"))
        casts.append(helper.make_node("Cast", [name + "_float16"], [name], to=TensorProto.FLOAT))
    for position, node in enumerate(casts):
        graph.node.insert(position, node)
    return model
