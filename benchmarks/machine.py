"""The machine that measures: its processor, its cores and the memory a process has used."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from .errors import BenchmarkError

_STATUS = Path("/proc/self/status")


def processor() -> str:
    """The name of this machine's processor."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def held_to(threads: int) -> Iterator[None]:
    """Hold torch to so many threads and, where the system can, the whole process to as many cores: no codec escapes that."""
    import torch

    before = torch.get_num_threads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    torch.set_num_threads(threads)
    if cores:
        os.sched_setaffinity(0, sorted(cores)[-threads:])
    try:
        yield
    finally:
        torch.set_num_threads(before)
        if cores:
            os.sched_setaffinity(0, cores)


def can_tell_memory() -> bool:
    """Whether `peak_memory` works here."""
    return _STATUS.exists()


def peak_memory() -> float:
    """MiB of real memory this process has held at most so far.

    From Linux' own record (VmHWM). What `getrusage` calls ru_maxrss would not do: a child starts with its parent's.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError as error:
        raise BenchmarkError(f"this system does not tell a process's peak memory ({error})") from error
    if found is None:
        raise BenchmarkError(f"'{_STATUS}' has no line VmHWM, so peak memory cannot be told")
    return int(found.group(1)) / 1024
