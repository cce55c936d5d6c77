"""`manifest.json` of a bundle: its fields, writing it, and checking every one of them when it is read."""

import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .bitstream import LEVELS, MULTIPLE

FORMAT = "ugicm-bundle"
VERSION = 2
NAME = "manifest.json"
ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
ENTROPY = "entropy.bin"
REFINER = "refiner.onnx"
"""What `encode` with an effort needs; a bundle may do without."""
GUIDED_REFINER = "guided_refiner.onnx"
"""What it needs with a guidance too; a bundle may do without."""
REQUIRED_FILES = (ENCODER, DECODER, ENTROPY)
FP32 = "fp32"
"""The variant every bundle has: encoder.onnx and decoder.onnx themselves."""
DEFAULT_HALO = (256, 192)
"""What preset nano needs; `ugicm_export.halo` computes it for every network."""

_HEX = set("0123456789abcdef")


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`; fields without a default must be there."""

    name: str  # what people call the model
    preset: str  # network size: nano, base, large, ...
    fingerprint: str  # 16 hex digits, see `bundle`
    mean_network_sha256: str  # 64 hex digits
    hyper_channels: int  # Z
    latent_channels: int  # M
    files: dict[str, dict[str, Any]]  # file name -> {"sha256": hex, "bytes": int}, at least the required files
    variants: dict[str, dict[str, str]] = field(default_factory=dict)  # "fp16" -> {encoder.onnx: file, decoder.onnx: file}
    folded: list[dict[str, Any]] = field(default_factory=list)  # decoders of one preference: {variant, preference, file}
    qualities: int = LEVELS  # number of whole rate levels
    preference: tuple[float, float] = (0.0, 1.0)  # range of the preference axis the decoder was trained on
    multiple: int = MULTIPLE  # the engines take sides that are multiples of this
    halo: tuple[int, int] = DEFAULT_HALO  # pixels around a tile that its coding, its decoding can depend on
    opset: int = 0  # ONNX opset of the engines
    training: dict[str, Any] = field(default_factory=dict)  # how the model was made, free form
    verification: dict[str, Any] = field(default_factory=dict)  # what the exporter compared, and how it came out
    license: str = ""  # licence of the weights
    created: str = ""  # ISO 8601 date
    format: str = FORMAT
    version: int = VERSION

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"


class ManifestError(ValueError):
    """The text is no manifest this version can use; the message says which field and why."""


def parse_manifest(text: bytes) -> Manifest:
    """Check and read `manifest.json`; unknown fields are ignored, so that later writers may add some."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"it is not JSON ({error})") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ManifestError(f'"format" is not "{FORMAT}"')
    if raw.get("version") != VERSION:
        raise ManifestError(f"version is {raw.get('version')!r}, this reader knows {VERSION}")
    known = {one.name: raw[one.name] for one in fields(Manifest) if one.name in raw}
    for one in fields(Manifest):
        if one.name not in known and one.default is MISSING and one.default_factory is MISSING:
            raise ManifestError(f'"{one.name}" is missing')
    for name, value in known.items():
        if not _CHECKS[name](value):
            raise ManifestError(f'"{name}" is {str(value)[:80]!r}, which is not of the right kind')
    for name in _engine_files(known):
        if name not in known["files"]:
            raise ManifestError(f'"variants" or "folded" names {name!r}, which "files" does not list')
    if "preference" in known:
        known["preference"] = tuple(map(float, known["preference"]))
    if "halo" in known:
        known["halo"] = tuple(known["halo"])
    return Manifest(**known)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_hex(value: Any, digits: int) -> bool:
    return isinstance(value, str) and len(value) == digits and set(value) <= _HEX


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_MOST = 1e9
"""No end of a range of qualities or preferences is further from zero."""


def _is_range(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 2 and all(isinstance(end, int | float) for end in value)
    return numbers and -_MOST <= value[0] <= value[1] <= _MOST


def _is_halo(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))


def _are_files(value: Any) -> bool:
    """Names must be plain, so that no entry can reach outside the bundle."""
    return isinstance(value, dict) and set(REQUIRED_FILES) <= set(value) and all(map(_is_file, value, value.values()))


def _is_file(name: str, entry: Any) -> bool:
    plain = name == Path(name).name and "\\" not in name and name not in ("", "..", NAME)
    return plain and isinstance(entry, dict) and _is_hex(entry.get("sha256"), 64) and _is_count(entry.get("bytes"))


def _are_variants(value: Any) -> bool:
    """Each variant names both engines; fp32 is never listed, for it is the required files themselves."""
    if not isinstance(value, dict) or FP32 in value or not all(isinstance(one, dict) for one in value.values()):
        return False
    return all(set(one) == {ENCODER, DECODER} and all(map(_is_text, one.values())) for one in value.values())


def _are_folded(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_folded, value))


def _is_folded(value: Any) -> bool:
    if not isinstance(value, dict) or not _is_text(value.get("variant")) or not _is_text(value.get("file")):
        return False
    preference = value.get("preference")
    return isinstance(preference, int | float) and not isinstance(preference, bool) and 0 <= preference <= 1


def _engine_files(known: dict[str, Any]) -> list[str]:
    named = [file for engines in known.get("variants", {}).values() for file in engines.values()]
    return named + [one["file"] for one in known.get("folded", [])]


_CHECKS = {
    "name": _is_text,
    "preset": _is_text,
    "fingerprint": lambda value: _is_hex(value, 16),
    "mean_network_sha256": lambda value: _is_hex(value, 64),
    "hyper_channels": _is_count,
    "latent_channels": _is_count,
    "files": _are_files,
    "variants": _are_variants,
    "folded": _are_folded,
    "qualities": lambda value: value == LEVELS,
    "preference": _is_range,
    "multiple": lambda value: value == MULTIPLE,
    "halo": _is_halo,
    "opset": lambda value: isinstance(value, int),
    "training": lambda value: isinstance(value, dict),
    "verification": lambda value: isinstance(value, dict),
    "license": _is_text,
    "created": _is_text,
    "format": _is_text,
    "version": _is_count,
}
