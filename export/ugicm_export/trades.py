"""`python -m ugicm_export.trades`: what eight bits gain and cost, part by part and method by method, as docs/export.md shows it.

Prints three tables in Markdown: where the time of the encoders goes, the loss and speed of the encoder for several sets of parts
in eight bits, and the loss for each way to take ranges from the photos.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from ugicm_coder import EntropyModel

from ugicm_export.entropy import entropy_file
from ugicm_export.half import rounded_to_half
from ugicm_export.int8 import STEM, STREAM_READERS, Half, prepare
from ugicm_export.measure import LEVELS, Engines, measure, speed_ratio
from ugicm_export.onnx_export import OPSET, decoder_onnx, encoder_onnx
from ugicm_export.pictures import picture_files, read_crop, spread
from ugicm_export.targets import METHOD, METHODS
from ugicm_train.checkpoint import load_codec
from ugicm_train.model.build import as_codec

RUNS = 20
HEIGHT, WIDTH = 512, 768
PARTS = ("analysis/stem", "analysis/blocks8", "analysis/down", "analysis/blocks16", "analysis/leave", "hyper_analysis", "mean_network")


def part_times(encoder: bytes, picture: np.ndarray) -> dict[str, float]:
    """Milliseconds per part of an encoder engine on one thread, least of `RUNS` for each node; what has no part moves data."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "run")
        session = ort.InferenceSession(encoder, options, providers=["CPUExecutionProvider"])
        for _ in range(RUNS):
            session.run(None, {"image": picture[None], "quality": np.array([LEVELS[1]], np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text())
    least: dict[str, float] = defaultdict(lambda: np.inf)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            least[event["name"]] = min(least[event["name"]], event["dur"] / 1000)
    times = dict.fromkeys([*PARTS, "rest"], 0.0)
    for name, duration in least.items():
        times[next((part for part in PARTS if name.startswith(f"/{part}")), "rest")] += duration
    return times


def profile_table(encoders: dict[str, bytes], picture: np.ndarray) -> list[str]:
    """Share of each part per engine."""
    times = {name: part_times(data, picture) for name, data in encoders.items()}
    rows = [f"| part | {' | '.join(f'{name}, ms' for name in times)} |", f"|---|{'---|' * len(times)}"]
    for part in [*PARTS, "rest"]:
        rows.append(f"| {part} | {' | '.join(f'{one[part]:.1f}' for one in times.values())} |")
    return [*rows, f"| all | {' | '.join(f'{sum(one.values()):.1f}' for one in times.values())} |"]


def part_sets(half: Half) -> dict[str, set[str]]:
    """The sets of encoder parts that the second table compares."""
    readers = half.parts & set(STREAM_READERS)
    blocks = half.parts - readers - {STEM}
    kept = blocks | (half.parts & {STEM})
    more = {f"and {name}": kept | {name} for name in sorted(readers)}
    return {"blocks": blocks, "blocks and stem": kept, **more, "all of these": half.parts}


def losses(fp32: Engines, other: Engines, entropy: EntropyModel, pictures: Sequence[np.ndarray]) -> str:
    """Cells of PSNR lost and change of rate, level by level."""
    found = [measure(fp32, other, entropy, pictures, (level,)) for level in LEVELS]
    return " | ".join(f"{one.psnr_loss:+.2f} dB {one.rate_change:+.2%}" for one in found)


def compare(
    checkpoint: Path, calibration: Path, pictures: Sequence[np.ndarray], methods: Sequence[str], say: Callable[[str], None]
) -> None:
    """Print the tables, each as soon as it is known; CheckpointError or PictureError for what cannot be used."""
    codec = rounded_to_half(as_codec(load_codec(checkpoint)[0], "export"))
    encoder, decoder, entropy = encoder_onnx(codec), decoder_onnx(codec), entropy_file(codec)
    fp32, model = Engines(encoder, decoder, 1), EntropyModel(entropy)
    largest = max(pictures, key=lambda picture: picture.size)[:HEIGHT, :WIDTH]

    def halves(method: str) -> dict[str, Half]:
        return prepare(codec, fp32, calibration, OPSET, lambda text: print(text, file=sys.stderr), method)

    levels = " | ".join(f"level {level}" for level in LEVELS)
    ready = halves(METHOD)
    sets = part_sets(ready["encoder"])
    made = {name: ready["encoder"].quantised(parts) for name, parts in sets.items()}
    say("\n".join(profile_table({"fp32": encoder, "int8": made["blocks and stem"], "all in int8": made["all of these"]}, largest)))
    say(f"\n| encoder in eight bits, decoder fp32 | {levels} | times as fast |\n|---|{'---|' * (len(LEVELS) + 1)}")
    for name, data in made.items():
        other = Engines(data, decoder, 1)
        say(f"| {name} | {losses(fp32, other, model, pictures)} | {speed_ratio(fp32, other, largest)['encoder']} |")
    say(f"\n| ranges, encoder and decoder in eight bits | {levels} | dB to fp32 views |\n|---|{'---|' * (len(LEVELS) + 1)}")
    for method in methods:
        both = ready if method == METHOD else halves(method)
        kept = {name: half.quantised(half.parts - set(STREAM_READERS)) for name, half in both.items()}
        other = Engines(kept["encoder"], kept["decoder"], 1)
        near = measure(fp32, other, model, pictures).psnr_to_fp32
        say(f"| {method} | {losses(fp32, other, model, pictures)} | {near:.1f} |")


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    top = argparse.ArgumentParser(prog="python -m ugicm_export.trades", description=__doc__.splitlines()[2])
    top.add_argument("checkpoint", type=Path)
    top.add_argument("--calibration", type=Path, required=True, metavar="DIR", help="folder of at least 16 photos for the ranges")
    top.add_argument("--pictures", type=Path, required=True, metavar="DIR", help="folder of other photos to measure on")
    top.add_argument("--count", type=int, default=6, help="how many of them (default 6)")
    top.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    args = top.parse_args(argv)
    try:
        if args.count < 1:
            raise ValueError(f"--count is {args.count}, expected at least 1")
        pictures = [read_crop(path) for path in spread(picture_files(args.pictures), args.count)]
        compare(args.checkpoint, args.calibration, pictures, args.methods, lambda text: print(text, flush=True))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"ugicm_export.trades: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
