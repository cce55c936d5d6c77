"""Downstream nets that follow one contract: input `image`, float32 (1,3,H,W), RGB in [0,1]; the rest is in `nets.json`.

All resizing is Pillow's BILINEAR (which antialiases), done outside the graph.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BenchmarkError


@dataclass(frozen=True)
class Prepared:
    """A net's input and how its pixels relate to those of the picture."""

    tensor: np.ndarray  # float32 (1,3,H,W) in [0,1]
    scale: tuple[float, float]  # input pixels per picture pixel, along x and y; meaningless after a crop


def squash(image: np.ndarray, spec: dict[str, Any]) -> Prepared:
    """Straight to the fixed size, aspect ignored."""
    height, width = spec["input_hw"]
    scale = (width / image.shape[1], height / image.shape[0])
    return Prepared(_tensor(_resize(image, width, height)), scale)


def squash_crop(image: np.ndarray, spec: dict[str, Any]) -> Prepared:
    """Both sides to `resize_hw`, aspect ignored, then the centre crop `input_hw`."""
    (height, width), (crop_height, crop_width) = spec["resize_hw"], spec["input_hw"]
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    resized = _resize(image, width, height)[top : top + crop_height, left : left + crop_width]
    return Prepared(_tensor(resized), (1.0, 1.0))


def letterbox(image: np.ndarray, spec: dict[str, Any]) -> Prepared:
    """The longer side to the net's size, pasted at the top left of a grey square."""
    side = spec["input_hw"][0]
    height, width = image.shape[:2]
    scale = side / max(width, height)
    resized = _resize(image, round(width * scale), round(height * scale))
    canvas = np.full((side, side, 3), spec["pad"], np.uint8)
    canvas[: resized.shape[0], : resized.shape[1]] = resized
    return Prepared(_tensor(canvas), (scale, scale))


RESIZE_RULES: dict[str, Callable[[np.ndarray, dict[str, Any]], Prepared]] = {
    "squash": squash,
    "squash_crop": squash_crop,
    "letterbox": letterbox,
}


class Net:
    """One net, run on the CPU by ONNX Runtime."""

    def __init__(self, path: Path, spec: dict[str, Any], threads: int = 1) -> None:
        """spec: the net's entry in `nets.json`."""
        import onnxruntime

        if spec["resize"] not in RESIZE_RULES:
            raise BenchmarkError(f"net '{path.name}' wants resize rule '{spec['resize']}', known: {list(RESIZE_RULES)}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.name, self.spec, self.task = path.stem, spec, spec["task"]
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, image: np.ndarray) -> tuple[dict[str, np.ndarray], Prepared]:
        """Outputs by name for a (H, W, 3) uint8 picture, and how the picture was prepared."""
        prepared = RESIZE_RULES[self.spec["resize"]](image, self.spec)
        return self._outputs_of(prepared.tensor), prepared

    def infer(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for a (H, W, 3) uint8 picture of the net's own size, taken as it is."""
        return self._outputs_of(_tensor(image))

    def _outputs_of(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self._outputs, self._session.run(None, {"image": tensor})))


def load_nets(data: Path, threads: int = 1) -> list[Net]:
    """Every net that `nets/nets.json` describes; raises `BenchmarkError` if there is none."""
    contract = data / "nets" / "nets.json"
    if not contract.exists():
        raise BenchmarkError(f"there is no '{contract}'; fetch the data, or name the place with --data")
    specs = json.loads(contract.read_text(encoding="utf-8"))
    return [Net(contract.parent / name, spec, threads) for name, spec in specs.items()]


def _resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def _tensor(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32) / 255
