"""From command-line inputs to jobs, and running jobs one after the other so that one failure does not stop the rest."""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from .errors import OptionError, UgicmError
from .files import STANDARD_STREAM, write_bytes

_BAR_WIDTH = 24
STREAM_SUFFIX = ".ugic"


@dataclass(frozen=True)
class Job:
    """One conversion; either path may be "-". A job with a `problem` fails with that sentence."""

    source: str
    target: str
    problem: str | None = None


def picture_suffixes() -> tuple[str, ...]:
    """Suffixes of the files that are read; asking makes Pillow load all its plugins, which takes a moment."""
    from PIL import Image

    from .image import REFUSED

    return tuple(suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN and kind not in REFUSED)


def plan(
    inputs: Sequence[str],
    output: str,
    suffix: str,
    readable: Callable[[], Collection[str]],
    *,
    force: bool = False,
    written: Callable[[str], Sequence[str]] = lambda target: [target],
) -> list[Job]:
    """The jobs of a command.

    One input and an output that is no folder: that single job, with a problem if a stream would replace a file of another suffix
    and `force` is not given. Otherwise `output` is a folder, made if missing; each
    file goes there under its own name with `suffix`, and an input folder stands for its files whose suffix is in
    `readable()`. A file that cannot be converted this way becomes a job with a problem; so does one whose name in the folder
    is taken, unless `force`: nobody typed that name, and the file there may be the original. `written` gives the names
    that are really written for a target, where they are others.
    Raises `OptionError` when the arguments make no sense as a whole.
    """
    to_folder = len(inputs) > 1 or os.path.isdir(inputs[0]) or os.path.isdir(output) or output.endswith(("/", os.sep))
    if not to_folder:
        return [Job(inputs[0], output, _same_file(inputs[0], output) or _other_file(output, suffix, force))]
    if output == STANDARD_STREAM:
        raise OptionError("several inputs cannot go to standard output; name an output folder")
    if os.path.exists(output) and not os.path.isdir(output):
        raise OptionError(f"several inputs need an output folder, but '{output}' is a file")
    if STANDARD_STREAM in inputs:
        raise OptionError("standard input has no name to use inside a folder; name the output file")
    sources = [path for given in inputs for path in _expand(given, readable)]
    if not sources:
        raise OptionError(f"there are no files to convert in {', '.join(inputs)}")
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise OptionError(f"cannot make folder '{output}': {error.strerror}") from error
    return _name_targets(sources, output, suffix, force, written)


def run(jobs: Sequence[Job], convert: Callable[[Job], Mapping[str, bytes]]) -> int:
    """Convert every job and write what comes of it, by target, complaining about those that fail; returns the exit code."""
    failures = 0
    try:
        for number, job in enumerate(jobs):
            _show_bar(number, len(jobs), job.source)
            failures += not _run_one(job, convert)
    finally:
        _clear_bar()
    if failures and len(jobs) > 1:
        say(f"{failures} of {len(jobs)} files failed")
    return 1 if failures else 0


def _run_one(job: Job, convert: Callable[[Job], Mapping[str, bytes]]) -> bool:
    """True if all went well; else the complaint has been printed."""
    try:
        if job.problem:
            raise OptionError(job.problem)
        for target, data in convert(job).items():
            write_bytes(target, data)
    except UgicmError as error:
        say(f"{job.source}: {error}")
    except MemoryError:
        say(f"{job.source}: not enough memory for this picture")
    else:
        return True
    return False


def say(sentence: str) -> None:
    """Print a line on standard error, clear of the progress bar."""
    _clear_bar()
    print(f"ugicm: {sentence}", file=sys.stderr)


def _expand(path: str, readable: Callable[[], Collection[str]]) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    suffixes = readable()
    try:
        names = sorted(name for name in os.listdir(path) if os.path.splitext(name)[1].lower() in suffixes)
    except OSError as error:
        raise OptionError(f"cannot list folder '{path}': {error.strerror}") from error
    return [os.path.join(path, name) for name in names]


def _name_targets(
    sources: Sequence[str], folder: str, suffix: str, force: bool, written: Callable[[str], Sequence[str]]
) -> list[Job]:
    """Give each source its name in `folder`; two that would get the same name must not overwrite each other."""
    taken: dict[str, str] = {}
    jobs = []
    for source in sources:
        target = os.path.join(folder, os.path.splitext(os.path.basename(source))[0] + suffix)
        first = taken.setdefault(target, source)
        problem = _same_file(source, target)
        there = next((name for name in written(target) if os.path.exists(name)), None)
        if problem is None and not force and there:
            problem = f"'{there}' exists; give --force to replace it, or name another output"
        if first != source:
            problem = f"'{target}' is already the output of '{first}'; convert this one on its own"
        jobs.append(Job(source, target, problem))
    return jobs


def _other_file(target: str, suffix: str, force: bool) -> str | None:
    """A problem if a stream would take the place of a file that is none, as where the shell makes two pictures of `encode p*.png`."""
    if suffix != STREAM_SUFFIX or force or target.lower().endswith(suffix) or not os.path.isfile(target):
        return None
    return f"'{target}' exists and is not called *{suffix}; give --force to replace it, or name another output"


def _same_file(source: str, target: str) -> str | None:
    if STANDARD_STREAM in (source, target) or not os.path.exists(target) or not os.path.exists(source):
        return None
    if os.path.samefile(source, target):
        return "input and output are the same file; name another output"
    return None


def tile_progress(job: Job) -> Callable[[int, int], None]:
    """What shows how far the tiles of one large picture are."""
    return lambda done, total: _show_bar(done, total, job.source, " tiles of")


def _show_bar(done: int, total: int, name: str, unit: str = "") -> None:
    if total > 1 and sys.stderr.isatty():
        filled = _BAR_WIDTH * done // total
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        print(f"\r\033[K[{bar}] {done}/{total}{unit} {os.path.basename(name)[:40]}", end="", file=sys.stderr, flush=True)


def _clear_bar() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
