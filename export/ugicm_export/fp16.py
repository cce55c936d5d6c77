"""fp16 engines: float32 at the door, half inside, and in float32 whatever decides a symbol or adds up over the latent.

The mean network stays in float32 as in every variant, and so does what lies between the last layer of the analysis and the
rounding, and between the symbols and the first layer of the synthesis: symbols reach tens of thousands, where fp16 has no
fractions left.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, numpy_helper

from ugicm_export.measure import Limits

LIMITS = Limits(psnr_loss=0.05, rate_change=0.002)
SAFE_OPS = ("Exp", "Sin", "Cos", "Floor")
KEPT = ("/mean_network/", "/analysis/leave/", "/hyper_analysis/", "/enter/")
"""Node names that begin so stay in float32."""


def half_precision(data: bytes) -> bytes:
    """The fp16 form of an fp32 engine (encoder, decoder or folded decoder), its inputs and outputs unchanged."""
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers import float16

    model = onnx.load_from_string(data)
    unfolded = _without_stored_halves(model)
    converted = float16.convert_float_to_float16(
        unfolded,
        keep_io_types=True,
        disable_shape_infer=False,
        op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, *SAFE_OPS],
        node_block_list=_kept_nodes(unfolded),
    )
    _without_round_trips(converted)
    ordered = ONNXModel(converted)
    ordered.topological_sort()
    del converted.graph.value_info[:]
    onnx.checker.check_model(converted, full_check=True)
    return converted.SerializeToString()


def _without_round_trips(model: onnx.ModelProto) -> None:
    """Between two nodes kept in float32 the converter casts to half and back, once per reader; join them directly."""
    to_half: dict[str, str] = {}
    back: dict[str, str] = {}
    seen: set[str] = set()
    nodes = []
    for node in model.graph.node:
        if seen & set(node.output):
            continue
        seen |= set(node.output)
        nodes.append(node)
        if node.op_type == "Cast":
            (to_half if node.attribute[0].i == TensorProto.FLOAT16 else back)[node.output[0]] = node.input[0]
    joined = {name: to_half[source] for name, source in back.items() if source in to_half}
    for node in nodes:
        for position, name in enumerate(node.input):
            node.input[position] = joined.get(name, name)
    for _ in range(2):  # the casts back, then the casts to half that only these read
        read = {name for node in nodes for name in node.input} | {value.name for value in model.graph.output}
        nodes = [node for node in nodes if node.op_type != "Cast" or node.output[0] in read]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _kept_nodes(model: onnx.ModelProto) -> list[str]:
    """Nodes by name, and those that only pass on what the symbols are made of: everything up to or from the integers."""
    kept = {node.name for node in model.graph.node if node.name.startswith(KEPT)}
    outputs = {name for node in model.graph.node if node.name in kept for name in node.output}
    integers = {value.name for value in model.graph.output if value.type.tensor_type.elem_type == TensorProto.INT32}
    symbols = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == TensorProto.INT32}
    before = _reaching(model, integers, stop=outputs)
    after = _reached(model, symbols | outputs, stop={"Conv", "MatMul"})
    return sorted(kept | before | after)


def _reaching(model: onnx.ModelProto, names: set[str], stop: set[str]) -> set[str]:
    """Nodes on the way to tensors `names`, back to tensors of `stop`."""
    wanted, found = set(names), set()
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            found.add(node.name)
            wanted |= {name for name in node.input if name not in stop}
    return found


def _reached(model: onnx.ModelProto, names: set[str], stop: set[str]) -> set[str]:
    """Nodes that read tensors `names`, on to the first of the kinds in `stop`, which are left out."""
    known, found = set(names), set()
    for node in model.graph.node:
        if known & set(node.input) and node.op_type not in stop:
            found.add(node.name)
            known |= set(node.output)
    return found


def _without_stored_halves(model: onnx.ModelProto) -> onnx.ModelProto:
    """Undo `half.store_as_half`, so that the converter sees every weight as float32."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    kept = []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            values = numpy_helper.to_array(stored[node.input[0]]).astype("float32")
            stored[node.input[0]].CopyFrom(numpy_helper.from_array(values, node.output[0]))
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model
