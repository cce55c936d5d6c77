"""TensorRT: everything around the library for real, the calls to it against a recorder."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import onnxruntime as ort
import pytest
from ugicm.bundle import Bundle
from ugicm_export import tensorrt_engine
from ugicm_export.pictures import sample_pictures
from ugicm_export.profiles import Profile, ProfileError, parse_range
from ugicm_export.targets import TargetError
from ugicm_export.tensorrt_engine import build_engines, check_device, engine_name, find_engine, ready_for_tensorrt


def test_without_a_gpu_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_engine.shutil, "which", lambda name: None)
    with pytest.raises(TargetError, match="needs an NVIDIA GPU"):
        check_device(None)


def test_the_gpu_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_engine, "gpu_names", lambda: ["NVIDIA L4"])
    assert check_device("0") == "NVIDIA L4"
    for wrong in ("1", "cpu", "-1"):
        with pytest.raises(TargetError, match=r"expected the index of a GPU, 0\.\.0"):
            check_device(wrong)


def test_an_engine_is_named_by_all_it_depends_on(tmp_path: Path) -> None:
    name = engine_name("decoder.onnx", b"model", "NVIDIA GeForce RTX 4090", "10.3.0")
    assert name == "decoder-NVIDIA-GeForce-RTX-4090-trt10.3.0-9372c470eeadd5ec.engine"
    (tmp_path / name).write_bytes(b"plan")
    assert find_engine(tmp_path, "decoder.onnx", b"model", "NVIDIA GeForce RTX 4090", "10.3.0") == tmp_path / name
    for model, gpu, version in ((b"other", "NVIDIA GeForce RTX 4090", "10.3.0"), (b"model", "L4", "10.3.0"), (b"model", "L4", "11")):
        with pytest.raises(TargetError, match=f"only {name}: .*build it here"):
            find_engine(tmp_path, "decoder.onnx", model, gpu, version)


def test_profiles_hold_every_input() -> None:
    profile = Profile((64, 512, 1024), (1, 2, 4))
    assert profile.encoder()["image"] == ((1, 64, 64, 3), (2, 512, 512, 3), (4, 1024, 1024, 3))
    decoder = profile.decoder(96, 192)
    assert set(decoder) == {"z", "r", "quality", "preference"}
    assert decoder["z"][2] == (4, 96, 16, 16)
    assert decoder["r"][0] == (1, 192, 4, 4)


@pytest.mark.parametrize("side", [(64, 32, 128), (0, 64, 64), (64, 100, 128), (64, 64, 1 << 15)])
def test_bad_sizes(side: tuple[int, int, int]) -> None:
    with pytest.raises(ProfileError, match="image size"):
        Profile(side)


def test_ranges_are_parsed() -> None:
    assert parse_range("64,128,256") == (64, 128, 256)
    assert parse_range("8") == (8, 8, 8)
    for wrong in ("", "1,2", "a,b,c", "1,2,3,4"):
        with pytest.raises(ProfileError, match="not a range"):
            parse_range(wrong)


def test_casts_at_the_door_change_nothing(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    picture = next(sample_pictures())
    feeds = {"image": picture[None], "quality": np.array([31], np.float32)}
    outputs = []
    for change in (lambda data: data, ready_for_tensorrt):
        encoder, decoder = (ort.InferenceSession(change(opened.engine(f"{name}coder.onnx"))) for name in ("en", "de"))
        z, r = encoder.run(["z", "r"], feeds)
        (view,) = decoder.run(None, {"z": z, "r": r, "quality": feeds["quality"], "preference": np.zeros(1, np.float32)})
        outputs.append((z, r, view))
    for found, wanted in zip(*outputs):
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """A module in place of `tensorrt` that records what is called on it."""
    trt = MagicMock()
    trt.__version__ = "10.3.0"
    trt.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=3)
    builder = trt.Builder.return_value
    builder.build_serialized_network.return_value = b"plan"
    builder.create_builder_config.return_value.get_timing_cache.return_value.serialize.return_value = b"times"
    trt.OnnxParser.return_value.parse.return_value = True
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setattr(tensorrt_engine, "gpu_names", lambda: ["NVIDIA L4"])
    return trt


def test_the_calls_of_a_build(recorder: MagicMock, bundle: Path, tmp_path: Path) -> None:
    written = build_engines(Bundle.open(bundle), tmp_path / "trt", Profile(), 2.0, None, lambda text: None)
    assert [path.read_bytes() for path in written] == [b"plan", b"plan"]
    assert (tmp_path / "trt" / "timing.cache").read_bytes() == b"times"
    assert "NVIDIA-L4-trt10.3.0" in written[0].name
    builder = recorder.Builder.return_value
    config = builder.create_builder_config.return_value
    builder.create_network.assert_called_with(1 << 3)
    config.set_memory_pool_limit.assert_called_with(recorder.MemoryPoolType.WORKSPACE, 2 << 30)
    # The second engine starts from the timings of the first.
    assert [call.args[0] for call in config.create_timing_cache.call_args_list] == [b"", b"times"]
    named = {call.args[0] for call in builder.create_optimization_profile.return_value.set_shape.call_args_list}
    assert named == {"image", "quality", "z", "r", "preference"}


def test_what_tensorrt_refuses_is_told(recorder: MagicMock, bundle: Path, tmp_path: Path) -> None:
    opened = Bundle.open(bundle)
    recorder.Builder.return_value.build_serialized_network.return_value = None
    with pytest.raises(TargetError, match="--workspace"):
        build_engines(opened, tmp_path / "a", Profile(), None, None, lambda text: None)
    parser = recorder.OnnxParser.return_value
    parser.parse.return_value, parser.num_errors = False, 1
    parser.get_error.return_value.desc.return_value = "no such operator"
    with pytest.raises(TargetError, match="no such operator"):
        build_engines(opened, tmp_path / "b", Profile(), None, None, lambda text: None)
    recorder.__version__ = "8.6.1"
    with pytest.raises(TargetError, match=r"TensorRT is 8\.6\.1, at least 10"):
        build_engines(opened, tmp_path / "c", Profile(), None, None, lambda text: None)
