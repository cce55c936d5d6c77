"""The model bundle: a folder or a .zip with `manifest.json`, two engines and the entropy model.

    manifest.json   names, ranges, hashes (see `manifest`)
    encoder.onnx    (image, quality) -> (z, r)
    decoder.onnx    (z, r, quality, preference) -> image
    entropy.bin     scale network and coding tables, read by `ugicm_coder.EntropyModel`
    refiner.onnx    (image, z, index, quality, offset, share, size) -> (moved, r), for encoding with an effort; may be absent
    guided_refiner.onnx  the same with one more input, guidance; may be absent

and, listed in the manifest where they exist, the same engines in another precision (`encoder.int8.onnx`) and decoders
for one preference only (`decoder.human.onnx`: (z, r, quality) -> image).

The fingerprint is the first 8 bytes of SHA-256(SHA-256(entropy.bin) || SHA-256 of the mean network): a hash of all that
gives symbols their meaning, so that a bundle whose synthesis alone is better still reads old streams.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import BundleError
from .files import write_bytes
from .manifest import ENTROPY, FP32, GUIDED_REFINER, NAME, REFINER, Manifest, ManifestError, parse_manifest

DEFAULT_PATH = Path(__file__).parent / "default_bundle"
PATH_VARIABLE = "UGICM_BUNDLE"
MAX_MANIFEST_BYTES = 1 << 20
_MISSED = {
    REFINER: "an effort above 0 needs; export it again without --no-refiner",
    GUIDED_REFINER: "a guidance above 0 needs; export a checkpoint with a guide (`ugicm-train distil`), without --no-refiner",
}
"""Engines that a bundle may do without: who misses them, and what to do."""


def fingerprint(entropy: bytes, mean_network_sha256: str) -> str:
    """16 hex digits for the bytes of `entropy.bin` and the hash of the mean network (64 hex digits)."""
    both = hashlib.sha256(entropy).digest() + bytes.fromhex(mean_network_sha256)
    return hashlib.sha256(both).hexdigest()[:16]


def describe_file(data: bytes) -> dict[str, Any]:
    """The entry of one file in `Manifest.files`."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def default_path() -> Path:
    """The bundle used when none is named: that of $UGICM_BUNDLE if set, else the one inside this package."""
    return Path(os.environ.get(PATH_VARIABLE) or DEFAULT_PATH)


class Bundle:
    """An open bundle whose manifest, hashes and fingerprint have been checked. Immutable and safe to share."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Use `open`."""
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> "Bundle":
        """Open a folder or .zip (None: `default_path()`) and check every listed file; raises `BundleError`."""
        where = default_path() if path is None else Path(path)
        _check_exists(where)
        try:
            manifest = parse_manifest(_read(where, NAME, MAX_MANIFEST_BYTES))
        except ManifestError as error:
            raise BundleError(f"bundle '{where}': {NAME} cannot be used: {error}; export it again with this version of ugicm") from error
        bundle = cls(where, manifest)
        for name in manifest.files:
            data = bundle.read(name)
            if name == ENTROPY and fingerprint(data, manifest.mean_network_sha256) != manifest.fingerprint:
                raise BundleError(
                    f"bundle '{where}': fingerprint {manifest.fingerprint} does not belong to its {ENTROPY}; "
                    "export it again"
                )
        return bundle

    def read(self, name: str) -> bytes:
        """The bytes of one listed file; the very bytes returned are checked, so a later change on disk is noticed."""
        entry = self.manifest.files[name]
        data = _read(self.path, name, entry["bytes"])
        if describe_file(data) != {"sha256": entry["sha256"], "bytes": entry["bytes"]}:
            raise BundleError(
                f"bundle '{self.path}': {name} does not match the manifest; the file is damaged, fetch it again"
            )
        return data

    @property
    def variants(self) -> list[str]:
        """The engine variants this bundle holds, fp32 first. Streams do not depend on the variant that wrote them."""
        return [FP32, *self.manifest.variants]

    def engine(self, name: str, variant: str = FP32) -> bytes:
        """An engine in one of `variants`, the refiners always in fp32; raises `BundleError` if it is not there."""
        self._check_variant(variant)
        if name in _MISSED and name not in self.manifest.files:
            raise BundleError(f"bundle '{self.path}' has no {name}, which {_MISSED[name]}")
        if variant == FP32 or name in _MISSED:
            return self.read(name)
        return self.read(self.manifest.variants[variant][name])

    def folded_decoder(self, preference: float, variant: str = FP32) -> bytes | None:
        """The decoder (z, r, quality) -> image made for exactly this preference, None if the bundle has none.

        It computes what `decoder.onnx` of the same variant computes at that preference.
        """
        self._check_variant(variant)
        for one in self.manifest.folded:
            if (one["variant"], one["preference"]) == (variant, preference):
                return self.read(one["file"])
        return None

    def _check_variant(self, variant: str) -> None:
        if variant not in self.variants:
            raise BundleError(
                f"bundle '{self.path}' has no {variant} engines, only {', '.join(self.variants)}; "
                f"add them with: ugicm-export CHECKPOINT --out DIR --targets onnx onnx-{variant}"
            )


def write_bundle(path: str | os.PathLike[str], manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write a bundle as a folder, or as a .zip if `path` ends so.

    The manifest is written last, so a folder that was cut off half-way does not open.
    """
    target = Path(path)
    everything = {**files, NAME: manifest.to_json().encode()}
    if target.suffix == ".zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in everything.items():
                archive.writestr(name, data)
        write_bytes(str(target), buffer.getvalue())
        return
    target.mkdir(parents=True, exist_ok=True)
    (target / NAME).unlink(missing_ok=True)
    for name, data in everything.items():
        write_bytes(str(target / name), data)


def _check_exists(where: Path) -> None:
    try:
        if where.exists():
            return
    except OSError as error:
        raise BundleError(f"the bundle at '{where}' cannot be opened: {error.strerror or error}") from error
    if where == DEFAULT_PATH:
        raise BundleError(
            "this installation of ugicm has no default model; "
            f"name a bundle with Codec.open(path), --bundle or ${PATH_VARIABLE}"
        )
    raise BundleError(f"there is no bundle at '{where}'; check the path given to --bundle or ${PATH_VARIABLE}")


def _read(where: Path, name: str, limit: int) -> bytes:
    """At most `limit` + 1 bytes of a member, so that a lying size cannot fill the memory."""
    try:
        if where.is_dir():
            with open(where / name, "rb") as file:
                return file.read(limit + 1)
        with zipfile.ZipFile(where) as archive, archive.open(name) as member:
            return member.read(limit + 1)
    except (FileNotFoundError, KeyError) as error:
        raise BundleError(f"bundle '{where}' has no {name}; it is incomplete, fetch or export it again") from error
    except zipfile.BadZipFile as error:
        raise BundleError(f"'{where}' is neither a bundle folder nor a sound .zip ({error}); fetch it again") from error
    except Exception as error:  # on a damaged archive zipfile raises anything from OSError to UnicodeDecodeError
        raise BundleError(f"cannot read {name} of bundle '{where}' ({error}); fetch it again") from error
