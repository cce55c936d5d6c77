"""Reading whole files and writing them so that nobody ever sees half a file."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OptionError, UgicmError

STANDARD_STREAM = "-"


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Put `path` before the message of a `UgicmError` raised inside."""
    try:
        yield
    except UgicmError as error:
        raise type(error)(f"{path}: {error}") from error


def read_bytes(path: str) -> bytes:
    """Read a file, or standard input for "-"; raises `UgicmError` with the cause (see `naming` for the file)."""
    try:
        if path != STANDARD_STREAM:
            return Path(path).read_bytes()
        if sys.stdin is None:
            raise OptionError("standard input is closed; name a file or pipe one in")
        return sys.stdin.buffer.read()
    except OSError as error:
        raise UgicmError(f"cannot read it: {error.strerror or error}") from error


def write_bytes(path: str, data: bytes) -> None:
    """Write a file in one step, or standard output for "-"; raises `UgicmError` naming the file and the cause.

    The data goes to a temporary name in the same folder which then takes the final name, so a reader sees the old file
    or the whole new one. The temporary file is removed on every exception, Ctrl-C included. A symbolic link is
    followed; a device or pipe is written to directly, for it cannot be replaced.
    """
    try:
        if path == STANDARD_STREAM:
            _write_standard_output(data)
            return
        target = Path(path)
        if target.is_dir():
            raise OptionError(f"cannot write '{path}': it is a folder")
        if target.exists() and not target.is_file():
            # Not by its real path: that of a pipe behind /dev/stdout cannot be opened.
            target.write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise UgicmError(f"cannot write '{path}': {error.strerror or error}") from error


def _replace(target: Path, data: bytes) -> None:
    temporary = target.with_name(f".ugicm-{secrets.token_hex(8)}.tmp")  # not the target's name, which may be as long as can be
    try:
        # Unlike tempfile, a plain exclusive open gives the file the permissions that the user's umask asks for.
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_standard_output(data: bytes) -> None:
    if sys.stdout.isatty():
        raise OptionError("standard output is a terminal: redirect it to a file or a pipe")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The interpreter flushes standard output once more at exit and would print a second complaint about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
