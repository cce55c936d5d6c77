"""A model repository for NVIDIA Triton Inference Server, generated from a bundle.

Four models: the two engines, batched by the server, and `ugicm_encode` and `ugicm_decode`, Python models that call them (Business
Logic Scripting) and run the entropy coder:

    ugicm_encode   image uint8 (H,W,3), quality float (1) -> stream uint8 (bytes)
    ugicm_decode   stream uint8 (bytes), preference float (1) -> image uint8 (H,W,3)
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from ugicm.bundle import Bundle, write_bundle
from ugicm.manifest import DECODER, ENCODER

from ugicm_export.targets import TargetError

QUEUE_MICROSECONDS = 2000
KINDS = {"cpu": "KIND_CPU", "gpu": "KIND_GPU"}
ENGINES = {"ugicm_encoder": ENCODER, "ugicm_decoder": DECODER}
BUNDLE = "bundle"
"""Folder inside each Python model's version folder: the model it codes with."""

Port = tuple[str, str, Sequence[int]]  # name, type, dims without the batch


def write_repository(bundle: Bundle, folder: Path, max_batch: int, device: str, variant: str = "fp32") -> None:
    """Write the repository into `folder`, which must not exist; TargetError for an unknown device.

    `max_batch`: largest batch the server makes of requests for pictures of one size.
    """
    if device not in KINDS:
        raise TargetError(f"--device is {device}, expected {' or '.join(KINDS)} for target triton")
    folder.mkdir(parents=True)
    manifest = bundle.manifest
    z, r = ("z", "TYPE_INT32", (manifest.hyper_channels, -1, -1)), ("r", "TYPE_INT32", (manifest.latent_channels, -1, -1))
    image: Port = ("image", "TYPE_UINT8", (-1, -1, 3))
    level: Port = ("quality", "TYPE_FP32", ())
    configs = {
        "ugicm_encoder": engine_config("ugicm_encoder", [image, level], [z, r], max_batch, device),
        "ugicm_decoder": engine_config(
            "ugicm_decoder", [z, r, level, ("preference", "TYPE_FP32", ())], [image], max_batch, device
        ),
        "ugicm_encode": python_config("ugicm_encode", [image, ("quality", "TYPE_FP32", (1,))], ("stream", "TYPE_UINT8", (-1,))),
        "ugicm_decode": python_config(
            "ugicm_decode", [("stream", "TYPE_UINT8", (-1,)), ("preference", "TYPE_FP32", (1,))], image
        ),
    }
    for name, text in configs.items():
        version = folder / name / "1"
        version.mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(text)
        if name in ENGINES:
            (version / "model.onnx").write_bytes(bundle.engine(ENGINES[name], variant))
            continue
        source = files("ugicm_export") / "triton_models" / f"{name.removeprefix('ugicm_')}.py"
        (version / "model.py").write_text(source.read_text())
        write_bundle(version / BUNDLE, manifest, {key: bundle.read(key) for key in manifest.files})


def engine_config(name: str, inputs: Sequence[Port], outputs: Sequence[Port], max_batch: int, device: str) -> str:
    """config.pbtxt of an ONNX engine whose requests of one picture size are batched by the server."""
    return "\n".join(
        [
            f'name: "{name}"',
            'backend: "onnxruntime"',
            f"max_batch_size: {max_batch}",
            *[_port("input", port) for port in inputs],
            *[_port("output", port) for port in outputs],
            f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_MICROSECONDS} }}",
            f"instance_group [ {{ kind: {KINDS[device]} }} ]",
            "",
        ]
    )


def python_config(name: str, inputs: Sequence[Port], output: Port) -> str:
    """config.pbtxt of a Python model; it takes one picture a request, the engines behind it are batched."""
    return "\n".join(
        [
            f'name: "{name}"',
            'backend: "python"',
            "max_batch_size: 0",
            *[_port("input", port) for port in inputs],
            _port("output", output),
            "instance_group [ { kind: KIND_CPU count: 2 } ]",
            "",
        ]
    )


def _port(field: str, port: Port) -> str:
    """One tensor; dims () is a plain number per picture, which Triton writes as [1] reshaped to nothing."""
    name, kind, dims = port
    shape = ", ".join(map(str, dims)) or "1"
    reshape = "" if dims else " reshape: { shape: [ ] }"
    return f'{field} [ {{ name: "{name}" data_type: {kind} dims: [ {shape} ]{reshape} }} ]'
