"""What `ugicm info` says about a stream or a bundle."""

import json
import sys
import zipfile
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

from . import bitstream
from .bundle import Bundle, default_path
from .errors import NotAStreamError
from .files import STANDARD_STREAM, naming, read_bytes

_LABEL_WIDTH = 22


def describe(path: str | None) -> dict[str, Any]:
    """Facts about a stream (checksums verified) or a bundle (hashes verified); None means the default bundle.

    "kind" is "stream" or "bundle"; both have "fingerprint". Raises `UgicmError`.
    """
    if path is None or Path(path).is_dir():
        return describe_bundle(Bundle.open(path))
    with naming(path):
        data = read_bytes(path)
    if path != STANDARD_STREAM and not bitstream.is_stream(data) and zipfile.is_zipfile(BytesIO(data)):
        return describe_bundle(Bundle.open(path))
    with naming(path):
        try:
            return {"kind": "stream", "file": path, **describe_stream(data)}
        except NotAStreamError as error:
            raise NotAStreamError(f"{error}, nor is it a model bundle") from error


def describe_stream(data: bytes) -> dict[str, Any]:
    """Facts from the header of a sound stream, whatever its size."""
    stream = bitstream.parse(data, max_pixels=sys.maxsize)
    return {
        "version": bitstream.VERSION,
        "fingerprint": stream.fingerprint,
        "width": stream.width,
        "height": stream.height,
        "level": stream.level,
        "quality": round(stream.level * 100 / (bitstream.LEVELS - 1), 2),
        "bytes": len(data),
        "bpp": round(len(data) * 8 / (stream.width * stream.height), 4),
        "z_bytes": len(stream.z),
        "band_rows": stream.band_height * bitstream.MULTIPLE,
        "band_bytes": [len(band) for band in stream.bands],
        "boxes": [{"type": box.type, "bytes": len(box.payload)} for box in stream.boxes],
    }


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """The manifest of an open bundle and where it lies."""
    facts = {
        "kind": "bundle",
        "path": str(bundle.path),
        "default": bundle.path == default_path(),
        **asdict(bundle.manifest),
    }
    facts["preference"] = list(bundle.manifest.preference)
    return facts


def as_json(facts: dict[str, Any]) -> str:
    """One JSON object, indented."""
    return json.dumps(facts, indent=2)


def as_text(facts: dict[str, Any]) -> str:
    """One line per fact; nested facts as compact JSON."""
    return "\n".join(f"{name.replace('_', ' '):<{_LABEL_WIDTH}}{_plain(value)}" for name, value in facts.items())


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value) if isinstance(value, dict | list | bool) else str(value)
