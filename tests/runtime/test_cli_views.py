"""Views, regions and output formats on the command line."""

import io
import os

import numpy as np
import pytest
from cli_helpers import assert_one_sentence
from PIL import Image


def test_both_views(run, codec, stream, streams, tmp_path):
    assert run("decode", streams[0], tmp_path / "out.png", "--view", "both") == (0, "", "")
    for view in ("human", "machine"):
        shown = np.asarray(Image.open(tmp_path / f"out.{view}.png"))
        np.testing.assert_array_equal(shown, codec.decode(stream, view))
    assert not (tmp_path / "out.png").exists()
    code, _, error = run("decode", streams[0], "-", "--view", "both")
    assert code == 1
    assert_one_sentence(error, "two views", "standard output")


def test_both_views_to_a_folder(run, streams, tmp_path):
    assert run("decode", *streams, tmp_path / "out", "--view", "both") == (0, "", "")
    names = ["a.human.png", "a.machine.png", "b.human.png", "b.machine.png"]
    assert sorted(os.listdir(tmp_path / "out")) == names
    (tmp_path / "out" / "a.human.png").unlink()
    code, _, error = run("decode", streams[0], tmp_path / "out", "--view", "both")
    assert code == 1
    assert_one_sentence(error, "a.machine.png' exists", "--force")


def test_region(run, codec, stream, streams, tmp_path):
    assert run("decode", streams[0], tmp_path / "x.png", "--region", "7,60,64,10") == (0, "", "")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "x.png")), codec.decode(stream)[60:70, 7:71])
    code, _, error = run("decode", streams[0], tmp_path / "y.png", "--region", "7,61,64,10")
    assert code == 1
    assert_one_sentence(error, "a.ugic", "133x70")
    for wrong in ("1,2,3", "a,b,c,d", "-1,0,5,5", ""):
        code, _, error = run("decode", streams[0], tmp_path / "y.png", f"--region={wrong}")
        assert code == 2
        assert "X,Y,WIDTH,HEIGHT" in error


@pytest.mark.parametrize("kind", ["jpg", "webp", "ppm", "npy"])
def test_format_of_a_folder(run, streams, tmp_path, kind):
    assert run("decode", streams[0], f"{tmp_path / 'out'}/", "--format", kind) == (0, "", "")
    assert os.listdir(tmp_path / "out") == [f"a.{kind}"]


def test_arrays(run, codec, stream, streams, tmp_path):
    assert run("decode", streams[0], tmp_path / "x.npy", "--preference", "0.5") == (0, "", "")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), codec.decode(stream, preference=0.5))


def test_engine_options(run, picture_file, tmp_path):
    words = ["encode", picture_file, tmp_path / "x.ugic"]
    for extra, parts in [
        (["--engine", "abacus"], ["abacus", "onnxruntime, openvino"]),
        (["--variant", "int8"], ["int8", "it has fp32"]),
        (["--tile-pixels", "5"], ["tile_pixels is 5"]),
    ]:
        code, _, error = run(*words, *extra)
        assert code == 1
        assert_one_sentence(error, *parts)
    assert run(*words, "--tile-pixels", 1 << 20) == (0, "", "")


def test_tiles_are_shown_on_a_terminal(run, codec, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    Image.new("RGB", (900, 900), (90, 50, 20)).save(tmp_path / "large.png")
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    assert run("encode", tmp_path / "large.png", tmp_path / "x.ugic", "--tile-pixels", 1 << 19)[0] == 0
    shown = screen.getvalue()
    assert "tiles of large.png" in shown
    assert shown.endswith("\r\033[K")
