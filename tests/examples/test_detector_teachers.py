"""`examples/detector_teachers.py`: graphs of TensorFlow.js become torch, node by node."""

import base64
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from ugicm_train.teachers import open_teacher  # noqa: E402

SCRIPT = Path(__file__).parents[2] / "examples" / "detector_teachers.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("detector_teachers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def coded(word):
    return base64.b64encode(word.encode()).decode()


def node(name, kind, *inputs, strides=None, padding=None, fused=(), **attributes):
    if strides:
        attributes["strides"] = {"list": {"i": ["1", str(strides), str(strides), "1"]}}
    if padding:
        attributes["padding"] = {"s": coded(padding)}
    if fused:
        attributes["fused_ops"] = {"list": {"s": [coded(word) for word in fused]}}
    return {"name": name, "op": kind, "input": list(inputs), "attr": attributes}


@pytest.fixture
def graph(tmp_path, script):
    """A graph with nearly every kind of operation that the detectors have, resizing both ways among them, and its constants."""
    rng = np.random.default_rng(0)
    constants = {
        "full": rng.standard_normal((3, 3, 3, 4)).astype(np.float16),
        "bias": rng.standard_normal(4).astype(np.float16),
        "deep": rng.standard_normal((5, 5, 4, 1)).astype(np.float16),
        "half": np.array(0.5, np.float16),
        "three": np.array(3.0, np.float16),
        "rows": np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32),
        "axis": np.array(3, np.int32),
        "spatial": np.array([1, 2], np.int32),
        "first": np.array([0, 3, 1, 2], np.int32),
        "last": np.array([0, 2, 3, 1], np.int32),
    }
    pool = {"ksize": {"list": {"i": ["1", "3", "3", "1"]}}}
    nodes = [
        node("picture", "Placeholder"),
        node("a", "_FusedConv2D", "picture", "full", "bias", strides=2, padding="SAME", fused=("BiasAdd", "Relu")),
        node("b", "FusedDepthwiseConv2dNative", "a", "deep", "bias", strides=2, padding="SAME", fused=("BiasAdd",)),
        node("b+3", "Add", "b", "three"),
        node("gate", "Relu6", "b+3"),
        node("swish", "Mul", "b", "gate"),
        node("mean", "Mean", "swish", "spatial", keep_dims={"b": True}),
        node("sigmoid", "Sigmoid", "mean"),
        node("excited", "Mul", "swish", "sigmoid"),
        node("up", "ResizeBilinear", "excited"),
        node("both", "ConcatV2", "a", "up", "axis"),
        node("padded", "PadV2", "both", "rows", "half"),
        node("pooled", "MaxPool", "padded", strides=2, padding="VALID", **pool),
        node("planes", "Transpose", "pooled", "first"),
        node("leaky", "LeakyRelu", "planes", alpha={"f": 0.1}),
        node("back", "Transpose", "leaky", "last"),
        node("smooth", "ResizeBilinear", "back", half_pixel_centers={"b": True}),
        node(script.SHRINKING[0], "ResizeBilinear", "a", half_pixel_centers={"b": True}),
    ]
    nodes += [node(name, "Const") for name in constants]
    entries = [
        {"name": name, "shape": list(value.shape)}
        | ({"dtype": "float32", "quantization": {"dtype": "float16"}} if value.dtype == np.float16 else {"dtype": "int32"})
        for name, value in constants.items()
    ]
    model = {"modelTopology": {"node": nodes}, "weightsManifest": [{"paths": ["g.bin"], "weights": entries}]}
    (tmp_path / "g.json").write_text(json.dumps(model))
    (tmp_path / "g.bin").write_bytes(b"".join(value.tobytes() for value in constants.values()))
    return tmp_path / "g.json", {name: torch.from_numpy(value.astype(np.float32)) for name, value in constants.items()}


def by_hand(x, c):
    """What the graph computes, written in torch from the definitions of TensorFlow."""
    picture = (x.flip(1) * 255 - 5) / 50
    a = F.conv2d(F.pad(picture, (0, 1, 0, 1)), c["full"].permute(3, 2, 0, 1), c["bias"], 2).relu()
    b = F.conv2d(F.pad(a, (1, 2, 1, 2)), c["deep"].permute(2, 3, 0, 1), c["bias"], 2, groups=4)
    swish = b * (b + 3).clamp(0, 6)
    excited = swish * swish.mean((2, 3), keepdim=True).sigmoid()
    up = torch.empty(*excited.shape[:2], 2 * excited.shape[2], 2 * excited.shape[3])
    for i in range(up.shape[2]):
        for j in range(up.shape[3]):
            rows, columns = (
                (min(k // 2, n - 1), min((k + 1) // 2, n - 1)) for k, n in ((i, excited.shape[2]), (j, excited.shape[3]))
            )
            up[:, :, i, j] = sum(excited[:, :, r, s] for r in rows for s in columns) / 4
    pooled = F.max_pool2d(F.pad(torch.cat([a, up], 1), (1, 1, 1, 1), value=0.5), 3, 2)
    smaller = F.interpolate(a, scale_factor=0.5, mode="bilinear")
    return a, excited, F.interpolate(F.leaky_relu(pooled, 0.1), scale_factor=2.0, mode="bilinear"), smaller


def test_a_graph_is_what_its_nodes_say(script, graph, tmp_path):
    path, constants = graph
    wanted = script.Detector(("a", "excited", "smooth", script.SHRINKING[0]), True, bgr=True, mean=(5.0,) * 3, std=(50.0,) * 3)
    network = script.GraphNetwork(path, wanted)
    script.save(network, tmp_path / "g.pt2")
    teacher = open_teacher(f"export:{tmp_path / 'g.pt2'}")
    for size in ((1, 3, 64, 96), (3, 3, 128, 64)):
        x = torch.rand(size)
        expected = by_hand(x, constants)
        for found, exported, by_definition in zip(network(x), teacher.look(x).maps, expected, strict=True):
            torch.testing.assert_close(found, by_definition, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(exported, by_definition, rtol=1e-4, atol=1e-4)


def test_an_unknown_operation_is_named(script, graph):
    path, _ = graph
    path.write_text(path.read_text().replace('"LeakyRelu"', '"Softsign"'))
    with pytest.raises(NotImplementedError, match="node leaky is a Softsign"):
        script.GraphNetwork(path, script.Detector(("back",), True))(torch.rand(1, 3, 64, 64))


def test_a_folder_without_graphs_is_one_sentence(tmp_path):
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "centernet.json does not exist; give the folder package/models" in done.stderr
