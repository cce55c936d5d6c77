"""The Triton repository: configs against Triton's own schema, Python models against engines in ONNX Runtime."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import ugicm
from ugicm.bundle import Bundle
from ugicm_export.pictures import sample_pictures
from ugicm_export.targets import TargetError
from ugicm_export.triton import write_repository

NAMES = ("ugicm_encode", "ugicm_decode", "ugicm_encoder", "ugicm_decoder")


@pytest.fixture(scope="session")
def repository(bundle: Path) -> Path:
    folder = bundle.parent / "triton"
    write_repository(Bundle.open(bundle), folder, max_batch=8, device="cpu")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_configs_follow_the_schema(name: str, repository: Path) -> None:
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient[grpc] is not installed")
    from google.protobuf import text_format

    config = text_format.Parse((repository / name / "config.pbtxt").read_text(), schema.ModelConfig())
    assert config.name == name
    engine = name in ("ugicm_encoder", "ugicm_decoder")
    assert config.backend == ("onnxruntime" if engine else "python")
    assert config.max_batch_size == (8 if engine else 0)
    assert config.HasField("dynamic_batching") == engine
    assert (repository / name / "1" / ("model.onnx" if engine else "model.py")).is_file()
    if not engine:
        return
    session = ort.InferenceSession((repository / name / "1" / "model.onnx").read_bytes())
    kinds = {"tensor(uint8)": "UINT8", "tensor(int64)": "INT64", "tensor(int32)": "INT32", "tensor(float)": "FP32"}
    for ports, described in ((session.get_inputs(), config.input), (session.get_outputs(), config.output)):
        found = {port.name: port for port in described}
        assert set(found) == {port.name for port in ports}
        for port in ports:
            assert schema.DataType.Name(found[port.name].data_type) == f"TYPE_{kinds[port.type]}"
            dims = list(found[port.name].reshape.shape if found[port.name].HasField("reshape") else found[port.name].dims)
            assert dims == [side if isinstance(side, int) else -1 for side in port.shape[1:]]


def test_unknown_devices_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="expected cpu or gpu"):
        write_repository(Bundle.open(bundle), tmp_path / "t", 8, "tpu")


class _Tensor:
    def __init__(self, name: str, values: np.ndarray) -> None:
        self.name, self.values = name, values

    def as_numpy(self) -> np.ndarray:
        return self.values


class _Response:
    def __init__(self, output_tensors: Any = (), error: Any = None) -> None:
        self.outputs, self._error = list(output_tensors), error

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> Any:
        return self._error


@pytest.fixture
def server(repository: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """`triton_python_backend_utils` whose engine calls run in ONNX Runtime, with the reshapes of the configs."""

    class _Call:
        def __init__(self, model_name: str, requested_output_names: list[str], inputs: list[_Tensor]) -> None:
            self.model, self.outputs, self.inputs = model_name, requested_output_names, inputs

        def exec(self) -> _Response:
            session = ort.InferenceSession((repository / self.model / "1" / "model.onnx").read_bytes())
            flat = {"quality", "preference"}
            feeds = {t.name: t.values.reshape(-1) if t.name in flat else t.values for t in self.inputs}
            found = session.run(self.outputs, feeds)
            return _Response([_Tensor(name, values) for name, values in zip(self.outputs, found)])

    module = ModuleType("triton_python_backend_utils")
    content = {
        "Tensor": _Tensor,
        "InferenceResponse": _Response,
        "InferenceRequest": _Call,
        "TritonError": lambda message: SimpleNamespace(message=lambda: message),
        "get_input_tensor_by_name": lambda request, name: request[name],
        "get_output_tensor_by_name": lambda response, name: next(t for t in response.outputs if t.name == name),
    }
    for key, value in content.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", module)
    models = {}
    for name in ("ugicm_encode", "ugicm_decode"):
        spec = importlib.util.spec_from_file_location(name, repository / name / "1" / "model.py")
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        models[name] = loaded.TritonPythonModel()
        models[name].initialize({})
    return SimpleNamespace(**models)


def ask(model: Any, **inputs: np.ndarray) -> _Response:
    return model.execute([{name: _Tensor(name, values) for name, values in inputs.items()}])[0]


def test_the_server_codes_as_the_runtime_does(server: SimpleNamespace, bundle: Path) -> None:
    codec = ugicm.Codec.open(bundle, threads=1)
    picture = list(sample_pictures())[1][:150, :301]
    answer = ask(server.ugicm_encode, image=picture, quality=np.array([70], np.float32))
    stream = answer.outputs[0].as_numpy().tobytes()
    assert stream == codec.encode(picture, 70)
    answer = ask(server.ugicm_decode, stream=np.frombuffer(stream, np.uint8), preference=np.array([0.5], np.float32))
    assert np.array_equal(answer.outputs[0].as_numpy(), codec.decode(stream, preference=0.5))


def test_bad_requests_get_an_error_answer(server: SimpleNamespace) -> None:
    answer = ask(server.ugicm_decode, stream=np.zeros(50, np.uint8), preference=np.array([0], np.float32))
    assert answer.has_error()
    picture = np.zeros((64, 64, 3), np.uint8)
    answer = ask(server.ugicm_encode, image=picture, quality=np.array([101], np.float32))
    assert "expected 0..100" in answer.error().message()
