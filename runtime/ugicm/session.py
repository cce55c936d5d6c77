"""ONNX Runtime behind one small class; the only module that imports onnxruntime, and only when an engine is needed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import EngineError

Provider = str | tuple[str, dict[str, Any]]
DEFAULT_PROVIDERS: tuple[Provider, ...] = ("CPUExecutionProvider",)


def provider_names(providers: Sequence[Provider]) -> list[str]:
    """The plain names of providers given as a name or as (name, options)."""
    return [provider if isinstance(provider, str) else provider[0] for provider in providers]


class Engine:
    """One loaded ONNX engine. `run` may be called from several threads at once."""

    def __init__(
        self,
        name: str,
        model: bytes,
        *,
        inputs: Sequence[str],
        outputs: Sequence[str],
        threads: int,
        providers: Sequence[Provider] = DEFAULT_PROVIDERS,
    ) -> None:
        """Load `model` and check the names of its inputs and outputs; raises `EngineError`.

        Every provider asked for must be installed and must really start: ONNX Runtime would otherwise go on in silence
        on another device.
        """
        runtime = _import_runtime()
        wanted = provider_names(providers)
        missing = [provider for provider in wanted if provider not in runtime.get_available_providers()]
        if missing or not wanted:
            available = ", ".join(runtime.get_available_providers())
            raise EngineError(
                f"ONNX Runtime here has no provider {', '.join(missing) or '(none was named)'}; it has {available}"
            )
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(model, options, providers=list(providers))
        except Exception as error:  # the exceptions of ONNX Runtime share no public base class
            raise EngineError(f"ONNX Runtime cannot load {name}: {error}") from error
        self._session.disable_fallback()
        inactive = [provider for provider in wanted if provider not in self._session.get_providers()]
        if inactive:
            raise EngineError(
                f"provider {', '.join(inactive)} did not start; check its driver and libraries, or ask for another"
            )
        self._name = name
        self._outputs = list(outputs)
        self._check_names("inputs", inputs, [node.name for node in self._session.get_inputs()])
        self._check_names("outputs", outputs, [node.name for node in self._session.get_outputs()])

    def run(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Run once; returns the outputs in the order given to the constructor. Raises `EngineError`."""
        try:
            return self._session.run(self._outputs, dict(feeds))
        except Exception as error:  # as above
            raise EngineError(f"{self._name} failed: {error}") from error

    def _check_names(self, what: str, expected: Sequence[str], found: list[str]) -> None:
        if sorted(expected) != sorted(found):
            raise EngineError(f"{self._name} has {what} {found}, expected {list(expected)}; export the bundle again")


def _import_runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(
            f"encoding and decoding need ONNX Runtime, which cannot be imported ({error}); "
            "install it with: pip install 'ugicm[cpu]'"
        ) from error
    return onnxruntime
