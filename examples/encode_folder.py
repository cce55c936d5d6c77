"""Encode every picture of a folder to a wanted number of bits per pixel, keeping colour profile, Exif, XMP and alpha."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ugicm import Codec, UgicmError
from ugicm.files import write_bytes
from ugicm.image import read_picture, visible

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


def encode_folder(source: Path, target: Path, bpp: float) -> int:
    """Write a stream for each picture in `source`; returns how many could not be encoded."""
    codec = Codec.open()
    target.mkdir(parents=True, exist_ok=True)
    failed, written = 0, set()
    for path in sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES):
        try:
            if path.stem in written:
                raise UgicmError(f"another picture has made {path.stem}.ugic already; rename one of them")
            picture = read_picture(path)
            stream = codec.encode_to_size(visible(picture), target_bpp=bpp, boxes=picture.metadata.to_boxes())
            write_bytes(str(target / f"{path.stem}.ugic"), stream)
        except UgicmError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            failed += 1
            continue
        written.add(path.stem)
        height, width = picture.array.shape[:2]
        print(f"{path.name}: {width}x{height}, {len(stream)} bytes, {8 * len(stream) / (width * height):.3f} bpp")
    return failed


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--bpp", type=float, default=0.5, help="most bits per pixel of any stream (default: 0.5)")
    options = parser.parse_args()
    try:
        return 1 if encode_folder(options.source, options.target, options.bpp) else 0
    except (OSError, UgicmError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
