"""`ugicm-export`: turn a checkpoint into a bundle, check a bundle, look into one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ugicm_export.profiles import Profile, parse_range
from ugicm_export.targets import COMMON, METHOD, METHODS, TARGETS, check_request, format_table, table

FOLDS = {"human": 0.0, "machine": 1.0}


def parser() -> argparse.ArgumentParser:
    """The command line of an export."""
    top = argparse.ArgumentParser(
        prog="ugicm-export",
        description="Export a checkpoint of ugicm-train to a bundle that the runtime opens: encoder.onnx, decoder.onnx, refiner.onnx, "
        "entropy.bin and manifest.json, with further engines as targets. Everything is compared before anything is kept.",
        epilog="further commands: ugicm-export verify BUNDLE, ugicm-export inspect BUNDLE, ugicm-export golden BUNDLE --out DIR; "
        "each has its --help",
    )
    top.add_argument("checkpoint", type=Path, help="checkpoint folder")
    top.add_argument("--list", action="store_true", help="show the targets with their files, devices and options")
    top.add_argument("--out", type=Path, required=True, help="bundle to write: a folder, or a file ending in .zip")
    top.add_argument("--targets", nargs="+", choices=TARGETS, default=["onnx"], metavar="TARGET", help=", ".join(TARGETS))
    top.add_argument("--name", help="name of the model in the manifest (default: the checkpoint folder's)")
    top.add_argument(
        "--weights", choices=("float16", "float32"), default="float16", help="precision the weights are stored in"
    )
    top.add_argument("--opset", type=int, default=17, help="ONNX opset, 17..20 (default 17)")
    top.add_argument("--force", action="store_true", help="replace an existing bundle")
    top.add_argument("--zip", action="store_true", help="write one file, --out with .zip added")
    top.add_argument("--no-refiner", action="store_true", help="leave refiner.onnx out, without which encoding takes no --effort")
    top.add_argument(
        "--structure",
        type=float,
        metavar="SHARE",
        help="share, 0..1, of structure (as in MS-SSIM) in the error that --effort lowers (default: the --human-ms-ssim of the training)",
    )
    top.add_argument("--skip-verify", action="store_true", help="leave the comparison with torch out; the manifest says so")
    some = top.add_argument_group("options of some targets (--list shows which)")
    some.add_argument("--fold-preference", nargs="+", metavar="P", help="also write decoders for one preference: human, machine, 0..1")
    some.add_argument("--atol", type=int, help="largest difference of a pixel to torch, in steps of 1/255 (default 1)")
    some.add_argument("--calibration", type=Path, metavar="DIR", help="folder of at least 16 photos")
    some.add_argument(
        "--calibration-method", choices=METHODS, help=f"how int8 ranges are taken from the photos (default {METHOD})"
    )
    some.add_argument("--image-size", metavar="MIN,OPT,MAX", help="sides in pixels (default 64,1024,4096)")
    some.add_argument("--batch", metavar="MIN,OPT,MAX", help="pictures per call (default 1,1,8)")
    some.add_argument("--workspace", type=float, metavar="GIB", help="memory TensorRT may use while it builds")
    some.add_argument("--device", help="triton: cpu or gpu; tensorrt: index of the GPU")
    return top


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code. Errors that a user can mend are one sentence on stderr."""
    words = sys.argv[1:] if argv is None else argv
    if "--list" in words:
        print(table())
        return 0
    commands: dict[str, Callable[[list[str]], int]] = {"verify": _verify, "inspect": _inspect, "golden": _golden}
    run = commands.get(words[0]) if words else None
    try:
        return run(words[1:]) if run else _export(words)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"ugicm-export: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        from ugicm.errors import UgicmError

        if not isinstance(error, UgicmError):
            raise
        print(f"ugicm-export: {error}", file=sys.stderr)
        return 1


def _export(words: list[str]) -> int:
    args = parser().parse_args(words)
    given = [name.replace("_", "-") for name, value in vars(args).items() if value not in (None, False)]
    options = {option for target in TARGETS.values() for option in target.options} | set(COMMON)
    out = args.out.with_name(args.out.name + ".zip") if args.zip and args.out.suffix != ".zip" else args.out
    targets = tuple(dict.fromkeys(["onnx", *args.targets]))  # every bundle has the fp32 engines
    check_request(targets, [name for name in given if name in options], zipped=out.suffix == ".zip")
    defaults = Profile()
    profile = Profile(
        parse_range(args.image_size) if args.image_size else defaults.side,
        parse_range(args.batch) if args.batch else defaults.batch,
    )
    if args.workspace is not None and not args.workspace > 0:
        raise ValueError(f"--workspace is {args.workspace}, expected more than 0 GiB")
    if args.atol is not None and not 0 <= args.atol <= 255:
        raise ValueError(f"--atol is {args.atol}, expected 0..255 steps")
    if args.structure is not None and not 0 <= args.structure <= 1:
        raise ValueError(f"--structure is {args.structure}, expected 0..1")
    if args.structure is not None and args.no_refiner:
        raise ValueError("--structure is a setting of the refiner, which --no-refiner leaves out")
    fold = dict(_fold(word) for word in args.fold_preference or [])
    from ugicm_export.exporter import Request, export_bundle

    request = Request(
        targets=targets,
        fold=fold,
        calibration=args.calibration,
        calibration_method=args.calibration_method or METHOD,
        pixel_steps=1 if args.atol is None else args.atol,
        refiner=not args.no_refiner,
        structure=args.structure,
        skip_verify=args.skip_verify,
        profile=profile,
        workspace=args.workspace,
        device=args.device,
    )
    half = args.weights == "float16"
    export_bundle(
        args.checkpoint, out, name=args.name, half_weights=half, opset=args.opset, replace=args.force, request=request
    )
    return 0


def _fold(word: str) -> tuple[str, float]:
    """Label for the file name, and preference."""
    try:
        value = FOLDS[word] if word in FOLDS else float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"--fold-preference is {word!r}, expected human, machine or a number in 0..1")
    return (word if word in FOLDS else f"p{value:g}"), value


def _verify(words: list[str]) -> int:
    top = argparse.ArgumentParser(
        prog="ugicm-export verify",
        description="Compare a bundle's engines with golden files (or with themselves on one thread) across ONNX Runtime's threads, "
        "graph optimisations and providers, and read every variant's streams with every other.",
    )
    top.add_argument("bundle", type=Path)
    top.add_argument("--golden", type=Path, metavar="DIR", help="golden files of this model (see ugicm-export golden)")
    top.add_argument("--providers", nargs="+", metavar="NAME", help="ONNX Runtime providers (default: all that are here)")
    top.add_argument("--json", action="store_true", help="print the report as JSON")
    args = top.parse_args(words)
    from ugicm_export.bundle_check import check_bundle

    quiet = (lambda text: None) if args.json else print
    report = check_bundle(args.bundle, args.golden, args.providers, progress=quiet)
    print(json.dumps(report, indent=2) if args.json else _verify_text(report))
    return 0 if report["passed"] else 1


def _verify_text(report: dict[str, Any]) -> str:
    rows = [
        (r["variant"], r["provider"], r["threads"], r["optimisation"], r["tensor"], r["values"], r["different"], r["ties"], r["largest"],
         f"{r['allowed']:g}", "ok" if r["passed"] else "FAILED")
        for r in report["rows"]
    ]  # fmt: skip
    head = ("engines", "provider", "threads", "optimisation", "tensor", "values", "different", "causes", "largest", "allowed share", "")
    pairs = [
        (one["encoder"], one["decoder"], one["bytes"], "equal" if one["symbols_equal"] else "DIFFERENT",
         f"{one['psnr_to_fp32']:.2f}", f"{one['least_psnr']:g}", "ok" if one["passed"] else "FAILED")
        for one in report["variants"]
    ]  # fmt: skip
    return "\n".join(
        [
            format_table(head, rows),
            "",
            format_table(("encoded by", "decoded by", "bytes", "symbols", "PSNR to fp32", "at least", ""), pairs),
            "",
            f"{report['bundle']} {'passed' if report['passed'] else 'FAILED'}, compared with: {report['golden']}",
        ]
    )


def _inspect(words: list[str]) -> int:
    top = argparse.ArgumentParser(prog="ugicm-export inspect", description="Show what a bundle holds.")
    top.add_argument("bundle", type=Path)
    top.add_argument("--json", action="store_true", help="everything, as JSON")
    args = top.parse_args(words)
    from ugicm_export.inspect_bundle import as_text, describe_bundle

    facts = describe_bundle(args.bundle)
    print(json.dumps(facts, indent=2) if args.json else as_text(facts))
    return 0


def _golden(words: list[str]) -> int:
    top = argparse.ArgumentParser(
        prog="ugicm-export golden",
        description="Write pictures, their streams and views as golden files, for ugicm-export verify on another machine.",
    )
    top.add_argument("bundle", type=Path)
    top.add_argument("--out", type=Path, required=True, help="folder to make")
    args = top.parse_args(words)
    from ugicm_export.bundle_check import write_golden

    write_golden(args.bundle, args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
