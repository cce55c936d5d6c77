"""Output files when the disk, the folder or the process gives out: one clear sentence, and never half a file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ugicm import files
from ugicm.errors import UgicmError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX file semantics")
LIMITED = (
    "import resource, sys\n"
    "from ugicm import cli\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    "sys.exit(cli.main(sys.argv[1:]))\n"
)


def command(script, bundle_path, *words, **options):
    environment = {**os.environ, "UGICM_BUNDLE": str(bundle_path)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words), "--threads", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True, **options,
    )  # fmt: skip


def test_a_full_disk(run, streams):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    code, _, error = run("decode", streams[0], "/dev/full", "--format", "ppm")
    assert code == 1
    assert "does not say what kind of picture" in error
    with pytest.raises(UgicmError, match=r"cannot write '/dev/full': No space left on device"):
        files.write_bytes("/dev/full", b"data")


def test_a_disk_that_fills_up_half_way(bundle_path, streams, tmp_path):
    (tmp_path / "out").mkdir()
    process = command(LIMITED, bundle_path, "decode", streams[0], tmp_path / "out" / "x.ppm")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.count("\n") == 1
    assert "x.ppm': File too large" in error
    assert os.listdir(tmp_path / "out") == []


def test_a_read_only_folder(run, streams, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        # The administrator may write everywhere, save where the kernel itself says no.
        folder = Path("/sys")
        if not folder.is_dir():
            pytest.skip("run as an administrator, without /sys")
    code, _, error = run("decode", streams[0], folder / "x.png")
    assert code == 1
    assert error.count("\n") == 1
    assert f"cannot write '{folder / 'x.png'}': " in error
    assert any(cause in error for cause in ("Permission denied", "Operation not permitted", "Read-only file system"))
    assert not (folder / "x.png").exists()


def test_a_killed_process_leaves_the_old_file(bundle_path, streams, tmp_path):
    """Even SIGKILL, which nobody can catch, in the middle of a write."""
    script = (
        "import sys, time\n"
        "from ugicm import files, cli\n"
        "def slow(descriptor):\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
        "files.os.fsync = slow\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    target = tmp_path / "out" / "x.png"
    target.parent.mkdir()
    target.write_bytes(b"old")
    process = command(script, bundle_path, "decode", streams[0], target)
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert target.read_bytes() == b"old"
    assert [name for name in os.listdir(target.parent) if not name.startswith(".")] == ["x.png"]
