"""From a checkpoint folder to a verified bundle with the engines that were asked for."""

from __future__ import annotations

import datetime
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ugicm.bundle import NAME as MANIFEST
from ugicm.bundle import Bundle, describe_file, fingerprint, write_bundle
from ugicm.manifest import DECODER, ENCODER, ENTROPY, GUIDED_REFINER, REFINER, Manifest

from ugicm_export.bundle_check import CPU, STEP, check_bundle, sweep_record
from ugicm_export.entropy import entropy_file, mean_network_sha256
from ugicm_export.half import rounded_to_half
from ugicm_export.halo import halo
from ugicm_export.int8 import AT_LEAST
from ugicm_export.onnx_export import (
    OPSET,
    OPSETS,
    decoder_onnx,
    encoder_onnx,
    folded_decoder_onnx,
    refiner_onnx,
    with_metadata,
)
from ugicm_export.pictures import picture_files
from ugicm_export.profiles import Profile
from ugicm_export.targets import METHOD, TargetError, check_modules
from ugicm_export.variants import add_fp16, add_int8
from ugicm_export.verify import PIXEL_STEPS, VerificationError, verify, verify_folded, verify_refiner
from ugicm_train.checkpoint import load_codec
from ugicm_train.config import PRESETS, NetworkConfig
from ugicm_train.guide_file import FILE as GUIDE
from ugicm_train.guide_file import load_guide
from ugicm_train.model.build import as_codec
from ugicm_train.model.codec import Codec
from ugicm_train.model.guide import Guide
from ugicm_train.model.refine import level_weights, structure_share
from ugicm_train.model.structure import Structure

LICENSE = "Apache-2.0"


@dataclass(frozen=True)
class Request:
    """What to export beside the two fp32 engines."""

    targets: tuple[str, ...] = ("onnx",)  # names of `targets.TARGETS`
    fold: dict[str, float] = field(default_factory=dict)  # name -> preference of the decoders made for one preference
    calibration: Path | None = None  # folder of photos that int8 and fp16 are measured on
    calibration_method: str = METHOD  # one of `ranges.METHODS`, for int8
    pixel_steps: int = PIXEL_STEPS  # largest difference of a sample to torch
    refiner: bool = True  # with the engine that an effort takes
    structure: float | None = None  # share of structure in the error that an effort lowers; None: as the model was trained
    skip_verify: bool = False  # compare nothing with torch, nor set-ups with each other; the manifest then says so
    profile: Profile = field(default_factory=Profile)  # sizes and batches TensorRT and Triton are set up for
    workspace: float | None = None  # GiB TensorRT may use while it builds
    device: str | None = None  # "cpu" or "gpu" for Triton, a GPU number for TensorRT


@dataclass
class Draft:
    """The parts of a bundle while it is made."""

    files: dict[str, bytes]
    variants: dict[str, dict[str, str]] = field(default_factory=dict)
    folded: list[dict[str, Any]] = field(default_factory=list)
    verification: dict[str, Any] = field(default_factory=dict)


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
    request: Request = Request(),
    progress: Callable[[str], None] = print,
) -> Manifest:
    """Write the bundle of a checkpoint to `out` (a folder, or a file ending in .zip) after verifying it against torch.

    `half_weights` rounds the weights to float16 once and stores them so; the fp32 engines compute in float32 either way.
    Raises CheckpointError, PictureError, TargetError, VerificationError, or FileExistsError when `out` exists and `replace`
    is not set. Nothing is written before every verification has passed, and the result appears under its name in one step.
    """
    if out.exists():
        if not replace:
            raise FileExistsError(f"{out} exists; remove it or give --force")
        _refuse_to_replace(out)
    if opset not in OPSETS:
        raise ValueError(f"opset is {opset}, expected {OPSETS.start}..{OPSETS.stop - 1}")
    check_modules(request.targets)
    if "tensorrt" in request.targets:
        from ugicm_export.tensorrt_engine import check_device

        check_device(request.device)
    if "triton" in request.targets and not (request.device in (None, "cpu", "gpu") or request.device.isdigit()):
        raise TargetError(f"--device is {request.device}, expected cpu or gpu for target triton")
    if request.calibration is not None:
        picture_files(request.calibration, AT_LEAST)
    found, history = load_codec(checkpoint)
    codec = as_codec(found, "export")
    guide = load_guide(checkpoint) if request.refiner and (checkpoint / GUIDE).exists() else None
    if half_weights:
        codec = rounded_to_half(codec)
        guide = None if guide is None else rounded_to_half(guide)
    draft = _draft(codec, history, guide, opset, request, progress)
    mean_sha256 = mean_network_sha256(codec)
    mark = fingerprint(draft.files[ENTROPY], mean_sha256)
    title = name or checkpoint.resolve().name
    labels = {"ugicm.model": title, "ugicm.fingerprint": mark, "ugicm.license": LICENSE}
    files = {key: with_metadata(data, labels) if key.endswith(".onnx") else data for key, data in draft.files.items()}
    manifest = Manifest(
        name=title,
        preset=preset_name(codec.config),
        fingerprint=mark,
        mean_network_sha256=mean_sha256,
        hyper_channels=codec.config.hyper,
        latent_channels=codec.config.latent,
        files={key: describe_file(data) for key, data in files.items()},
        variants=draft.variants,
        folded=draft.folded,
        opset=opset,
        halo=halo(codec.config),
        training={"history": history},
        verification=draft.verification,
        license=LICENSE,
        created=datetime.date.today().isoformat(),
    )
    manifest = _place(out, manifest, files, request, progress)
    progress(f"wrote {out}: fingerprint {manifest.fingerprint}, {sum(map(len, files.values())) / 2**20:.1f} MiB")
    return manifest


def _draft(
    codec: Codec,
    history: list[dict[str, Any]],
    guide: Guide | None,
    opset: int,
    request: Request,
    progress: Callable[[str], None],
) -> Draft:
    """Make and check every engine of the bundle."""
    progress("writing entropy.bin, encoder.onnx and decoder.onnx")
    draft = Draft({ENCODER: encoder_onnx(codec, opset), DECODER: decoder_onnx(codec, opset), ENTROPY: entropy_file(codec)})
    if request.skip_verify:
        progress("comparison with torch skipped: the manifest says that nothing was verified")
        draft.verification = {"skipped": True}
    else:
        found = verify(codec, draft.files[ENCODER], draft.files[DECODER], draft.files[ENTROPY], progress, request.pixel_steps)
        draft.verification = found.record()
    if request.refiner:
        weights = level_weights(history, codec.config.quality_knots)
        share = structure_share(history) if request.structure is None else request.structure
        structure = Structure(share) if share else None
        refiners = {REFINER: None} if guide is None else {REFINER: None, GUIDED_REFINER: guide}
        for file, its_guide in refiners.items():
            progress(f"writing {file}")
            draft.files[file] = refiner_onnx(codec, weights, structure, its_guide, opset)
            if not request.skip_verify:
                compared = verify_refiner(codec, weights, structure, its_guide, file, draft.files[file], progress)
                draft.verification[Path(file).stem] = compared
    for label, preference in request.fold.items():
        file = f"decoder.{label}.onnx"
        draft.files[file] = folded_decoder_onnx(codec, preference, opset)
        draft.folded.append({"variant": "fp32", "preference": preference, "file": file})
        if not request.skip_verify:
            verify_folded(draft.files[DECODER], draft.files[file], preference, codec.config, request.pixel_steps)
        progress(f"wrote {file}: preference {preference} folded in")
    losses: dict[str, Any] = {}
    if "onnx-fp16" in request.targets:
        losses["fp16"] = add_fp16(draft.files, draft.variants, request.calibration, progress)
    if "onnx-int8" in request.targets:
        assert request.calibration is not None
        losses["int8"] = add_int8(
            codec, draft.files, draft.variants, request.calibration, opset, progress, request.calibration_method
        )
    if losses:
        draft.verification["variants"] = losses
    return draft


def _place(
    out: Path, manifest: Manifest, files: dict[str, bytes], request: Request, progress: Callable[[str], None]
) -> Manifest:
    """Write beside `out` and rename, so that no half-written bundle is ever seen; returns the manifest with what was checked last."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        fresh = Path(temporary) / out.name
        if not request.skip_verify:
            manifest = _swept(Path(temporary) / "check", manifest, files, progress)
        write_bundle(fresh, manifest, files)
        _add_folders(fresh, request, progress)
        if not out.is_dir():
            fresh.replace(out)
            return manifest
        old = out.replace(Path(temporary) / "old")
        try:
            fresh.replace(out)
        except OSError:
            old.replace(out)
            raise
    return manifest


def _refuse_to_replace(out: Path) -> None:
    """FileExistsError unless what is there is a bundle, or an empty folder: nothing else goes for the sake of a slip of the pen."""
    if out.is_dir():
        ours = (out / MANIFEST).is_file() or not any(out.iterdir())
    else:
        ours = zipfile.is_zipfile(out) and MANIFEST in zipfile.ZipFile(out).namelist()
    if not ours:
        raise FileExistsError(f"{out} is no bundle, so it is not replaced; choose another --out")


def _swept(folder: Path, manifest: Manifest, files: dict[str, bytes], progress: Callable[[str], None]) -> Manifest:
    """The manifest with the record of `check_bundle` on these files, on the CPU; VerificationError if anything fails there."""
    write_bundle(folder, manifest, files)
    report = check_bundle(folder, providers=[CPU], progress=progress)
    for pair in report["variants"]:
        if not pair["passed"]:
            near = f"{pair['psnr_to_fp32']:.2f} dB to fp32, {pair['least_psnr']:g} wanted"
            found = near if pair["symbols_equal"] else "its symbols change"
            raise VerificationError(f"a stream of the {pair['encoder']} engines, read by {pair['decoder']}: {found}; nothing was written")
    failed = [row for row in report["rows"] if not row["passed"]]
    if failed:
        row = failed[0]
        raise VerificationError(
            f"{row['variant']} engines on {row['provider']} with {row['threads']} threads, optimisation {row['optimisation']}: "
            f"{row['different']} of {row['values']} values of {row['tensor']} differ, from {row['ties']} causes, by up to "
            f"{row['largest']} from one thread (allowed share {row['allowed']:g}, step {STEP}); nothing was written"
        )
    return replace(manifest, verification=manifest.verification | {"sweep": sweep_record(report)})


def _add_folders(fresh: Path, request: Request, progress: Callable[[str], None]) -> None:
    """What TensorRT and Triton need, made from the bundle that was just written."""
    if "tensorrt" in request.targets:
        from ugicm_export.tensorrt_engine import build_engines

        build_engines(Bundle.open(fresh), fresh / "tensorrt", request.profile, request.workspace, request.device, progress)
    if "triton" in request.targets:
        from ugicm_export.triton import write_repository

        device = "gpu" if (request.device or "cpu") != "cpu" else "cpu"
        write_repository(Bundle.open(fresh), fresh / "triton", request.profile.batch[2], device)
        progress("wrote the model repository triton/")
