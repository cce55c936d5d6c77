"""Peak memory of each codec, in fresh processes: one that only encodes, one that only decodes.

What is counted is all that a process comes to hold beyond Python, numpy and the picture (or the file): libraries, model and
working memory. "open" is what it holds with the codec ready, "peak" the most it ever holds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .codecs import ImageCodec
from .config import ROOT, Config
from .datasets import Dataset
from .errors import BenchmarkError
from .machine import peak_memory, processor
from .neural import PREFIX, CompressAiCodec
from .ours import UgicmCodec
from .progress import Progress
from .roster import open_codec
from .scenes import pictures, quality_for
from .store import Store

STEPS = ("encode", "decode")
_NAMES = ("encoding_open", "encoding_peak", "decoding_open", "decoding_peak")


def run(config: Config, store: Store, dataset: Dataset, sizes: Sequence[tuple[tuple[int, int], tuple[str, ...]]]) -> None:
    """Measure every codec that has no fresh result. sizes: width and height, and the CompressAI models to be tried there."""
    codecs: list[ImageCodec] = [open_codec(name, config, 1) for name in config.codecs]
    codecs += [CompressAiCodec(model) for model in dict.fromkeys(model for _, models in sizes for model in models)]
    common = {**dataset.identity(), "threads": 1, "processor": processor()}
    for codec in codecs:
        places = [
            size
            for size, models in sizes
            if not isinstance(codec, CompressAiCodec) or codec.model in models
        ]
        settings = {**common, "sizes": [list(size) for size in places], **codec.settings()}
        key = f"memory-{codec.name}"
        if store.is_fresh(key, settings):
            print(f"{key}: already measured")
            continue
        with Progress(f"memory {codec.name}", len(places)) as progress:
            rows = []
            for size in places:
                image = pictures(dataset, size)[0]
                rows.append(_of_size(config, codec.name, image, quality_for(codec, codecs, image)))
                progress.step()
        store.save(
            key,
            name=codec.name,
            suite="memory",
            settings=settings,
            description=f"{codec.settings()['codec']}; MiB of memory beyond Python and the picture",
            results={name: list(column) for name, column in zip(_NAMES, zip(*rows))},
        )


def _of_size(config: Config, name: str, image: np.ndarray, quality: int) -> list[float]:
    """MiB in the order of `_NAMES`."""
    with tempfile.TemporaryDirectory() as folder:
        order = {"codec": name, "quality": quality, "bundle": str(config.bundle) if config.bundle else None}
        order |= {"picture": f"{folder}/picture.npy", "stream": f"{folder}/stream"}
        np.save(order["picture"], image)
        return [value for step in STEPS for value in _in_fresh_process({**order, "step": step})]


def _in_fresh_process(order: dict[str, Any]) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.memory", json.dumps(order)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise BenchmarkError(f"memory of {order['codec']}: a process that {order['step']}s failed:\n{done.stderr.strip()}")
    opened, peak = json.loads(done.stdout)
    return opened, peak


def carry_out(order: dict[str, Any]) -> tuple[float, float]:
    """Encode or decode once as ordered; MiB held beyond the start with the codec ready, and at most."""
    encodes = order["step"] == "encode"
    image, stream = (np.load(order["picture"]), b"") if encodes else (None, Path(order["stream"]).read_bytes())
    start = peak_memory()
    codec = _open(order)
    opened = peak_memory()
    if image is not None:
        Path(order["stream"]).write_bytes(codec.encode(image, order["quality"]))
    else:
        codec.decode(stream, codec.views[0])
    return round(opened - start, 1), round(peak_memory() - start, 1)


def _open(order: dict[str, Any]) -> ImageCodec:
    """The codec, ready to work on one thread."""
    name, bundle = order["codec"], order["bundle"]
    if name.startswith(PREFIX):
        import torch

        torch.set_num_threads(1)
        return CompressAiCodec(name.removeprefix(PREFIX).replace("-", "_"))
    codec = open_codec(name, Config(bundle=Path(bundle) if bundle else None), 1)
    if isinstance(codec, UgicmCodec):
        codec.codec.prepare(**{order["step"]: True})
    return codec


if __name__ == "__main__":
    print(json.dumps(carry_out(json.loads(sys.argv[1]))))
