"""`ugicm-export`: turn a checkpoint into a bundle."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="ugicm-export",
        description="Export a checkpoint of ugicm-train to a bundle that the runtime opens: encoder.onnx, decoder.onnx, "
        "entropy.bin and manifest.json. The result is compared with torch before anything is kept.",
    )
    top.add_argument("checkpoint", type=Path, help="checkpoint folder")
    top.add_argument("--out", type=Path, required=True, help="bundle to write: a folder, or a file ending in .zip")
    top.add_argument("--name", help="name of the model in the manifest (default: the checkpoint folder's)")
    top.add_argument(
        "--weights", choices=("float16", "float32"), default="float16", help="precision the weights are stored in"
    )
    top.add_argument("--opset", type=int, default=17, help="ONNX opset (default 17)")
    top.add_argument("--force", action="store_true", help="replace an existing bundle")
    return top


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code. Errors that a user can mend are one sentence on stderr."""
    args = parser().parse_args(argv)
    from ugicm_export.exporter import export_bundle

    try:
        export_bundle(
            args.checkpoint,
            args.out,
            name=args.name,
            half_weights=args.weights == "float16",
            opset=args.opset,
            replace=args.force,
        )
    except (OSError, ValueError, RuntimeError) as error:
        print(f"ugicm-export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
