"""OpenVINO as an engine: the only module that imports openvino, and only when it was asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import EngineError
from .session import check_ports


class OpenVinoEngine:
    """One network compiled for the CPU. Computes in float32 unless the model itself is quantised."""

    def __init__(
        self, name: str, model: bytes, *, inputs: Sequence[str], outputs: Sequence[str], threads: int
    ) -> None:
        """Load `model` and check the names of its inputs and outputs; raises `EngineError`."""
        openvino = _import_openvino()
        # By default OpenVINO computes in bfloat16 where the processor can, which would be another picture per machine.
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        try:
            core = openvino.Core()
            network = core.read_model(model)
            self._compiled = core.compile_model(network, "CPU", settings)
        except Exception as error:  # OpenVINO raises plain RuntimeError and its kin
            raise EngineError(f"OpenVINO cannot load {name}: {_first_line(error)}") from error
        self._name = name
        self._outputs = list(outputs)
        # Reading a model drops inputs that no output depends on; such a one is then not fed.
        self._used = {port.get_any_name() for port in self._compiled.inputs}
        check_ports(name, "inputs", inputs, [*self._used, *(port for port in inputs if port not in self._used)])
        check_ports(name, "outputs", outputs, [port.get_any_name() for port in self._compiled.outputs])

    def run(self, feeds: Mapping[str, np.ndarray], *, release: bool = False) -> list[np.ndarray]:
        """See `Engine.run`; a request of its own per call lets threads run side by side."""
        try:
            request = self._compiled.create_infer_request()
            found = request.infer({name: array for name, array in feeds.items() if name in self._used})
            return [np.array(found[name]) for name in self._outputs]
        except Exception as error:  # as above
            raise EngineError(f"{self._name} failed: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """The last line that says something: OpenVINO puts the places in its sources before the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _import_openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise EngineError(
            f"engine 'openvino' needs OpenVINO, which cannot be imported ({error}); "
            "install it with: pip install 'ugicm[openvino]'"
        ) from error
    return openvino
