"""OpenVINO as the second engine: the same pictures as ONNX Runtime, and errors of the same kind."""

import sys
import threading

import numpy as np
import pytest
from ugicm import Codec
from ugicm.bench import draw_picture
from ugicm.bundle import DEFAULT_PATH, Bundle
from ugicm.errors import EngineError, OptionError
from ugicm.session import open_engine

PORTS = {"inputs": ("image", "quality"), "outputs": ("z", "r"), "threads": 1}


@pytest.fixture(scope="module", params=["tiny", "default"])
def both(request, bundle_path):
    pytest.importorskip("openvino", reason="needs the extra 'openvino'")
    if request.param == "default" and not DEFAULT_PATH.exists():
        pytest.skip("this checkout has no default bundle")
    path = bundle_path if request.param == "tiny" else DEFAULT_PATH
    return Codec.open(path, threads=1), Codec.open(path, threads=1, engine="openvino")


def test_the_engines_agree(both):
    one, other = both
    photo = draw_picture(192, 128)
    stream = one.encode(photo, 60)
    for preference in (0, 0.5, 1):
        expected = one.decode(stream, preference=preference).astype(int)
        assert np.abs(other.decode(stream, preference=preference) - expected).max() <= 1
    # Another library rounds floats elsewhere, so that a symbol on a border may differ; the picture must not suffer.
    difference = np.abs(one.decode(other.encode(photo, 60)).astype(int) - one.decode(stream))
    assert (difference > 1).mean() < 0.01
    assert other.info["engine"] == "openvino"


def test_several_threads(both):
    _, codec = both
    stream = codec.encode(draw_picture(128, 64))
    expected = codec.decode(stream)
    found = []
    workers = [threading.Thread(target=lambda: found.append(codec.decode(stream))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    assert all(np.array_equal(picture, expected) for picture in found)


def test_errors(bundle_path):
    pytest.importorskip("openvino", reason="needs the extra 'openvino'")
    model = Bundle.open(bundle_path).read("encoder.onnx")
    with pytest.raises(EngineError, match="OpenVINO cannot load e"):
        open_engine("openvino", "e", b"rubbish", **PORTS)
    with pytest.raises(EngineError, match="expected"):
        open_engine("openvino", "e", model, **PORTS | {"outputs": ("z", "q")})
    with pytest.raises(EngineError, match="expected"):
        open_engine("openvino", "e", model, **PORTS | {"inputs": ("image",)})
    engine = open_engine("openvino", "e", model, **PORTS)
    with pytest.raises(EngineError, match="e failed"):
        engine.run({"image": np.array(["text"]), "quality": np.zeros(1, np.float32)})


def test_a_missing_library_is_named(bundle_path, picture, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"pip install 'ugicm\[openvino\]'"):
        Codec.open(bundle_path, engine="openvino").encode(picture)


def test_choices_are_checked(bundle_path):
    with pytest.raises(OptionError, match="expected one of onnxruntime, openvino"):
        Codec.open(bundle_path, engine="abacus")
    with pytest.raises(OptionError, match="takes none"):
        Codec.open(bundle_path, engine="openvino", providers=("CUDAExecutionProvider",))
    with pytest.raises(OptionError, match="no variant 'int8'; it has fp32"):
        Codec.open(bundle_path, variant="int8")
