"""A tiny bundle and a small picture for every test of the runtime."""

import sys
from pathlib import Path

import numpy as np
import pytest

# The helper modules of this folder are imported by their plain names under every import mode of pytest.
sys.path.insert(0, str(Path(__file__).parent))

import tiny_bundle
from ugicm import Codec
from ugicm.cli import main


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory):
    return tiny_bundle.make(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def other_bundle_path(tmp_path_factory):
    return tiny_bundle.make(tmp_path_factory.mktemp("bundle") / "other", seed=2, name="other")


@pytest.fixture(scope="session")
def codec(bundle_path):
    return Codec.open(bundle_path, threads=1)


@pytest.fixture(scope="session")
def picture():
    """A smooth picture with odd sides, (70, 133, 3)."""
    y, x = np.mgrid[0:70, 0:133]
    return np.stack([x, 2 * y, 255 - x - y], axis=2).astype(np.uint8)


@pytest.fixture(scope="session")
def stream(codec, picture):
    return codec.encode(picture)


@pytest.fixture
def picture_file(tmp_path, picture):
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.fromarray(picture).save(path)
    return path


@pytest.fixture
def run(bundle_path, monkeypatch, capfd):
    """Run the command with the tiny bundle on one thread; returns (exit code, standard output, standard error)."""
    monkeypatch.setenv("UGICM_BUNDLE", str(bundle_path))

    def call(*arguments):
        words = [str(argument) for argument in arguments]
        if words[0] in ("encode", "decode", "bench"):
            words += ["--threads", "1"]
        try:
            code = main(words)
        except SystemExit as leaving:
            code = leaving.code
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def streams(tmp_path, stream):
    for name in ("a.ugic", "b.ugic"):
        (tmp_path / name).write_bytes(stream)
    return [tmp_path / "a.ugic", tmp_path / "b.ugic"]
