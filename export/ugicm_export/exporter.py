"""From a checkpoint folder to a verified bundle."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable
from pathlib import Path

from ugicm.bundle import describe_file, fingerprint, write_bundle
from ugicm.manifest import DECODER, ENCODER, ENTROPY, Manifest

from ugicm_export.entropy import entropy_file, mean_network_sha256
from ugicm_export.half import rounded_to_half
from ugicm_export.onnx_export import OPSET, decoder_onnx, encoder_onnx
from ugicm_export.verify import verify
from ugicm_train.checkpoint import load_codec
from ugicm_train.config import PRESETS, NetworkConfig
from ugicm_train.model.build import as_codec

LICENSE = "Apache-2.0"


def preset_name(network: NetworkConfig) -> str:
    """The preset with these widths and depths, or "custom"."""
    return next((name for name, values in PRESETS.items() if NetworkConfig(**values) == network), "custom")


def export_bundle(
    checkpoint: Path,
    out: Path,
    *,
    name: str | None = None,
    half_weights: bool = True,
    opset: int = OPSET,
    replace: bool = False,
    progress: Callable[[str], None] = print,
) -> Manifest:
    """Write the bundle of a checkpoint to `out` (a folder, or a file ending in .zip) after verifying it against torch.

    `half_weights` rounds the weights to float16 once and stores them so; the engines compute in float32 either way.
    Raises CheckpointError, VerificationError, or FileExistsError when `out` exists and `replace` is not set. Nothing is
    written before the verification has passed, and the result appears under its name in one step.
    """
    if out.exists() and not replace:
        raise FileExistsError(f"{out} exists; remove it or give --force")
    found, history = load_codec(checkpoint)
    codec = as_codec(found, "export")
    if half_weights:
        codec = rounded_to_half(codec)
    progress("writing entropy.bin, encoder.onnx and decoder.onnx")
    files = {ENCODER: encoder_onnx(codec, opset), DECODER: decoder_onnx(codec, opset), ENTROPY: entropy_file(codec)}
    record = verify(codec, files[ENCODER], files[DECODER], files[ENTROPY], progress).record()
    mean_sha256 = mean_network_sha256(codec)
    manifest = Manifest(
        name=name or checkpoint.name,
        preset=preset_name(codec.config),
        fingerprint=fingerprint(files[ENTROPY], mean_sha256),
        mean_network_sha256=mean_sha256,
        hyper_channels=codec.config.hyper,
        latent_channels=codec.config.latent,
        files={key: describe_file(data) for key, data in files.items()},
        opset=opset,
        training={"history": history},
        verification=record,
        license=LICENSE,
        created=datetime.date.today().isoformat(),
    )
    _place(out, manifest, files)
    progress(f"wrote {out}: fingerprint {manifest.fingerprint}, {sum(map(len, files.values())) / 2**20:.1f} MiB")
    return manifest


def _place(out: Path, manifest: Manifest, files: dict[str, bytes]) -> None:
    """Write beside `out` and rename, so that no half-written bundle is ever seen."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        fresh = Path(temporary) / out.name
        write_bundle(fresh, manifest, files)
        if not out.is_dir():
            fresh.replace(out)
            return
        old = out.replace(Path(temporary) / "old")
        try:
            fresh.replace(out)
        except OSError:
            old.replace(out)
            raise
