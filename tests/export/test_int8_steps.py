"""The steps that make int8 engines good: rectified branches, rounded weights, pixels read as they are, ranges by three methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from ugicm_export import rectify as rectify_module
from ugicm_export import trades
from ugicm_export.channels_last import Product
from ugicm_export.pixels import read_pixels
from ugicm_export.ranges import measured_ranges
from ugicm_export.rectify import RectifiedBlock, rectify
from ugicm_export.rounding import LARGEST, rounded_weights
from ugicm_export.targets import METHODS

from ugicm_train.model.layers import ResidualBlock


@torch.no_grad()
def block_and_pictures() -> tuple[ResidualBlock, list[torch.Tensor]]:
    torch.manual_seed(0)
    block = ResidualBlock(24).eval().requires_grad_(False)
    return block, [torch.randn(1, 24, 8, 8) for _ in range(8)]


def test_a_rectified_block_computes_what_the_block_computes() -> None:
    block, pictures = block_and_pictures()
    wanted = [block(x) for x in pictures]
    rectify([block], lambda: [block(x) for x in pictures])  # type: ignore[arg-type, return-value]
    assert isinstance(block, RectifiedBlock)
    assert block.expand.weight.shape == (48 + 24, 24)
    for x, y in zip(pictures, wanted):
        assert torch.allclose(block(x), y, atol=1e-5)


def test_fewer_linear_channels_leave_the_least_out(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = []
    for rank in (4, 12, 20):
        block, pictures = block_and_pictures()
        wanted = [block(x) for x in pictures]
        monkeypatch.setattr(rectify_module, "RANK", rank)
        rectify([block], lambda: [block(x) for x in pictures])  # type: ignore[arg-type, return-value]  # noqa: B023
        errors.append(sum(float((block(x) - y).square().mean()) for x, y in zip(pictures, wanted)))
    assert errors[0] > errors[1] > errors[2] > 0


def test_rounded_weights_lie_on_the_grid_and_beat_rounding_to_nearest() -> None:
    torch.manual_seed(0)
    layer = Product(torch.randn(10, 32))
    mixing = torch.randn(32, 32) * torch.linspace(0.01, 1, 32)
    rows = torch.randn(1, 40, 50, 32) @ mixing.T
    found = torch.from_numpy(rounded_weights({"w": layer}, lambda: layer(rows))["w"])
    scale = layer.matrix.abs().amax(0) / LARGEST
    steps = found / scale
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert steps.abs().max() <= LARGEST + 1e-3
    nearest = (layer.matrix / scale).round() * scale
    error, plain = ((rows @ (matrix - layer.matrix)).square().mean() for matrix in (found, nearest))
    assert error < 0.5 * plain


def pixel_graph(divisor: float, scale: float) -> onnx.ModelProto:
    values = [np.float32(divisor), np.float32(scale), np.uint8(0)]
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "v0"], ["unit"]),
        helper.make_node("QuantizeLinear", ["unit", "v1", "v2"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "v1", "v2"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [256])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [256])],
        [numpy_helper.from_array(np.asarray(value), f"v{index}") for index, value in enumerate(values)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("divisor", "scale", "dropped"), [(255, 1 / 255, 1), (255, 1 / 254, 0), (256, 1 / 255, 0)])
def test_pixels_are_read_as_they_are_where_that_is_the_same(divisor: float, scale: float, dropped: int) -> None:
    model = pixel_graph(divisor, scale)
    pixels = {"image": np.arange(256, dtype=np.uint8)}
    (wanted,) = ort.InferenceSession(model.SerializeToString()).run(None, pixels)
    assert read_pixels(model) == dropped
    assert len(model.graph.node) == (1 if dropped else 4)
    onnx.checker.check_model(model, full_check=True)
    (found,) = ort.InferenceSession(model.SerializeToString()).run(None, pixels)
    assert np.array_equal(found, wanted)


def ranges(method: str, values: list[np.ndarray]) -> tuple[float, float]:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["y"], ["z"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found = measured_ranges(model, {"x"}, [{"x": value} for value in values], method)
    assert set(found.keys()) == {"x"}
    low, high = found["x"].range_value
    return float(np.min(low)), float(np.max(high))


def test_methods_take_ranges_over_all_calls_and_clip_as_they_say() -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(size=200_000).astype(np.float32), rng.normal(size=200_000).astype(np.float32)]
    values[1][0] = 40
    found = {method: ranges(method, values) for method in METHODS}
    assert found["minmax"][1] == 40
    assert found["minmax"][0] == min(float(one.min()) for one in values)
    assert 3.5 < found["percentile"][1] < 40
    assert 1 < found["entropy"][1] < 40
    with pytest.raises(ValueError, match="calibration method is 'mean', expected minmax"):
        ranges("mean", values)


def test_the_trades_are_printed(checkpoint: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(checkpoint), "--calibration", str(photos), "--pictures", str(photos), "--count", "1", "--methods", "minmax"]
    assert trades.main(words) == 0
    text = capsys.readouterr().out
    for word in ("| mean_network |", "| blocks and stem |", "| and down |", "| all of these |", "| minmax |"):
        assert word in text
    assert trades.main([*words[:2], "/nowhere", *words[3:]]) == 1
    assert capsys.readouterr().err.endswith("/nowhere is not a folder; give a folder of pictures\n")
    assert trades.main([*words, "--count", "0"]) == 1
    assert "--count is 0, expected at least 1" in capsys.readouterr().err
