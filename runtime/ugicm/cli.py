"""The `ugicm` command: parse, make one codec, call the library, print, return an exit code.

Exit codes: 0 all is well, 1 something failed (a sentence per failure is on standard error), 2 wrong usage,
128 + n ended by signal n (Ctrl-C: 130). Heavy imports happen inside the commands, so that `--help` is instant.
"""

import argparse
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import OptionError, UgicmError

if TYPE_CHECKING:
    from .codec import Codec

_MODEL_HELP = "model bundle, a folder or .zip (default: $UGICM_BUNDLE, else the model shipped with ugicm)"
_INPUT_HELP = '; several files or folders may be given, then the last argument is a folder; "-" is standard '


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    with _ending_signals_raise():
        try:
            return options.command(options)
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
    _add_quality(encode)
    _add_force(encode)
    _add_engine_options(encode)
    encode.set_defaults(command=_encode)


def _add_decode(commands: Any) -> None:
    decode = commands.add_parser("decode", help=".ugic to picture", description="Decode .ugic streams to pictures.")
    decode.add_argument("inputs", nargs="+", metavar="IN.ugic", help="stream" + _INPUT_HELP + "input")
    decode.add_argument(
        "output", metavar="OUT.png", help='.png, .jpg, .webp or .ppm file, a folder, or "-" (PNG) for output'
    )
    view = decode.add_mutually_exclusive_group()
    view.add_argument("--view", choices=("human", "machine"), help="who will look (default: human)")
    view.add_argument("--preference", type=_unit, metavar="P", help="a point between: 0 is human, 1 is machine")
    _add_force(decode)
    _add_engine_options(decode)
    decode.set_defaults(command=_decode)


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
    info.set_defaults(command=_info)


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser("bench", help="time this machine", description="Median times of encoding and decoding.")
    bench.add_argument("--image", metavar="FILE", help="picture to use (default: a drawn one of 768x512)")
    bench.add_argument("--runs", type=_count, default=9, metavar="N", help="timed runs (default: 9)")
    bench.add_argument("--json", action="store_true", help="machine-readable output")
    _add_quality(bench)
    _add_engine_options(bench)
    bench.set_defaults(command=_bench)


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve", help="HTTP server with a page", description="Serve encoding and decoding over HTTP, with a page to try it at /."
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    serve.add_argument("--workers", type=_count, metavar="N", help="pictures coded at once (default: one per core)")
    serve.add_argument("--queue", type=_count, default=64, metavar="N", help="requests that may wait (default: %(default)s)")
    serve.add_argument("--batch", type=_count, default=1, metavar="N", help="equal sizes in one engine call (default: 1, off)")
    serve.add_argument("--max-body", type=_count, default=64 << 20, metavar="BYTES", help="largest request (default: 64 MiB)")
    serve.add_argument("--timeout", type=_seconds, default=60.0, metavar="S", help="wait for a result (default: 60)")
    serve.add_argument("--quiet", action="store_true", help="no log line per request")
    _add_engine_options(serve, threads="1 per worker", pixels="2^26")
    serve.set_defaults(command=_serve, threads=1, max_pixels=1 << 26)


def _add_quality(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-q", "--quality", type=_quality, default=50.0, metavar="Q", help="0 (smallest) .. 100 (best), default 50"
    )


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="replace files that are already in the output folder")


def _add_engine_options(parser: argparse.ArgumentParser, threads: str = "all cores", pixels: str = "2^28") -> None:
    parser.add_argument("--bundle", metavar="PATH", help=_MODEL_HELP)
    parser.add_argument("--threads", type=_count, metavar="N", help=f"threads to use (default: {threads})")
    parser.add_argument("--provider", default="CPUExecutionProvider", metavar="NAME", help="ONNX Runtime provider")
    parser.add_argument(
        "--max-pixels", type=_count, metavar="N", help=f"largest picture accepted (default: {pixels} pixels)"
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


def _seconds(text: str) -> float:
    return _number(text, 0.001, 86400)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _open_codec(options: argparse.Namespace) -> "Codec":
    from PIL import Image

    from .bitstream import DEFAULT_MAX_PIXELS
    from .codec import Codec

    # The size is checked against --max-pixels before a picture is decoded, so Pillow's own guard only gets in the way;
    # and what it warns of in a damaged file is either harmless or becomes an error.
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module="PIL")
    limit = options.max_pixels or DEFAULT_MAX_PIXELS
    return Codec.open(
        options.bundle, threads=options.threads, providers=(options.provider,), max_pixels=limit
    )


def _encode(options: argparse.Namespace) -> int:
    from . import batch, files, image

    jobs = batch.plan(options.inputs, options.output, ".ugic", batch.picture_suffixes, force=options.force)
    codec = _open_codec(options)
    codec.prepare(encode=True)

    def convert(job: batch.Job) -> bytes:
        array, notes = image.read_image(files.read_bytes(job.source), codec.info["max_pixels"])
        for note in notes:
            batch.say(f"warning: {job.source}: {note}")
        return codec.encode(array, options.quality)

    return batch.run(jobs, convert)


def _decode(options: argparse.Namespace) -> int:
    from . import batch, files, image

    jobs = batch.plan(options.inputs, options.output, ".png", lambda: (".ugic",), force=options.force)
    codec = _open_codec(options)
    codec.prepare(decode=True)

    def convert(job: batch.Job) -> bytes:
        image_format = "PNG" if job.target == files.STANDARD_STREAM else image.format_for(job.target)
        array = codec.decode(files.read_bytes(job.source), options.view or "human", options.preference)
        return image.encode_image(array, image_format)

    return batch.run(jobs, convert)


def _info(options: argparse.Namespace) -> int:
    from . import report

    facts = report.describe(options.file if options.file is not None else options.bundle)
    print(report.as_json(facts) if options.json else report.as_text(facts))
    return 0


def _bench(options: argparse.Namespace) -> int:
    from . import bench, files, image, report

    codec = _open_codec(options)
    if options.image is None:
        array = bench.draw_picture()
    else:
        with files.naming(options.image):
            array, _ = image.read_image(files.read_bytes(options.image), codec.info["max_pixels"])
    facts = {"image": options.image or "drawn", **bench.measure(codec, array, options.quality, options.runs)}
    print(report.as_json(facts) if options.json else bench.as_text(facts))
    return 0


def _serve(options: argparse.Namespace) -> int:
    try:
        from . import server

        serve = server.serve
    except ImportError as error:
        raise OptionError(f"the server cannot be loaded ({error}); install it with: pip install 'ugicm[server]'") from error
    from .checks import check_threads

    codec = _open_codec(options)
    settings = server.Settings(
        workers=check_threads(options.workers),
        queue=options.queue,
        batch=options.batch,
        max_body=options.max_body,
        timeout=options.timeout,
    )
    return serve(codec, settings, options.host, options.port, quiet=options.quiet)


def _complain(sentence: str) -> None:
    print(f"ugicm: {sentence}", file=sys.stderr)


@contextmanager
def _ending_signals_raise() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `SystemExit`, so that temporary files are removed on the way out."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # Python lets only the main thread set handlers
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
