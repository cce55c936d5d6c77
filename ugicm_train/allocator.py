"""Memory that a step frees stays with the process, for the next step to use."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Names and numbers of `malloc.h`."""
LARGEST_BLOCK = 1 << 30
SPARE = 256 << 20


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks of up to 1 GiB; True if it was told, False with another C library, which is left alone.

    By default it returns large blocks to the system at once. A step on the CPU allocates the same tensors as the one before, and
    the page faults of fresh memory cost a fifth of its time.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((M_MMAP_THRESHOLD, LARGEST_BLOCK), (M_TRIM_THRESHOLD, 2 * LARGEST_BLOCK - 1), (M_TOP_PAD, SPARE))
    return all(mallopt(name, value) == 1 for name, value in wanted)
