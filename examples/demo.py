"""Code one photo, decode both views from the same bytes, and put them beside the original. Needs the runtime only."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from ugicm import Codec, UgicmError

GAP, CAPTION = 8, 28


def side_by_side(pictures: dict[str, np.ndarray]) -> Image.Image:
    """One row of equally large (H,W,3) uint8 pictures, each with its name above it."""
    height, width = next(iter(pictures.values())).shape[:2]
    sheet = Image.new("RGB", (len(pictures) * (width + GAP) - GAP, height + CAPTION), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=18)
    for column, (name, picture) in enumerate(pictures.items()):
        left = column * (width + GAP)
        draw.text((left + 4, 3), name, fill="black", font=font)
        sheet.paste(Image.fromarray(picture), (left, CAPTION))
    return sheet


def run(photo: Path, out: Path, quality: float) -> None:
    """Encode `photo`, decode its human and machine views, print the figures, write four files below `out`."""
    image = np.asarray(Image.open(photo).convert("RGB"))
    height, width = image.shape[:2]
    codec = Codec.open()
    codec.decode(codec.encode(image, quality))  # the first call also loads the engines, which the times should not show
    out.mkdir(parents=True, exist_ok=True)
    stem = out / photo.stem

    start = time.perf_counter()
    stream = codec.encode(image, quality)
    encode_ms = (time.perf_counter() - start) * 1000
    stem.with_suffix(".ugic").write_bytes(stream)
    bpp = 8 * len(stream) / (height * width)

    print(f"model    {codec.info['name']} ({codec.info['preset']}), fingerprint {codec.info['fingerprint']}")
    print(f"photo    {photo}, {width}x{height}, {photo.stat().st_size:,} bytes")
    print(f"stream   {stem}.ugic, {len(stream):,} bytes, {bpp:.3f} bpp, encoded in {encode_ms:.0f} ms")
    panels = {f"original, {photo.stat().st_size / 1000:.0f} kB": image}
    for view in ("human", "machine"):
        start = time.perf_counter()
        panels[f"{view} view, {len(stream) / 1000:.1f} kB"] = decoded = codec.decode(stream, view)
        decode_ms = (time.perf_counter() - start) * 1000
        Image.fromarray(decoded).save(f"{stem}-{view}.png")
        print(f"{view:8} {stem}-{view}.png, decoded in {decode_ms:.0f} ms")
    side_by_side(panels).save(f"{stem}-side-by-side.png")
    print(f"together {stem}-side-by-side.png")


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", default=Path(__file__).with_name("kodim23.png"))
    parser.add_argument("--out", type=Path, default=Path("demo_output"), help="folder to write to")
    parser.add_argument("--quality", type=float, default=50, help="0 (smallest) .. 100 (best)")
    args = parser.parse_args()
    try:
        run(args.photo, args.out, args.quality)
    except (UgicmError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
