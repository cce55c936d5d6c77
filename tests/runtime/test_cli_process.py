"""The command line as a real process: pipes, signals, and what is left on disk."""

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

COMMAND = [sys.executable, "-m", "ugicm"]


@pytest.fixture
def environment(bundle_path):
    return {**os.environ, "UGICM_BUNDLE": str(bundle_path)}


def run(environment, *words, data=b""):
    arguments = [*COMMAND, *map(str, words), "--threads", "1"]
    return subprocess.run(arguments, input=data, capture_output=True, env=environment, check=False)


def test_pipes(environment, codec, picture, picture_file, stream):
    encoded = run(environment, "encode", "-", "-", data=picture_file.read_bytes())
    assert (encoded.returncode, encoded.stdout, encoded.stderr) == (0, stream, b"")
    decoded = run(environment, "decode", "-", "-", data=encoded.stdout)
    assert (decoded.returncode, decoded.stderr) == (0, b"")
    image = Image.open(io.BytesIO(decoded.stdout))
    assert image.format == "PNG"
    np.testing.assert_array_equal(np.asarray(image), codec.decode(stream))


def test_errors_are_one_line_without_traceback(environment, tmp_path):
    done = run(environment, "decode", "-", tmp_path / "x.png", data=b"\x8bUGI")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_closed_pipe_is_an_error_not_a_traceback(environment, tmp_path, stream):
    (tmp_path / "x.ugic").write_bytes(stream)
    reader, writer = os.pipe()
    os.close(reader)
    words = [*COMMAND, "decode", str(tmp_path / "x.ugic"), "-", "--threads", "1"]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, env=environment, check=False)
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"Broken pipe" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_text_that_nobody_reads_on_ends_quietly(environment):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "info"], stdout=writer, stderr=subprocess.PIPE, env=environment, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_no_partial_file(environment, tmp_path, number):
    # The process is stopped inside the write, after the temporary file exists.
    script = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs inherit it ignored
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # and those of nohup this one
        "from ugicm import files, cli\n"
        "def slow(descriptor):\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(30)\n"
        "files.os.fsync = slow\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    folder = tmp_path / "out"
    folder.mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "x.png")
    words = [sys.executable, "-c", script, "encode", str(tmp_path / "x.png"), str(folder / "x.ugic"), "--threads", "1"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout.readline() == b"writing\n"
    assert len(os.listdir(folder)) == 1
    start = time.monotonic()
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert time.monotonic() - start < 10
    assert process.returncode == 128 + number
    assert b"Traceback" not in error
    assert os.listdir(folder) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_hang_up_that_nohup_ignores_stays_ignored(environment, picture_file, tmp_path):
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from ugicm import files, cli\n"
        "files.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGHUP)\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    words = [sys.executable, "-c", script, "encode", str(picture_file), str(tmp_path / "x.ugic"), "--threads", "1"]
    done = subprocess.run(words, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "x.ugic").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_standard_stream_is_no_crash(environment, picture_file, tmp_path, closed):
    words = [*COMMAND, "encode", str(picture_file), str(tmp_path / "x.ugic"), "--threads", "1"]
    done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *words], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "x.ugic").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell")
def test_reading_closed_standard_input_is_a_sentence(environment, tmp_path):
    words = [*COMMAND, "encode", "-", str(tmp_path / "x.ugic"), "--threads", "1"]
    done = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *words], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"standard input is closed" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_text_that_finds_no_room_is_a_sentence(environment):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "info"], stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"standard output" in done.stderr


def test_missing_engine_runtime_is_explained(environment, tmp_path, picture_file):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "onnxruntime.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join([str(hidden), *filter(None, [environment.get("PYTHONPATH")])])
    done = run({**environment, "PYTHONPATH": path}, "encode", picture_file, tmp_path / "x.ugic")
    assert done.returncode == 1
    assert b"pip install 'ugicm[cpu]'" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert not (tmp_path / "x.ugic").exists()
