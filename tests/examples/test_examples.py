"""The examples run as their first lines say."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import tiny_bundle
from ugicm import Codec
from ugicm.bitstream import parse
from ugicm.bundle import DEFAULT_PATH

ROOT = Path(__file__).parents[2]
NETS = ROOT.parent / "shared" / "data" / "nets"
PHOTO = ROOT / "examples" / "kodim23.png"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle.make(tmp_path_factory.mktemp("bundle") / "tiny")


def run(name, *words, bundle):
    environment = {**os.environ, "UGICM_BUNDLE": str(bundle)}
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_encode_folder(bundle, tmp_path):
    Image.open(PHOTO).resize((96, 64)).convert("RGBA").rotate(20).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"not a picture")
    done = run("encode_folder.py", tmp_path, tmp_path / "out", "--bpp", "8", bundle=bundle)
    assert done.returncode == 1
    assert done.stdout.startswith("a.png: 96x64, ")
    assert done.stderr.startswith("b.jpg: this is not a picture")
    stream = (tmp_path / "out" / "a.ugic").read_bytes()
    assert len(stream) <= 96 * 64
    assert [box.type for box in parse(stream).boxes] == ["alph"]
    Image.new("RGB", (64, 64)).save(tmp_path / "a.webp")
    done = run("encode_folder.py", tmp_path, tmp_path / "out", "--bpp", "8", bundle=bundle)
    assert "a.webp: another picture has made a.ugic" in done.stderr
    assert (tmp_path / "out" / "a.ugic").read_bytes() == stream
    done = run("encode_folder.py", tmp_path / "nowhere", tmp_path / "out", bundle=bundle)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_decode_region(bundle, tmp_path):
    codec = Codec.open(bundle, threads=1)
    stream = codec.encode(np.asarray(Image.open(PHOTO).convert("RGB")))
    (tmp_path / "x.ugic").write_bytes(stream)
    done = run("decode_region.py", tmp_path / "x.ugic", tmp_path / "part", 300, 200, 90, 60, bundle=bundle)
    assert (done.returncode, done.stderr) == (0, "")
    shown = np.asarray(Image.open(tmp_path / "part-machine.png"))
    np.testing.assert_array_equal(shown, codec.decode(stream, "machine")[200:260, 300:390])
    done = run("decode_region.py", tmp_path / "x.ugic", tmp_path / "part", 700, 200, 90, 60, bundle=bundle)
    assert done.returncode == 1
    assert "768x512" in done.stderr


def test_opencv_view(bundle, tmp_path):
    pytest.importorskip("cv2", reason="needs opencv-python")
    done = run("opencv_view.py", PHOTO, tmp_path / "edges.png", bundle=bundle)
    assert (done.returncode, done.stderr) == (0, "")
    assert Image.open(tmp_path / "edges.png").size == (768, 512)
    assert run("opencv_view.py", tmp_path / "no.png", tmp_path / "edges.png", bundle=bundle).returncode == 1


@pytest.mark.weights
def test_detector(tmp_path):
    net = NETS / "yolox_nano_detector.onnx"
    if not net.exists() or not DEFAULT_PATH.exists():
        pytest.skip("needs the detector of the shared data and the default bundle")
    codec = Codec.open(threads=1)
    (tmp_path / "x.ugic").write_bytes(codec.encode(np.asarray(Image.open(PHOTO).convert("RGB")), 70))
    done = run("detector.py", net, tmp_path / "x.ugic", bundle=DEFAULT_PATH)
    assert (done.returncode, done.stderr) == (0, "")
    bird = 14  # in the 80 classes of COCO, counted from 0
    assert f"class {bird:3d}" in done.stdout
