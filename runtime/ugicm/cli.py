"""The `ugicm` command: parse, make one codec, call the library, print, return an exit code.

Exit codes: 0 all is well, 1 something failed (a sentence per failure is on standard error), 2 wrong usage,
128 + n ended by signal n (Ctrl-C: 130). The commands themselves are in `commands`, imported once the arguments are known
to be right, so that `--help` is instant.
"""

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

from . import __version__
from .errors import UgicmError
from .signals import ending_signals_raise

_SIGPIPE = 13  # Windows has no name for it
_UNITS = {"": 1, "k": 1000, "Ki": 1024, "M": 1000**2, "Mi": 1024**2}
_MODEL_HELP = "model bundle, a folder or .zip (default: $UGICM_BUNDLE, else the model shipped with ugicm)"
_INPUT_HELP = '; several files or folders may be given, then the last argument is a folder; "-" is standard '


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    _replace_closed_streams()
    options = _parser().parse_args(arguments)
    with ending_signals_raise("SIGTERM", "SIGHUP"):  # so that temporary files are removed on the way out
        try:
            from . import commands

            code: int = getattr(commands, options.command)(options)
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            # Whoever read our text has enough, as in `ugicm info | head`.
            _forget_standard_output()
            return 128 + _SIGPIPE
        except OSError as error:  # files have sentences of their own; without a name it is the text that we print
            if error.filename is None:
                _forget_standard_output()
            _complain(f"cannot use {error.filename or 'standard output'}: {error.strerror or error}")
            return 1
        except UgicmError as error:
            _complain(str(error))
            return 1
        except MemoryError:
            _complain("not enough memory")
            return 1
        except KeyboardInterrupt:
            _complain("interrupted")
            return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ugicm", description="Learned image codec: one stream, read by people and machines."
    )
    parser.add_argument("--version", action="version", version=f"ugicm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_encode(commands)
    _add_decode(commands)
    _add_info(commands)
    _add_bench(commands)
    _add_serve(commands)
    return parser


def _add_encode(commands: Any) -> None:
    encode = commands.add_parser("encode", help="picture to .ugic", description="Encode pictures to .ugic streams.")
    encode.add_argument("inputs", nargs="+", metavar="IN", help="picture file" + _INPUT_HELP + "input")
    encode.add_argument("output", metavar="OUT.ugic", help='stream to write, a folder, or "-" for standard output')
    rate = encode.add_mutually_exclusive_group()
    _add_quality(rate)
    rate.add_argument("--target-size", type=_size, metavar="SIZE", help="best quality of at most so many bytes, as 40kB")
    rate.add_argument(
        "--target-bpp", type=_positive, metavar="BPP", help="best quality of at most so many bits per pixel"
    )
    encode.add_argument(
        "--effort",
        type=int,
        default=0,
        metavar="N",
        help="steps, 0..16, spent on a better stream for eyes, each about as long as three decodings (default: 0)",
    )
    encode.add_argument(
        "--guidance",
        type=float,
        default=0.0,
        metavar="G",
        help="how far the effort goes to what networks see, 0..1; a step then takes four decodings (default: 0, for eyes alone)",
    )
    encode.add_argument("--strip", action="store_true", help="keep no Exif, XMP or colour profile; colours become sRGB")
    _add_force(encode)
    _add_engine_options(encode)
    encode.set_defaults(command="encode")


def _add_decode(commands: Any) -> None:
    decode = commands.add_parser("decode", help=".ugic to picture", description="Decode .ugic streams to pictures.")
    decode.add_argument("inputs", nargs="+", metavar="IN.ugic", help="stream" + _INPUT_HELP + "input")
    decode.add_argument(
        "output", metavar="OUT.png", help='.png, .jpg, .webp, .ppm or .npy file, a folder, or "-" for standard output'
    )
    view = decode.add_mutually_exclusive_group()
    view.add_argument(
        "--view",
        choices=("human", "machine", "both"),
        help="who will look (default: human); both writes OUT.human.png and OUT.machine.png",
    )
    view.add_argument("--preference", type=_unit, metavar="P", help="a point between: 0 is human, 1 is machine")
    decode.add_argument("--region", type=_region, metavar="X,Y,W,H", help="decode this part of the picture only")
    decode.add_argument(
        "--format",
        choices=("png", "jpg", "webp", "ppm", "npy"),
        default="png",
        help="kind of picture in an output folder or on standard output (default: png)",
    )
    decode.add_argument("--strip", action="store_true", help="write no Exif and no XMP")
    _add_force(decode)
    _add_engine_options(decode)
    decode.set_defaults(command="decode")


def _add_info(commands: Any) -> None:
    info = commands.add_parser(
        "info", help="describe a stream or a model", description="Describe a stream or a model bundle."
    )
    what = info.add_mutually_exclusive_group()
    what.add_argument(
        "file", nargs="?", metavar="FILE", help="stream or bundle (default: the bundle that encode would use)"
    )
    what.add_argument("--bundle", metavar="PATH", help=_MODEL_HELP)
    info.add_argument("--json", action="store_true", help="machine-readable output")
    info.set_defaults(command="info")


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser("bench", help="time this machine", description="Median times of encoding and decoding.")
    bench.add_argument("--image", metavar="FILE", help="picture to use (default: a drawn one of 768x512)")
    bench.add_argument("--runs", type=_count, default=9, metavar="N", help="timed runs (default: 9)")
    bench.add_argument("--json", action="store_true", help="machine-readable output")
    _add_quality(bench)
    _add_engine_options(bench)
    bench.set_defaults(command="bench")


def _add_serve(commands: Any) -> None:
    text = "Serve encoding and decoding over HTTP, with a page to try it at /. SIGTERM or Ctrl-C ends it once all is answered."
    serve = commands.add_parser("serve", help="HTTP server with a page to try it", description=text)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    serve.add_argument("--workers", type=_count, metavar="N", help="pictures coded at once (default: one per core)")
    serve.add_argument("--queue", type=_count, default=64, metavar="N", help="requests that may wait (default: 64)")
    serve.add_argument(
        "--batch", type=_count, default=1, metavar="N", help="pictures of one size in an engine call (default: 1)"
    )
    serve.add_argument("--max-body", type=_size, default=64 << 20, metavar="SIZE", help="of a request (default: 64MiB)")
    serve.add_argument(
        "--max-effort", type=int, default=2, metavar="N", help="most steps an encode request may ask for, 0..16 (default: 2)"
    )
    serve.add_argument("--timeout", type=_positive, default=60.0, metavar="S", help="longest wait (default: 60 s)")
    serve.add_argument("--quiet", action="store_true", help="no log line per request")
    _add_engine_options(serve, threads="1 per worker", pixels="2^26")
    serve.set_defaults(command="serve", threads=1, max_pixels=1 << 26)


def _add_quality(parser: Any) -> None:
    parser.add_argument(
        "-q", "--quality", type=_quality, default=50.0, metavar="Q", help="0 (smallest) .. 100 (best), default 50"
    )


def _add_force(parser: argparse.ArgumentParser) -> None:
    words = "replace files that are already in the output folder, or a picture by a stream"
    parser.add_argument("--force", action="store_true", help=words)


def _add_engine_options(parser: argparse.ArgumentParser, threads: str = "all cores", pixels: str = "2^28") -> None:
    parser.add_argument("--bundle", metavar="PATH", help=_MODEL_HELP)
    parser.add_argument("--threads", type=_count, metavar="N", help=f"threads to use (default: {threads})")
    parser.add_argument("--engine", default="onnxruntime", metavar="NAME", help="onnxruntime (default) or openvino")
    parser.add_argument("--variant", default="fp32", metavar="NAME", help="precision of the engines (default: fp32)")
    parser.add_argument(
        "--provider", default="CPUExecutionProvider", metavar="NAME", help="provider of ONNX Runtime (default: CPU)"
    )
    parser.add_argument(
        "--max-pixels", type=_count, metavar="N", help=f"largest picture accepted (default: {pixels} pixels)"
    )
    parser.add_argument(
        "--tile-pixels", type=_count, metavar="N", help="most pixels in an engine at once (default: 2^23)"
    )


def _quality(text: str) -> float:
    return _number(text, 0, 100)


def _unit(text: str) -> float:
    return _number(text, 0, 1)


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number in {low}..{high}")
    return value


def _port(text: str) -> int:
    return int(_number(text, 0, 65535))


def _positive(text: str) -> float:
    return _number(text, 1e-9, 1e9)


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(|k|Ki|M|Mi)B?", text)
    size = round(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write it like 40000, 40kB or 1.5MiB")
    return size


def _region(text: str) -> tuple[int, ...]:
    if re.fullmatch(r"\d{1,9}(,\d{1,9}){3}", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a region; write it as X,Y,WIDTH,HEIGHT in pixels")
    return tuple(map(int, text.split(",")))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _replace_closed_streams() -> None:
    """Text for a standard stream that was closed, as by `>&-`, goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, open until the end


def _forget_standard_output() -> None:
    """What is still to be written goes nowhere: the interpreter flushes once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(sentence: str) -> None:
    print(f"ugicm: {sentence}", file=sys.stderr)
