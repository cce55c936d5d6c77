"""int8 engines: static quantisation with ranges measured on pictures, weights per channel, the streams left in float.

Quantised are the residual blocks of analysis and synthesis and the stem, where nearly all the time goes. The mean network stays in
float32, so that all variants compute the same means: an encoder and a decoder of different variants then differ by what their own
blocks lose and by nothing else. Blocks are left in float too where the loss on pictures that took no part in calibration asks for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch.nn import functional
from ugicm_coder import EntropyModel

from ugicm_export.channels_last import with_channels_last
from ugicm_export.equalise import analysis_streams, equalise, move_biases, synthesis_streams
from ugicm_export.measure import Engines, Limits, Loss, measure
from ugicm_export.onnx_export import decoder_graph, encoder_graph, finished
from ugicm_export.pictures import picture_files, read_crop, spread
from ugicm_export.pixels import PIXEL_SCALE, read_pixels
from ugicm_export.ranges import measured_ranges
from ugicm_export.rectify import rectify
from ugicm_export.rounding import rounded_weights
from ugicm_export.targets import METHOD
from ugicm_export.views import frozen, pixel_order
from ugicm_train.config import QUALITY_LEVELS
from ugicm_train.model.codec import PATCH, Codec

LIMITS = Limits(psnr_loss=0.3, rate_change=0.01)
AIM = 0.9
"""Parts are left in float until at most this share of the limits is used on the search pictures."""
AT_LEAST, CALIBRATION, SEARCH = 16, 60, 16
CROP = 256
SEARCH_LEVELS = (5, 60)
BRANCHES = {"mix_in": "filter", "depthwise": "filter", "mix_out": "filter"} | dict.fromkeys(
    ("expand", "rectify", "contract"), "expand"
)
"""A part is one branch of one residual block, or one of LAYERS."""
STEM = "stem"
"""Reads 8-bit pixels as they are."""
STREAM_READERS = ("down", "leave", "up", "head")
"""Left in float: eight bits of a stream cost them more than the time is worth, docs/export.md has the figures."""
LAYERS = (STEM, *STREAM_READERS)
HALVES = {"encoder": "analysis", "decoder": "synthesis"}
KINDS = ["Conv", "MatMul", "LeakyRelu", "Relu"]

Part = tuple[str, str]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Quantised:
    """The engines, the parts that are in eight bits, and the loss on the search pictures."""

    encoder: bytes
    decoder: bytes
    parts: list[str]
    loss: Loss


def quantise(
    codec: Codec, fp32: Engines, entropy: bytes, folder: Path, opset: int, progress: Progress, method: str = METHOD
) -> Quantised:
    """Make int8 engines of `codec`, whose fp32 engines are given, with ranges by one of `ranges.METHODS`.

    PictureError if `folder` holds too few pictures.
    """
    halves = prepare(codec, fp32, folder, opset, progress, method)
    search = [read_crop(path, CROP) for path in spread(picture_files(folder, AT_LEAST)[1::2], SEARCH)]
    model = EntropyModel(entropy)

    def attempt(parts: set[Part]) -> tuple[dict[str, bytes], Loss]:
        engines = {half: one.quantised({part for owner, part in parts if owner == half}) for half, one in halves.items()}
        other = Engines(engines["encoder"], engines["decoder"])
        return engines, measure(fp32, other, model, search, SEARCH_LEVELS)

    parts = {(half, part) for half, one in halves.items() for part in one.parts if part not in STREAM_READERS}
    engines, loss = attempt(parts)
    while LIMITS.share_used(loss) > AIM and any(part[0] in _to_blame(loss) for part in parts):
        progress(f"int8: {_said(loss)} with {len(parts)} parts in eight bits; looking for the one to leave in float")
        tried = {part: attempt(parts - {part}) for part in sorted(parts) if part[0] in _to_blame(loss)}
        dropped = min(tried, key=lambda part: LIMITS.share_used(tried[part][1]))
        engines, loss = tried[dropped]
        parts.remove(dropped)
    names = sorted(f"{half}.{part}" for half, part in parts)
    progress(f"int8: {_said(loss)} on {len(search)} pictures with {', '.join(names) or 'nothing'} in eight bits")
    return Quantised(engines["encoder"], engines["decoder"], names, loss)


def prepare(
    codec: Codec, fp32: Engines, folder: Path, opset: int, progress: Progress, method: str = METHOD
) -> dict[str, Half]:
    """Both engines with the ranges measured on every second picture of `folder`; PictureError if it holds too few."""
    files = picture_files(folder, AT_LEAST)
    calibration = [read_crop(path, CROP) for path in spread(files[::2], CALIBRATION)]
    progress(f"int8: balancing channels and measuring ranges ({method}) on {len(calibration)} of {len(files)} pictures")
    balanced = balanced_graphs(codec, calibration, opset)
    feeds = calibration_feeds(fp32, calibration)
    return {half: Half(half, balanced, feeds[half], method) for half in HALVES}


def _to_blame(loss: Loss) -> tuple[str, ...]:
    """The halves among which to look: the encoder alone decides the rate, the decoder alone what foreign streams lose."""
    if loss.rate_change / LIMITS.rate_change == LIMITS.share_used(loss):
        return ("encoder",)
    return ("decoder",) if loss.foreign_psnr_loss >= loss.psnr_loss else ("encoder", "decoder")


def _said(loss: Loss) -> str:
    return f"loses {loss.psnr_loss:.3f} dB and {loss.rate_change:.2%} rate"


def _levels(count: int) -> np.ndarray:
    """Levels spread over all of them, in mixed order."""
    return np.random.default_rng(0).permutation(np.linspace(0, QUALITY_LEVELS - 1, count).round().astype(int))


def _preference(number: int) -> float:
    return (0.0, 1.0, 0.5)[number % 3]


@dataclass(frozen=True)
class Balanced:
    """Graphs ready for eight bits, by half, and what takes the place of weights (by name) that will be quantised."""

    graphs: dict[str, onnx.ModelProto]
    rounded: dict[str, np.ndarray]


def balanced_graphs(codec: Codec, pictures: Sequence[np.ndarray], opset: int) -> Balanced:
    """Channels-last graphs whose channels have similar ranges, equal to the ordinary ones up to float rounding and, in the
    encoder, what `rectify` leaves out."""
    copied = frozen(codec)
    order = pixel_order()

    def run() -> None:
        for number, (picture, level) in enumerate(zip(pictures, _levels(len(pictures)))):
            x = torch.tensor(picture).permute(2, 0, 1)[None].float() / 255
            quality = torch.tensor([level])
            symbols = copied.encode_patches(functional.pixel_unshuffle(x, PATCH)[:, order], quality)
            copied.decode_patches(*symbols, quality, torch.tensor([_preference(number)]))

    equalise([*analysis_streams(copied), *synthesis_streams(copied)], run)
    rectify([*copied.analysis.blocks8, *copied.analysis.blocks16], run)  # type: ignore[list-item]
    for stream in analysis_streams(copied):
        move_biases(stream)
    copied = with_channels_last(copied)
    graphs = {"encoder": encoder_graph(copied, opset), "decoder": decoder_graph(copied, opset)}
    stem = {"codec.analysis.stem.product.matrix": copied.analysis.stem.product}
    rounded = rounded_weights(stem, run)  # type: ignore[arg-type]
    missing = set(rounded) - {tensor.name for tensor in graphs["encoder"].graph.initializer}
    if missing:
        raise RuntimeError(f"the encoder graph has no weights {', '.join(missing)}, so their rounding would be lost; check the tracer")
    return Balanced(graphs, rounded)


def calibration_feeds(fp32: Engines, pictures: Sequence[np.ndarray]) -> dict[str, list[dict[str, np.ndarray]]]:
    """Inputs of both engines for each picture, each at another level; the decoder reads what the fp32 encoder writes."""
    feeds: dict[str, list[dict[str, np.ndarray]]] = {"encoder": [], "decoder": []}
    for number, (picture, level) in enumerate(zip(pictures, _levels(len(pictures)))):
        z, r = fp32.encode(picture, level)
        quality, preference = np.array([level], np.float32), np.array([_preference(number)], np.float32)
        feeds["encoder"].append({"image": picture[None], "quality": quality})
        feeds["decoder"].append({"z": z, "r": r, "quality": quality, "preference": preference})
    return feeds


def part_of(node: onnx.NodeProto, half: str) -> str | None:
    """The part a node belongs to if it may be quantised: `/synthesis/blocks8.0/mix_in/MatMul` -> `blocks8.0.filter`."""
    words = node.name.split("/")
    if node.op_type not in KINDS or len(words) < 4 or words[1] != HALVES[half]:
        return None
    if words[2] in LAYERS:
        return words[2]
    return f"{words[2]}.{BRANCHES[words[3]]}" if words[3] in BRANCHES else None


def detach_branches(model: onnx.ModelProto, half: str) -> None:
    """Put an Identity before each layer whose input others read too, so that only the layer sees it quantised."""
    readers = Counter(name for node in model.graph.node for name in node.input)
    nodes = []
    for node in model.graph.node:
        if part_of(node, half) and readers[node.input[0]] > 1:
            own = f"{node.name}_input"
            nodes.append(helper.make_node("Identity", [node.input[0]], [own], name=f"{node.name}_detach"))
            node.input[0] = own
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class Half:
    """One engine with its measured ranges."""

    def __init__(self, half: str, balanced: Balanced, feeds: list[dict[str, np.ndarray]], method: str) -> None:
        from onnxruntime.quantization.calibrate import TensorData

        self._half, self._model, self._rounded = half, balanced.graphs[half], balanced.rounded
        detach_branches(self._model, half)
        nodes = {node.name: part for node in self._model.graph.node if (part := part_of(node, half))}
        self.parts = set(nodes.values())
        own = [node for node in self._model.graph.node if node.name in nodes]
        tensors = {name for node in own for name in [*node.input, *node.output]}
        self._ranges = measured_ranges(self._model, tensors, feeds, method)
        for node in own:
            if nodes[node.name] == STEM:
                self._ranges.data[node.input[0]] = TensorData(lowest=np.float32(0), highest=np.float32(255 * PIXEL_SCALE))

    def quantised(self, parts: set[str]) -> bytes:
        """The engine with these of `self.parts` in eight bits."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        copied = onnx.ModelProto()
        copied.CopyFrom(self._model)
        chosen = [node for node in copied.graph.node if part_of(node, self._half) in parts]
        if not chosen:
            return finished(copied)
        weights = {name for node in chosen for name in node.input}
        for tensor in copied.graph.initializer:
            if tensor.name in weights & set(self._rounded):
                tensor.CopyFrom(numpy_helper.from_array(self._rounded[tensor.name], tensor.name))
        quantizer = QDQQuantizer(
            copied,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=[node.name for node in chosen],
            nodes_to_exclude=[],
            op_types_to_quantize=KINDS,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        result = quantizer.model.model
        del result.graph.value_info[:]
        read_pixels(result)
        return finished(result)
