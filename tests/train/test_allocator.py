"""Memory freed in one step serves the next: no page faults, where there is a glibc to be told so."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from ugicm_train.allocator import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_freed_memory()
x = torch.zeros(8, 3, 256, 256)
def faults(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        y = x + 1
        z = torch.cat([y, y, y, y, y, y])
        del y, z
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(20)
print(faults(50))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_repeated_steps_fault_no_pages_in():
    found = {
        how: int(subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True).stdout)
        for how in ("leave", "keep")
    }
    assert 4 * found["keep"] < found["leave"], found


def test_another_c_library_is_left_alone(monkeypatch):
    from ugicm_train import allocator

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("must not be asked"))
    assert allocator.keep_freed_memory() is False
