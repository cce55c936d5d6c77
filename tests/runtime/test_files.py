"""Atomic writes: the old file or the whole new one, and never anything else."""

import os
import stat
import sys

import pytest
from ugicm import files
from ugicm.errors import OptionError, UgicmError

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX file semantics")


def test_write_and_overwrite(tmp_path):
    path = tmp_path / "out"
    for data in (b"first", b"second longer", b""):
        files.write_bytes(str(path), data)
        assert path.read_bytes() == data
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError(28, "No space left on device"), MemoryError])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch, error, step):
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(UgicmError if isinstance(error, OSError) else error):
        files.write_bytes(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


def test_folders_are_not_written_over(tmp_path):
    with pytest.raises(OptionError, match="folder"):
        files.write_bytes(str(tmp_path), b"")
    with pytest.raises(UgicmError, match="No such file"):
        files.write_bytes(str(tmp_path / "missing" / "out"), b"")


def test_missing_input(tmp_path):
    with pytest.raises(UgicmError, match="No such file"):
        files.read_bytes(str(tmp_path / "nothing"))
    with pytest.raises(UgicmError, match="cannot read"):
        files.read_bytes(str(tmp_path))


@needs_posix
def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_bytes(str(tmp_path / "out"), b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


@needs_posix
def test_links_are_followed_and_devices_kept(tmp_path):
    (tmp_path / "link").symlink_to("target")
    files.write_bytes(str(tmp_path / "link"), b"data")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"data"
    files.write_bytes("/dev/null", b"data")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@needs_posix
def test_a_pipe_behind_a_name_is_written_to():
    """Like /dev/stdout, whose real path cannot be opened."""
    reader, writer = os.pipe()
    try:
        files.write_bytes(f"/dev/fd/{writer}", b"data")
        assert os.read(reader, 10) == b"data"
    finally:
        os.close(reader)
        os.close(writer)


@needs_posix
def test_long_names(tmp_path):
    name = "\u044f" * 127  # 254 bytes of the 255 that a name may have
    files.write_bytes(str(tmp_path / name), b"data")
    assert os.listdir(tmp_path) == [name]
