"""Add the fp16 and int8 engines to a bundle in the making, or refuse them for what they lose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ugicm.manifest import DECODER, ENCODER, ENTROPY
from ugicm_coder import EntropyModel

from ugicm_export import fp16, int8
from ugicm_export.measure import Engines, Limits, measure, speed_ratio
from ugicm_export.pictures import picture_files, read_crop, sample_pictures, spread
from ugicm_export.targets import METHOD
from ugicm_export.verify import VerificationError
from ugicm_train.model.codec import Codec

Files = dict[str, bytes]
Variants = dict[str, dict[str, str]]
Progress = Callable[[str], None]
MEASURED, MEASURED_SIDE = 6, 512
"""Pictures of the calibration folder that the loss is measured on, and the side they are cut to."""


def add_fp16(files: Files, variants: Variants, pictures: Path | None, progress: Progress) -> dict[str, Any]:
    """Add the fp16 engines; returns what they lose. VerificationError if that is beyond `fp16.LIMITS`."""
    progress("writing encoder.fp16.onnx and decoder.fp16.onnx")
    made = {name: fp16.half_precision(files[name]) for name in (ENCODER, DECODER)}
    return _add("fp16", made, fp16.LIMITS, files, variants, pictures, progress)


def add_int8(
    codec: Codec, files: Files, variants: Variants, pictures: Path, opset: int, progress: Progress, method: str = METHOD
) -> dict[str, Any]:
    """Add the int8 engines; returns what they lose. VerificationError if that is beyond `int8.LIMITS`."""
    fp32 = Engines(files[ENCODER], files[DECODER])
    found = int8.quantise(codec, fp32, files[ENTROPY], pictures, opset, progress, method)
    made = {ENCODER: found.encoder, DECODER: found.decoder}
    loss = _add("int8", made, int8.LIMITS, files, variants, pictures, progress)
    return loss | {"parts": found.parts, "calibration_method": method}


def _add(
    name: str, made: Files, limits: Limits, files: Files, variants: Variants, pictures: Path | None, progress: Progress
) -> dict[str, Any]:
    if pictures is None:
        sample = list(sample_pictures())
    else:  # every second picture is calibrated on, the others are not
        sample = [read_crop(path, MEASURED_SIDE) for path in spread(picture_files(pictures)[1::2], MEASURED)]
        sample = sample or list(sample_pictures())
    fp32, other = Engines(files[ENCODER], files[DECODER], 1), Engines(made[ENCODER], made[DECODER], 1)
    loss = measure(fp32, other, EntropyModel(files[ENTROPY]), sample)
    broken = limits.broken_by(loss)
    if broken:
        raise VerificationError(f"the {name} engines are not kept: {broken}; nothing was written")
    speed = speed_ratio(fp32, other, max(sample, key=lambda picture: picture.size))
    progress(
        f"{name}: {loss.psnr_loss:+.3f} dB lost, rate {loss.rate_change:+.2%}, {loss.psnr_to_fp32:.1f} dB to fp32, "
        f"{speed['encoder']}x / {speed['decoder']}x as fast to encode / decode"
    )
    variants[name] = {}
    for engine, data in made.items():
        file = engine.replace(".onnx", f".{name}.onnx")
        files[file], variants[name][engine] = data, file
    return {**loss.record(), "limits": vars(limits), "speed": speed}
