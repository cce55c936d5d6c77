"""The ONNX Runtime wrapper: explicit providers, checked ports, and one kind of error."""

import numpy as np
import onnxruntime
import pytest
from ugicm.bundle import Bundle
from ugicm.errors import EngineError
from ugicm.session import OnnxRuntimeEngine as Engine
from ugicm.session import provider_names

INPUTS = ("image", "quality")
OUTPUTS = ("z", "r")


@pytest.fixture(scope="module")
def model(bundle_path):
    return Bundle.open(bundle_path).read("encoder.onnx")


def test_outputs_come_in_the_order_asked_for(model):
    feeds = {"image": np.zeros((1, 64, 64, 3), np.uint8), "quality": np.zeros(1, np.float32)}
    z, r = Engine("e", model, inputs=INPUTS, outputs=OUTPUTS, threads=1).run(feeds)
    r_too, z_too = Engine("e", model, inputs=INPUTS, outputs=OUTPUTS[::-1], threads=1).run(feeds)
    assert z.shape == z_too.shape == (1, 4, 1, 1)
    assert r.shape == r_too.shape == (1, 8, 4, 4)


@pytest.mark.parametrize(
    "providers", [(), ("MoonExecutionProvider",), ("CPUExecutionProvider", "MoonExecutionProvider")]
)
def test_providers_that_are_not_there(model, providers):
    with pytest.raises(EngineError, match=r"no provider.*it has .*CPUExecutionProvider"):
        Engine("e", model, inputs=INPUTS, outputs=OUTPUTS, threads=1, providers=providers)


def test_a_provider_that_does_not_start(model, monkeypatch):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: session)
    with pytest.raises(EngineError, match="CUDAExecutionProvider did not start"):
        Engine("e", model, inputs=INPUTS, outputs=OUTPUTS, threads=1, providers=["CUDAExecutionProvider"])


def test_provider_options(model):
    providers = [("CPUExecutionProvider", {"use_arena": "0"})]
    assert provider_names(providers) == ["CPUExecutionProvider"]
    Engine("e", model, inputs=INPUTS, outputs=OUTPUTS, threads=1, providers=providers)


def test_wrong_ports(model):
    with pytest.raises(EngineError, match="expected"):
        Engine("e", model, inputs=("image",), outputs=OUTPUTS, threads=1)
    with pytest.raises(EngineError, match="expected"):
        Engine("e", model, inputs=INPUTS, outputs=("z", "q"), threads=1)


def test_models_and_feeds_that_do_not_fit(model):
    with pytest.raises(EngineError, match="cannot load e"):
        Engine("e", b"rubbish", inputs=INPUTS, outputs=OUTPUTS, threads=1)
    engine = Engine("e", model, inputs=INPUTS, outputs=OUTPUTS, threads=1)
    with pytest.raises(EngineError, match="e failed"):
        engine.run({"image": np.zeros((1, 64, 64, 3), np.float32), "quality": np.zeros(1, np.float32)})


def test_bound_buffers_and_released_memory_change_nothing(model, monkeypatch):
    """What a GPU provider is run with, here on the CPU; and the arena given back after a run."""
    feeds = {"image": np.arange(64 * 64 * 3, dtype=np.uint8).reshape(1, 64, 64, 3), "quality": np.zeros(1, np.float32)}
    plain = Engine("e", model, inputs=INPUTS, outputs=OUTPUTS, threads=1)
    expected = plain.run(feeds)
    monkeypatch.setattr("ugicm.session._ON_GPU", {"CPUExecutionProvider"})
    bound = Engine("e", model, inputs=INPUTS, outputs=OUTPUTS, threads=1)
    for found in (plain.run(feeds, release=True), bound.run(feeds), bound.run(feeds, release=True)):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(EngineError, match="e failed"):
        bound.run({"image": feeds["image"]})
