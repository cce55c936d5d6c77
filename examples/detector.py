"""Feed the machine view of a stream to a detector: an ONNX net with input `image` (1,3,S,S) in [0,1], outputs `boxes`, `scores`.

Boxes are left, top, right, bottom in input pixels, one score per class; the picture goes in with its longer side at S, at
the top left of a grey square. YOLOX exports are of this kind.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from ugicm import Codec, UgicmError

GREY = 114
OVERLAP = 0.6


def detect(net: Path, picture: np.ndarray, threshold: float) -> list[tuple[int, float, np.ndarray]]:
    """(class, score, box in pixels of the picture) of what the net sees in a (H, W, 3) uint8 picture, best first."""
    session = onnxruntime.InferenceSession(str(net), providers=["CPUExecutionProvider"])
    side = session.get_inputs()[0].shape[-1]
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    small = Image.fromarray(picture).resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    canvas = np.full((side, side, 3), GREY, np.uint8)
    canvas[: small.height, : small.width] = np.asarray(small)
    tensor = canvas.transpose(2, 0, 1)[None].astype(np.float32) / 255
    boxes, scores = (values[0] for values in session.run(["boxes", "scores"], {"image": tensor}))
    kept: list[tuple[int, float, np.ndarray]] = []
    for index in np.argsort(-scores.max(axis=1)):
        kind, score = int(scores[index].argmax()), float(scores[index].max())
        if score < threshold:
            break
        box = boxes[index] / scale
        if all(kind != other or _overlap(box, there) < OVERLAP for other, _, there in kept):
            kept.append((kind, score, box))
    return kept


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    inner = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = inner.clip(0).prod()
    return float(shared / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared))


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", type=Path)
    parser.add_argument("stream", type=Path)
    parser.add_argument("--threshold", type=float, default=0.3)
    options = parser.parse_args()
    try:
        picture = Codec.open().decode(options.stream.read_bytes(), view="machine")
    except (OSError, UgicmError) as error:
        print(error, file=sys.stderr)
        return 1
    for kind, score, box in detect(options.net, picture, options.threshold):
        print(f"class {kind:3d}  score {score:.2f}  box {' '.join(f'{edge:.0f}' for edge in box)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
