"""Use a stream from OpenCV, whose pictures are BGR: encode a frame, find edges in its machine view. Needs opencv-python."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
from ugicm import Codec, UgicmError


def edges_of(photo: Path, out: Path, quality: float) -> None:
    """Code `photo` and write the edges that OpenCV finds in the machine view."""
    frame = cv2.imread(str(photo))
    if frame is None:
        raise UgicmError(f"OpenCV cannot read '{photo}'")
    codec = Codec.open()
    stream = codec.encode(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), quality)
    machine = cv2.cvtColor(codec.decode(stream, view="machine"), cv2.COLOR_RGB2BGR)
    edges = cv2.Canny(machine, 100, 200)
    if not cv2.imwrite(str(out), edges):
        raise UgicmError(f"OpenCV cannot write '{out}'")
    print(f"{len(stream)} bytes, {(edges > 0).mean():.1%} of the pixels are edges, {out}")


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quality", type=float, default=50)
    options = parser.parse_args()
    try:
        edges_of(options.photo, options.out, options.quality)
    except (OSError, UgicmError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
