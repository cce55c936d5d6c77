"""Suite "tasks": how well downstream nets read decoded pictures, over the bits of the files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from . import datasets
from .classification import Classification
from .codecs import LOSSLESS, ImageCodec, pillow_codec
from .config import Config
from .datasets import Dataset, read_rgb
from .detection import Detection
from .errors import BenchmarkError
from .nets import Net, load_nets
from .progress import Progress
from .roster import contestants
from .segmentation import Segmentation
from .store import Store
from .task import REPLICATES, Task, summarise

_QUICK_STEP = 5


def run(config: Config, store: Store) -> None:
    """Measure every codec that has no fresh result yet, on every net that `nets.json` describes.

    A lossless codec takes part, so that the uncompressed scores come out of the same code as all others. Threads go to pictures:
    every codec and net has one.
    """
    nets = load_nets(config.data, 1)
    codecs = [pillow_codec(LOSSLESS), *contestants(config, "tasks")]
    step = config.step(_QUICK_STEP)
    dataset, labels = datasets.imagenet150(config.data, step)
    chosen = [net for net in nets if net.task == "classify"]
    _run_set(config, store, codecs, dataset, chosen, lambda net: Classification(net, dataset.files, labels))
    scenes, boxes, masks = datasets.coco64(config.data, step)
    makers = {
        "detect": lambda net: Detection(net, scenes.files, boxes),
        "segment": lambda net: Segmentation(net, scenes.files, masks),
    }
    chosen = [net for net in nets if net.task in makers]
    _run_set(config, store, codecs, scenes, chosen, lambda net: makers[net.task](net))


def measure(
    codec: ImageCodec, dataset: Dataset, qualities: Sequence[int], tasks: Sequence[Task], threads: int = 1
) -> dict[Any, Any]:
    """Results by (net, view): each picture is encoded once per quality, and every view decodes those same bytes.

    Each is {"results": {"bpp": [...], metric: [...]}, "replicates": [{metric: [...]} per quality], "streams_sha256":
    [hash of all streams, per quality]}.
    """
    keys = [(task.net.name, view) for task in tasks for view in codec.views]
    found: dict[Any, Any] = {key: {"rows": [], "replicates": [], "streams_sha256": []} for key in keys}
    with Progress(f"tasks {dataset.name} {codec.name}", len(qualities) * len(dataset.files)) as progress:
        for quality in qualities:
            sizes, pixels, digest, observations = _observe(codec, dataset, quality, tasks, progress, threads)
            for task in tasks:
                for view in codec.views:
                    entry = found[task.net.name, view]
                    row, replicates = summarise(task.scorer(observations[task.net.name, view]), sizes, pixels)
                    entry["rows"].append(row)
                    entry["replicates"].append({name: _rounded(values) for name, values in replicates.items()})
                    entry["streams_sha256"].append(digest)
    for entry in found.values():
        rows = entry.pop("rows")
        entry["results"] = {name: _rounded([row[name] for row in rows]) for name in rows[0]}
        entry["results"]["quality"] = list(qualities)
    return found


def _observe(
    codec: ImageCodec, dataset: Dataset, quality: int, tasks: Sequence[Task], progress: Progress, threads: int
) -> tuple[list[int], list[int], str, dict[Any, list[Any]]]:
    """Bytes and pixels of each picture, a hash of all streams, and the observations by (net, view); `threads` pictures at a time."""

    def look(index: int) -> tuple[bytes, int, dict[Any, Any]]:
        image = read_rgb(dataset.files[index])
        stream = codec.encode(image, quality)
        seen = {}
        for view in codec.views:
            decoded = codec.decode(stream, view)
            seen |= {(task.net.name, view): task.observe(index, decoded) for task in tasks}
        return stream, image.shape[0] * image.shape[1], seen

    sizes: list[int] = []
    pixels: list[int] = []
    digest = hashlib.sha256()
    observations: dict[Any, list[Any]] = {(task.net.name, view): [] for task in tasks for view in codec.views}
    with ThreadPoolExecutor(threads) as pool:
        for stream, area, seen in pool.map(look, range(len(dataset.files))):
            sizes.append(len(stream))
            pixels.append(area)
            digest.update(stream)
            for key, observation in seen.items():
                observations[key].append(observation)
            progress.step()
    return sizes, pixels, digest.hexdigest()[:16], observations


def _run_set(
    config: Config, store: Store, codecs: Sequence[ImageCodec], dataset: Dataset, nets: Sequence[Net], make: Any
) -> None:
    """All codecs on one set; the nets' predictions on the originals are made only if something is to be measured."""
    identity = {**dataset.identity(), "replicates": REPLICATES}
    tasks: list[Task] = []
    for codec in codecs:
        qualities = config.ladder(codec.qualities("tasks"))
        settings = {
            (net.name, view): {**identity, "net_sha256": net.sha256[:16], "qualities": qualities, **codec.settings()}
            for net in nets
            for view in codec.views
        }
        if all(store.is_fresh(_key(*pair), wanted) for pair, wanted in settings.items()):
            print(f"tasks {dataset.name} {codec.name}: already measured")
            continue
        tasks = tasks or [make(net) for net in nets]
        for (net, view), entry in measure(codec, dataset, qualities, tasks, config.threads).items():
            wanted = settings[net, view]
            if not all(np.isfinite(values).all() for values in entry["results"].values()):
                raise BenchmarkError(f"{net} on {view} gave scores that are no numbers; the codec or net is broken")
            store.save(
                _key(net, view),
                name=view,
                description=f"{wanted['codec']}; {net} on {len(dataset.files)} pictures of {dataset.name}",
                suite="tasks",
                settings=wanted,
                net=net,
                **entry,
            )


def _key(net: str, view: str) -> str:
    return f"tasks-{net}-{view}"


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 5) for value in values]
