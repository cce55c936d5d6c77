"""Our codec as a contestant: what is counted is the file that `ugicm encode` writes."""

import os

import numpy as np
import pytest
from PIL import Image

from benchmarks.errors import BenchmarkError
from benchmarks.metrics import bits_per_pixel
from benchmarks.ours import UgicmCodec, view_name

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def ours():
    try:
        return UgicmCodec(None, (0.0, 0.5, 1.0))
    except BenchmarkError as error:
        pytest.skip(f"there is no default bundle: {error}")


def test_the_rate_is_the_size_of_the_file(ours, picture, tmp_path):
    from ugicm.cli import main

    Image.fromarray(picture).save(tmp_path / "picture.png")
    arguments = ["encode", str(tmp_path / "picture.png"), str(tmp_path / "picture.ugic"), "-q", "40", "--threads", "1"]
    assert main(arguments) == 0
    data, size = ours.encode(picture, 40), os.path.getsize(tmp_path / "picture.ugic")
    assert len(data) == size
    assert bits_per_pixel(data, picture) == 8 * size / (176 * 208)


def test_every_view_is_decoded_from_the_same_bytes(ours, picture):
    data = ours.encode(picture, 40)
    views = [ours.decode(data, view) for view in ours.views]
    assert ours.views == (view_name(0.0), view_name(0.5), view_name(1.0))
    assert all(view.shape == picture.shape and view.dtype == np.uint8 for view in views)
    assert (views[0] != views[-1]).any()


def test_settings_tell_which_bundle(ours):
    settings = ours.settings()
    assert len(settings["fingerprint"]) == 16
    assert len(settings["bundle_sha256"]) == 16
