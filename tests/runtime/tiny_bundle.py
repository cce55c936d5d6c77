"""A bundle small enough to build in a test: engines of a few ONNX nodes and a random entropy model.

encoder: z and r are 64x64 and 16x16 averages of the picture, mixed to Z and M channels; the rate level scales r.
decoder: turns r back into flat 16x16 blocks; the preference makes the picture brighter by 20, so that views differ.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tiny_entropy import HYPER_CHANNELS, LATENT_CHANNELS, random_entropy
from ugicm.bitstream import MAX_STEP
from ugicm.bundle import describe_file, fingerprint, write_bundle
from ugicm.manifest import DECODER, ENCODER, ENTROPY, Manifest

MEAN_NETWORK_SHA256 = "ab" * 32
_OPSET = 17


def make(folder: Path, seed: int = 1, name: str = "tiny") -> Path:
    """Write a tiny bundle folder and return its path; another seed gives another fingerprint."""
    entropy = random_entropy(seed)
    files = {ENCODER: _encoder(), DECODER: _decoder(), ENTROPY: entropy}
    manifest = Manifest(
        name=name,
        preset="tiny",
        fingerprint=fingerprint(entropy, MEAN_NETWORK_SHA256),
        mean_network_sha256=MEAN_NETWORK_SHA256,
        hyper_channels=HYPER_CHANNELS,
        latent_channels=LATENT_CHANNELS,
        files={file: describe_file(data) for file, data in files.items()},
        opset=_OPSET,
        license="CC0-1.0",
        created="2026-01-01",
    )
    write_bundle(folder, manifest, files)
    return folder


def _mix(out_channels: int) -> np.ndarray:
    """A fixed (out, 3) matrix whose first three rows are the identity."""
    rows = np.random.default_rng(out_channels).uniform(-1, 1, (out_channels, 3))
    rows[:3] = np.eye(3)
    return rows.astype(np.float32)


def _gains() -> np.ndarray:
    return np.linspace(0.1, 1, MAX_STEP + 1, dtype=np.float32).reshape(-1, 1, 1, 1)


def _pooled(name: str, source: str, size: int, channels: int, limit: int) -> tuple[list, dict]:
    """Nodes and constants that average `source` over blocks, mix to `channels`, round and clip, giving `name`."""
    return [
        helper.make_node("AveragePool", [source], [f"{name}_pool"], kernel_shape=[size, size], strides=[size, size]),
        helper.make_node("Conv", [f"{name}_pool", f"{name}_mix"], [f"{name}_mixed"]),
        helper.make_node("Round", [f"{name}_mixed"], [f"{name}_round"]),
        helper.make_node("Clip", [f"{name}_round", f"{name}_low", f"{name}_high"], [f"{name}_clip"]),
        helper.make_node("Cast", [f"{name}_clip"], [name], to=TensorProto.INT32),
    ], {
        f"{name}_mix": _mix(channels)[:, :, None, None],
        f"{name}_low": np.float32(-limit),
        f"{name}_high": np.float32(limit),
    }


def _encoder() -> bytes:
    z_nodes, z_constants = _pooled("z", "small", 64, HYPER_CHANNELS, 127)
    r_nodes, r_constants = _pooled("r", "scaled", 16, LATENT_CHANNELS, 32767)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "grey"], ["centred"]),
        helper.make_node("Mul", ["quality", "eight"], ["eighths"]),
        helper.make_node("Cast", ["eighths"], ["step"], to=TensorProto.INT64),
        helper.make_node("Gather", ["gains", "step"], ["gain"], axis=0),
        helper.make_node("Mul", ["centred", "gain"], ["scaled"]),
        helper.make_node("Mul", ["centred", "tenth"], ["small"]),
        *z_nodes,
        *r_nodes,
    ]
    constants = {
        "grey": np.float32(128),
        "tenth": np.float32(0.02),
        "eight": np.float32(8),
        "gains": _gains(),
        **z_constants,
        **r_constants,
    }
    inputs = [_port("image", TensorProto.UINT8, ["n", "h", "w", 3]), _port("quality", TensorProto.FLOAT, ["n"])]
    outputs = [_port(name, TensorProto.INT32, ["n", None, None, None]) for name in ("z", "r")]
    return _model("encoder", nodes, inputs, outputs, constants)


def _decoder() -> bytes:
    nodes = [
        helper.make_node("Cast", ["r"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["float", "pick"], ["planes"]),
        helper.make_node("Mul", ["quality", "eight"], ["eighths"]),
        helper.make_node("Cast", ["eighths"], ["step"], to=TensorProto.INT64),
        helper.make_node("Gather", ["gains", "step"], ["gain"], axis=0),
        helper.make_node("Div", ["planes", "gain"], ["scaled"]),
        helper.make_node("Resize", ["scaled", "", "zoom"], ["large"], mode="nearest"),
        helper.make_node("Reshape", ["preference", "column"], ["p"]),
        helper.make_node("Mul", ["p", "twenty"], ["brighter"]),
        helper.make_node("Add", ["large", "grey"], ["centred"]),
        helper.make_node("Add", ["centred", "brighter"], ["shifted"]),
        helper.make_node("Clip", ["shifted", "low", "high"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("Transpose", ["bytes"], ["image"], perm=[0, 2, 3, 1]),
    ]
    constants = {
        "pick": np.eye(3, LATENT_CHANNELS, dtype=np.float32)[:, :, None, None],
        "eight": np.float32(8),
        "gains": _gains(),
        "zoom": np.array([1, 1, 16, 16], np.float32),
        "column": np.array([-1, 1, 1, 1], np.int64),
        "twenty": np.float32(20),
        "grey": np.float32(128),
        "low": np.float32(0),
        "high": np.float32(255),
    }
    inputs = [_port(name, TensorProto.INT32, ["n", None, None, None]) for name in ("z", "r")]
    inputs += [_port("quality", TensorProto.FLOAT, ["n"]), _port("preference", TensorProto.FLOAT, ["v"])]
    return _model("decoder", nodes, inputs, [_port("image", TensorProto.UINT8, ["v", None, None, 3])], constants)


def _port(name: str, kind: int, shape: list) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(name: str, nodes: list, inputs: list, outputs: list, constants: dict) -> bytes:
    stored = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
