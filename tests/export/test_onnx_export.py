"""The graphs: inputs, outputs, dynamic sizes, batches, and weights stored in half the bytes without loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from ugicm_export.half import store_as_half


def session(bundle: Path, name: str) -> ort.InferenceSession:
    return ort.InferenceSession((bundle / name).read_bytes(), providers=["CPUExecutionProvider"])


def test_inputs_and_outputs_are_the_contract(bundle: Path) -> None:
    encoder, decoder = session(bundle, "encoder.onnx"), session(bundle, "decoder.onnx")
    assert [(i.name, i.type) for i in encoder.get_inputs()] == [("image", "tensor(uint8)"), ("quality", "tensor(float)")]
    assert [(o.name, o.type) for o in encoder.get_outputs()] == [("z", "tensor(int32)"), ("r", "tensor(int32)")]
    assert [(i.name, i.type) for i in decoder.get_inputs()] == [
        ("z", "tensor(int32)"),
        ("r", "tensor(int32)"),
        ("quality", "tensor(float)"),
        ("preference", "tensor(float)"),
    ]
    assert [(o.name, o.type) for o in decoder.get_outputs()] == [("image", "tensor(uint8)")]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 320), (192, 64)])
def test_any_multiple_of_64_and_a_batch_of_different_requests(bundle: Path, height: int, width: int) -> None:
    encoder, decoder = session(bundle, "encoder.onnx"), session(bundle, "decoder.onnx")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    quality, preference = np.array([10, 50.5], np.float32), np.array([0.0, 1.0], np.float32)
    z, r = encoder.run(None, {"image": image, "quality": quality})
    assert z.shape == (2, 8, height // 64, width // 64)
    assert r.shape == (2, 16, height // 16, width // 16)
    (both,) = decoder.run(None, {"z": z, "r": r, "quality": quality, "preference": preference})
    assert both.shape == image.shape
    for k in range(2):
        one = {"z": z[[k]], "r": r[[k]], "quality": quality[[k]], "preference": preference[[k]]}
        (alone,) = decoder.run(None, one)
        assert np.abs(alone[0].astype(int) - both[k]).max() <= 1


@pytest.mark.parametrize("optimisation", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_several_views_of_one_picture(bundle: Path, optimisation: str) -> None:
    """A plain broadcast makes ONNX Runtime 1.31 reuse a buffer of one view for several, and fail."""
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, optimisation)
    decoder = ort.InferenceSession((bundle / "decoder.onnx").read_bytes(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(2)
    for columns, preferences in ((2, [0.0, 1.0]), (1, [0.5]), (3, [1.0, 0.0, 0.25, 0.75]), (2, [0.0, 1.0])):
        symbols = {
            "z": rng.integers(-9, 10, (1, 8, 1, columns), dtype=np.int32),
            "r": rng.integers(-3, 4, (1, 16, 4, 4 * columns), dtype=np.int32),
            "quality": np.array([33.625], np.float32),
        }
        (views,) = decoder.run(None, symbols | {"preference": np.array(preferences, np.float32)})
        assert views.shape == (len(preferences), 64, 64 * columns, 3)
        for view, preference in zip(views, preferences):
            (alone,) = decoder.run(None, symbols | {"preference": np.array([preference], np.float32)})
            assert np.abs(alone[0].astype(int) - view).max() <= 1


def test_graphs_hold_no_control_flow(bundle: Path) -> None:
    for name in ("encoder.onnx", "decoder.onnx"):
        kinds = {node.op_type for node in onnx.load(bundle / name).graph.node}
        assert not kinds & {"If", "Loop", "Scan"}


def test_half_storage_is_lossless_or_not_done() -> None:
    exact = np.linspace(-1, 1, 512).astype(np.float16).astype(np.float32)
    inexact = exact + np.float32(1e-7)
    graph = helper.make_graph(
        [helper.make_node("Add", ["exact", "inexact"], ["sum"])],
        "graph",
        [],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [512])],
        [numpy_helper.from_array(exact, "exact"), numpy_helper.from_array(inexact, "inexact")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    stored = store_as_half(model)
    kinds = {t.name: t.data_type for t in stored.graph.initializer}
    assert kinds == {"exact_float16": TensorProto.FLOAT16, "inexact": TensorProto.FLOAT}
    run = ort.InferenceSession(stored.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.array_equal(run.run(None, {})[0], exact + inexact)
