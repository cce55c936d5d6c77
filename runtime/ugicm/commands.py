"""What the commands of `ugicm` do once their arguments are parsed; each returns the exit code."""

import argparse
import os
import warnings

from PIL import Image

from . import batch, files, image, image_write, metadata, rate
from .bitstream import DEFAULT_MAX_PIXELS, Bytes, parse
from .checks import check_threads
from .codec import VIEWS, Codec
from .errors import OptionError
from .tiles import DEFAULT_TILE_PIXELS, check_region

BOTH = "both"


def encode(options: argparse.Namespace) -> int:
    """`ugicm encode`."""
    jobs = batch.plan(options.inputs, options.output, batch.STREAM_SUFFIX, batch.picture_suffixes, force=options.force)
    codec = _open_codec(options)
    codec.prepare(encode=True, refine=options.effort > 0, guidance=options.guidance)

    def convert(job: batch.Job) -> dict[str, bytes]:
        picture = image.read_picture(_source(job.source), codec.info["max_pixels"], strip=options.strip)
        for note in picture.notes:
            batch.say(f"warning: {job.source}: {note}")
        return {job.target: _encode_picture(codec, picture, options, job)}

    return batch.run(jobs, convert)


def decode(options: argparse.Namespace) -> int:
    """`ugicm decode`."""
    views = list(VIEWS) if options.view == BOTH else []
    suffix = f".{options.format}"

    def names(target: str) -> list[str]:
        return [_with_view(target, view) for view in views] or [target]

    jobs = batch.plan(options.inputs, options.output, suffix, lambda: (batch.STREAM_SUFFIX,), force=options.force, written=names)
    if views and any(job.target == files.STANDARD_STREAM for job in jobs):
        raise OptionError("two views cannot go to standard output; name an output file or folder")
    codec = _open_codec(options)
    codec.prepare(decode=True)

    def convert(job: batch.Job) -> dict[str, bytes]:
        to_file = job.target != files.STANDARD_STREAM
        image_format = image_write.format_for(job.target if to_file else f"output{suffix}")
        data = files.read_bytes(job.source)
        wanted = [VIEWS[view] for view in views] or [_preference(options)]
        pictures = codec.decode_views(data, wanted, options.region, progress=batch.tile_progress(job))
        carried = _metadata(data, codec, options)
        return {
            name: image_write.encode_image(picture, image_format, carried)
            for name, picture in zip(names(job.target), pictures, strict=True)
        }

    return batch.run(jobs, convert)


def info(options: argparse.Namespace) -> int:
    """`ugicm info`."""
    from . import report

    facts = report.describe(options.file if options.file is not None else options.bundle)
    print(report.as_json(facts) if options.json else report.as_text(facts))
    return 0


def bench(options: argparse.Namespace) -> int:
    """`ugicm bench`."""
    from . import bench, report

    codec = _open_codec(options)
    if options.image is None:
        array = bench.draw_picture()
    else:
        with files.naming(options.image):
            array, _ = image.read_image(_source(options.image), codec.info["max_pixels"])
    facts = {"image": options.image or "drawn", **bench.measure(codec, array, options.quality, options.runs)}
    print(report.as_json(facts) if options.json else bench.as_text(facts))
    return 0


def serve(options: argparse.Namespace) -> int:
    """`ugicm serve`."""
    from . import server

    try:
        run = server.serve
    except ImportError as error:
        hint = "install it with: pip install 'ugicm[server]'"
        raise OptionError(f"the server cannot be loaded ({error}); {hint}") from error
    settings = server.Settings(
        workers=check_threads(options.workers),
        queue=options.queue,
        batch=options.batch,
        max_body=options.max_body,
        max_effort=options.max_effort,
        timeout=options.timeout,
    )
    return run(_open_codec(options), settings, options.host, options.port, quiet=options.quiet)


def _open_codec(options: argparse.Namespace) -> Codec:
    # The size is checked against --max-pixels before a picture is decoded, so Pillow's own guard only gets in the way;
    # and what it warns of in a damaged file is either harmless or becomes an error.
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module="PIL")
    return Codec.open(
        options.bundle,
        variant=options.variant,
        engine=options.engine,
        providers=(options.provider,),
        threads=options.threads,
        max_pixels=options.max_pixels or DEFAULT_MAX_PIXELS,
        tile_pixels=options.tile_pixels or DEFAULT_TILE_PIXELS,
    )


def _source(path: str) -> bytes | str:
    """A plain file by its name, so that it is read piece by piece; a pipe or standard input as bytes."""
    return path if os.path.isfile(path) else files.read_bytes(path)


def _encode_picture(codec: Codec, picture: image.Picture, options: argparse.Namespace, job: batch.Job) -> bytes:
    array, boxes, progress = image.visible(picture), picture.metadata.to_boxes(), batch.tile_progress(job)
    if options.target_size is None and options.target_bpp is None:
        return codec.encode(
            array, options.quality, effort=options.effort, guidance=options.guidance, boxes=boxes, progress=progress
        )
    pixels = array.shape[0] * array.shape[1]
    target = rate.check_target(options.target_size, options.target_bpp, pixels)
    stream = codec.encode_to_size(
        array, target, effort=options.effort, guidance=options.guidance, boxes=boxes, progress=progress
    )
    note = rate.shortfall(len(stream), target, parse(stream, codec.info["max_pixels"]).level)
    if note:
        batch.say(f"note: {job.source}: {note}")
    return stream


def _preference(options: argparse.Namespace) -> float:
    return VIEWS[options.view or "human"] if options.preference is None else options.preference


def _metadata(data: Bytes, codec: Codec, options: argparse.Namespace) -> metadata.Metadata:
    """What goes into the picture file beside the colours."""
    stream = parse(data, codec.info["max_pixels"])
    found = metadata.of_stream(stream)
    if options.region is not None:
        found = found.cropped(check_region(options.region, stream.width, stream.height))
    return found.stripped() if options.strip else found


def _with_view(target: str, view: str) -> str:
    stem, suffix = os.path.splitext(target)
    return f"{stem}.{view}{suffix}"
