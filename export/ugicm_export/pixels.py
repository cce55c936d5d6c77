"""Let a quantised layer read the 8-bit pixels of the picture as they are."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

PIXEL_SCALE = 1 / 255


def read_pixels(model: onnx.ModelProto) -> int:
    """Drop QuantizeLinear after Cast and Div by 255 where its scale is 1/255; returns how many were dropped.

    What it computes is the byte that went into the Cast.
    """
    made = {name: node for node in model.graph.node for name in node.output}
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    dropped = {}
    for node in model.graph.node:
        division = made.get(node.input[0]) if node.op_type == "QuantizeLinear" else None
        cast = made.get(division.input[0]) if division is not None and division.op_type == "Div" else None
        if division is None or cast is None or cast.op_type != "Cast" or division.input[1] not in values:
            continue
        divisor, scale, zero = (numpy_helper.to_array(values[name]) for name in (division.input[1], *node.input[1:3]))
        if divisor.size == 1 and divisor == 255 and np.isclose(scale, PIXEL_SCALE, rtol=1e-6, atol=0) and zero == 0:
            dropped[node.output[0]] = cast.input[0]
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = dropped.get(name, name)
    _drop_unread(model, set(dropped))
    return len(dropped)


def _drop_unread(model: onnx.ModelProto, names: set[str]) -> None:
    """Remove the nodes that write `names`, and those that nothing reads after that."""
    while names:
        gone = [node for node in model.graph.node if set(node.output) <= names]
        inputs = {name for node in gone for name in node.input}
        for node in gone:
            model.graph.node.remove(node)
        read = {name for node in model.graph.node for name in node.input} | {port.name for port in model.graph.output}
        names = inputs - read - {tensor.name for tensor in model.graph.initializer} - {port.name for port in model.graph.input}
