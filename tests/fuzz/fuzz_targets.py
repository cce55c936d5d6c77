"""What may happen to hostile bytes: a result or a `UgicmError`, never anything else. Each target takes bytes, returns nothing.

stream: the bytes as they are, and once more with every check value and the fingerprint made right, so that mutations get
        past the container to the entropy decoder and the boxes.
manifest, bundle: a manifest.json, and a whole zip.
"""

import struct
import sys
import tempfile
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import tiny_bundle
from ugicm import Codec, UgicmError, bitstream, metadata
from ugicm.bundle import Bundle
from ugicm.manifest import ManifestError, parse_manifest
from ugicm_coder import crc32c

CORPUS = Path(__file__).parent / "corpus"
MAX_PIXELS = 1 << 18
_HEADER = 36
_temporary = tempfile.TemporaryDirectory(prefix="ugicm-fuzz-")


def folder() -> Path:
    """A folder that goes when this process ends."""
    return Path(_temporary.name)


@cache
def codec() -> Codec:
    """The tiny model; only its entropy coder is used."""
    return Codec.open(tiny_bundle.make(folder() / "tiny"), threads=1, max_pixels=MAX_PIXELS)


def stream(data: bytes) -> None:
    """Parse, entropy-decode, and read the boxes."""
    for candidate in (data, repaired(data)):
        try:
            parsed = bitstream.parse(candidate, MAX_PIXELS)
            metadata.of_stream(parsed)
            symbols = codec().decode_symbols(candidate)
        except UgicmError:
            continue
        assert symbols.r.shape[1:] == (bitstream.padded(parsed.height) // 16, bitstream.padded(parsed.width) // 16)
        assert abs(symbols.z).max() <= 127


def manifest(data: bytes) -> None:
    """Read as manifest.json."""
    try:
        parse_manifest(data)
    except ManifestError:
        return


def bundle(data: bytes) -> None:
    """Open as a zip, and load the entropy model from it."""
    path = folder() / "mutated.zip"
    path.write_bytes(data)
    try:
        Codec(Bundle.open(path), threads=1)
    except UgicmError:
        return


TARGETS = {"stream": stream, "manifest": manifest, "bundle": bundle}


def repaired(data: bytes) -> bytes:
    """The stream with right magic, version, fingerprint and check values, as far as its lengths lead anywhere."""
    fixed = bytearray(data)
    if len(fixed) < _HEADER + 4:
        return data
    fixed[:9] = bitstream.MAGIC + bytes([bitstream.VERSION])
    fixed[12:20] = bytes.fromhex(codec().info["fingerprint"])
    height, band_height = struct.unpack_from("<I", fixed, 24)[0], fixed[11]
    count = bitstream.band_count(height, band_height) if 0 < height < 1 << 20 and band_height else 0
    table_end = _HEADER + 8 * count
    start = table_end + 4
    if not count or start > len(fixed):
        return data
    for offset in [28, *range(_HEADER, table_end, 8)]:
        length = struct.unpack_from("<I", fixed, offset)[0]
        struct.pack_into("<I", fixed, offset + 4, crc32c(bytes(fixed[start : start + length])))
        start += length
    struct.pack_into("<I", fixed, table_end, crc32c(bytes(fixed[:table_end])))
    while start + 12 <= len(fixed):
        length = struct.unpack_from("<I", fixed, start + 4)[0]
        payload = bytes(fixed[start + 12 : start + 12 + length])
        struct.pack_into("<I", fixed, start + 8, crc32c(bytes(fixed[start : start + 8]) + payload))
        start += 12 + length
    return bytes(fixed)
