"""Make a golden stream: `python tests/golden/make.py NAME --bundle PATH [--image FILE] [--quality Q] [--keep-model]`.

Writes beside this file
    NAME.ugic                   the stream
    NAME.json                   its fingerprint, size, level, and hashes of its symbols
    FINGERPRINT.entropy.bin     with --keep-model: the entropy model, to check the stream without the bundle
A golden stream of a released format or model is never made again; it pins the bytes for all later versions.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
from ugicm import Codec
from ugicm.bench import draw_picture
from ugicm.bundle import Bundle
from ugicm.image import read_image
from ugicm.manifest import ENTROPY

FOLDER = Path(__file__).parent


def symbol_hash(symbols: np.ndarray) -> str:
    """SHA-256 of symbols as little-endian int16 in C order."""
    return hashlib.sha256(np.ascontiguousarray(symbols, "<i2").tobytes()).hexdigest()


def make(name: str, bundle: str | Path, image: np.ndarray, *, quality: float, keep_model: bool, folder: Path) -> None:
    """Write the files of one golden stream to `folder`."""
    codec = Codec.open(bundle, threads=1)
    stream = codec.encode(image, quality)
    z, r, level = codec.decode_symbols(stream)
    facts = {
        "fingerprint": codec.info["fingerprint"],
        "width": image.shape[1],
        "height": image.shape[0],
        "level": level,
        "z_sha256": symbol_hash(z),
        "r_sha256": symbol_hash(r),
    }
    (folder / f"{name}.ugic").write_bytes(stream)
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    if keep_model:
        (folder / f"{facts['fingerprint']}.entropy.bin").write_bytes(Bundle.open(bundle).read(ENTROPY))


def main() -> None:
    """Parse the command line and make one stream."""
    parser = argparse.ArgumentParser(description="Make a golden stream.")
    parser.add_argument("name")
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--image", type=Path, help="picture file (default: a drawn picture of 200x150)")
    parser.add_argument("--quality", type=float, default=50)
    parser.add_argument("--keep-model", action="store_true")
    options = parser.parse_args()
    image = read_image(options.image.read_bytes())[0] if options.image else draw_picture(200, 150)
    make(options.name, options.bundle, image, quality=options.quality, keep_model=options.keep_model, folder=FOLDER)


if __name__ == "__main__":
    main()
