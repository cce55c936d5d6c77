"""TensorRT engines built through the `tensorrt` Python package, version 10 or later.

Networks are strongly typed: the precision is that of the ONNX file, the fp16 variant's. Nothing here has run on hardware yet; the
calls are those of the documented API, and all that surrounds them is tested.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from ugicm.bundle import Bundle
from ugicm.manifest import DECODER, ENCODER

from ugicm_export.fp16 import half_precision
from ugicm_export.profiles import Profile
from ugicm_export.targets import TargetError

TIMING_CACHE = "timing.cache"
OLDEST = 10
GIB = 1 << 30


def gpu_names() -> list[str]:
    """Names of the NVIDIA GPUs here, by index; empty without a driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return [line.strip() for line in found.stdout.splitlines() if line.strip()] if found.returncode == 0 else []


def check_device(device: str | None) -> str:
    """The name of the GPU to build on; TargetError if there is none, or no such index."""
    names = gpu_names()
    if not names:
        raise TargetError("target tensorrt needs an NVIDIA GPU and its driver: nvidia-smi finds none here; build on the GPU")
    if device is not None and not (device.isdigit() and int(device) < len(names)):
        raise TargetError(f"--device is {device}, expected the index of a GPU, 0..{len(names) - 1}")
    return names[int(device or 0)]


def engine_name(engine: str, model: bytes, gpu: str, version: str) -> str:
    """`decoder-NVIDIA-L4-trt10.3.0-0123456789abcdef.engine`: all that an engine depends on."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", gpu).strip("-")
    return f"{Path(engine).stem}-{plain}-trt{version}-{hashlib.sha256(model).hexdigest()[:16]}.engine"


def find_engine(folder: Path, engine: str, model: bytes, gpu: str, version: str) -> Path:
    """The file built for exactly this model, GPU and TensorRT; TargetError telling to rebuild if it is not there."""
    path = folder / engine_name(engine, model, gpu, version)
    if path.is_file():
        return path
    others = sorted(file.name for file in folder.glob(f"{Path(engine).stem}-*.engine"))
    raise TargetError(
        f"{folder} has no {path.name}, only {', '.join(others) or 'nothing'}: a TensorRT engine fits one GPU model, one TensorRT "
        "version and one model; build it here with: ugicm-export CHECKPOINT --out DIR --targets onnx tensorrt"
    )


def ready_for_tensorrt(data: bytes) -> bytes:
    """An engine whose 8-bit pixels are cast right at the door, as TensorRT wants them; the results are the same."""
    model = onnx.load_from_string(data)
    graph = model.graph
    for value in graph.input:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            inner = f"{value.name}_float"
            for node in graph.node:
                node.input[:] = [inner if name == value.name else name for name in node.input]
            graph.node.insert(0, helper.make_node("Cast", [value.name], [inner], to=TensorProto.FLOAT))
    for value in graph.output:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            inner = f"{value.name}_float"
            for node in graph.node:
                if node.op_type == "Cast" and node.attribute[0].i == TensorProto.UINT8:
                    node.op_type = "Floor"  # pixels are not negative: what the cast did
                    del node.attribute[:]
                node.output[:] = [inner if name == value.name else name for name in node.output]
            graph.node.append(helper.make_node("Cast", [inner], [value.name], to=TensorProto.UINT8))
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def build_engines(
    bundle: Bundle,
    folder: Path,
    profile: Profile,
    workspace: float | None,
    device: str | None,
    progress: Callable[[str], None],
) -> list[Path]:
    """Build both engines into `folder` beside a timing cache; TargetError if TensorRT is too old or refuses."""
    gpu = check_device(device)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    import tensorrt as trt

    if int(trt.__version__.split(".")[0]) < OLDEST:
        raise TargetError(f"TensorRT is {trt.__version__}, at least {OLDEST} is needed: pip install 'ugicm[tensorrt]'")
    manifest = bundle.manifest
    shapes = {
        ENCODER: profile.encoder(),
        DECODER: profile.decoder(manifest.hyper_channels, manifest.latent_channels),
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for engine, ranges in shapes.items():
        model = bundle.engine(engine, "fp16") if "fp16" in bundle.variants else half_precision(bundle.engine(engine))
        path = folder / engine_name(engine, model, gpu, trt.__version__)
        progress(f"tensorrt: building {path.name}, which takes minutes")
        path.write_bytes(_plan(trt, ready_for_tensorrt(model), ranges, workspace, folder / TIMING_CACHE))
        written.append(path)
    return written


def _plan(trt: Any, model: bytes, shapes: dict[str, Any], workspace: float | None, cache_file: Path) -> bytes:
    """The serialised engine of one ONNX file; reads and writes the timing cache."""
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        errors = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
        raise TargetError(f"TensorRT cannot read the engine: {errors}")
    config = builder.create_builder_config()
    if workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(workspace * GIB))
    cache = config.create_timing_cache(cache_file.read_bytes() if cache_file.is_file() else b"")
    config.set_timing_cache(cache, False)
    profile = builder.create_optimization_profile()
    for name, (smallest, best, largest) in shapes.items():
        profile.set_shape(name, smallest, best, largest)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise TargetError("TensorRT could not build the engine; its log above says why (often: too little --workspace)")
    cache_file.write_bytes(config.get_timing_cache().serialize())
    return bytes(plan)
