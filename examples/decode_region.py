"""Decode one part of a large stream, in both views: only the bands and tiles of that part are touched."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image
from ugicm import Codec, UgicmError


def decode_region(stream: Path, region: tuple[int, ...], out: Path) -> None:
    """Write OUT-human.png and OUT-machine.png for region (x, y, width, height) of a stream file."""
    human, machine = Codec.open().decode_views(stream.read_bytes(), [0.0, 1.0], region)
    for name, picture in (("human", human), ("machine", machine)):
        path = out.with_name(f"{out.name}-{name}.png")
        Image.fromarray(picture).save(path)
        print(f"{path}: {picture.shape[1]}x{picture.shape[0]}")


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stream", type=Path)
    parser.add_argument("out", type=Path, help="beginning of the names of the two pictures")
    parser.add_argument("region", type=int, nargs=4, metavar=("X", "Y", "WIDTH", "HEIGHT"))
    options = parser.parse_args()
    try:
        decode_region(options.stream, tuple(options.region), options.out)
    except (OSError, UgicmError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
