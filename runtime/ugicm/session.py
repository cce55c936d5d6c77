"""Engines behind one small protocol, and ONNX Runtime, the first that implements it.

This is the only module that imports onnxruntime, and only when an engine is needed. `session_openvino` is the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from .errors import EngineError, OptionError

Provider = str | tuple[str, dict[str, Any]]
DEFAULT_PROVIDERS: tuple[Provider, ...] = ("CPUExecutionProvider",)
ONNXRUNTIME = "onnxruntime"
OPENVINO = "openvino"
ENGINES = (ONNXRUNTIME, OPENVINO)
_ON_GPU = {"CUDAExecutionProvider", "TensorrtExecutionProvider"}


class Engine(Protocol):
    """One loaded network. `run` may be called from several threads at once."""

    def run(self, feeds: Mapping[str, np.ndarray], *, release: bool = False) -> list[np.ndarray]:
        """Run once; returns the outputs in the order given when it was opened. Raises `EngineError`.

        `release` gives back the working memory that would otherwise be kept for the next run.
        """
        ...


def open_engine(
    kind: str,
    name: str,
    model: bytes,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    threads: int,
    providers: Sequence[Provider] = DEFAULT_PROVIDERS,
) -> Engine:
    """Load `model`, an ONNX file, into the engine `kind`, one of `ENGINES`; `name` is for messages.

    Raises `EngineError` if the library is missing, cannot load the model, or the model has other inputs and outputs.
    """
    if kind == OPENVINO:
        from .session_openvino import OpenVinoEngine

        return OpenVinoEngine(name, model, inputs=inputs, outputs=outputs, threads=threads)
    return OnnxRuntimeEngine(name, model, inputs=inputs, outputs=outputs, threads=threads, providers=providers)


def check_engine(kind: str, providers: Sequence[Provider]) -> None:
    """Raise `OptionError` for an engine that does not exist, or providers given to one that has none."""
    if kind not in ENGINES:
        raise OptionError(f"engine is {kind!r}, expected one of {', '.join(ENGINES)}")
    if kind != ONNXRUNTIME and tuple(providers) != DEFAULT_PROVIDERS:
        raise OptionError(f"providers belong to engine {ONNXRUNTIME!r}; {kind!r} runs on the CPU and takes none")


def provider_names(providers: Sequence[Provider]) -> list[str]:
    """The plain names of providers given as a name or as (name, options)."""
    return [provider if isinstance(provider, str) else provider[0] for provider in providers]


def check_ports(name: str, what: str, expected: Sequence[str], found: Sequence[str]) -> None:
    """Raise `EngineError` unless an engine has exactly the inputs or outputs that are expected, in any order."""
    if sorted(expected) != sorted(found):
        raise EngineError(f"{name} has {what} {list(found)}, expected {list(expected)}; export the bundle again")


class OnnxRuntimeEngine:
    """One ONNX Runtime session."""

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
        self._runtime = _import_runtime()
        wanted = provider_names(providers)
        self._check_present(wanted)
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Else the threads of the other engine go on spinning after its run, on the cores that this one needs.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self._session = self._runtime.InferenceSession(model, options, providers=list(providers))
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
        self._bind = bool(_ON_GPU & set(wanted))
        check_ports(name, "inputs", inputs, [node.name for node in self._session.get_inputs()])
        check_ports(name, "outputs", outputs, [node.name for node in self._session.get_outputs()])

    def run(self, feeds: Mapping[str, np.ndarray], *, release: bool = False) -> list[np.ndarray]:
        """See `Engine.run`."""
        try:
            if self._bind:
                return self._run_bound(feeds)
            options = self._runtime.RunOptions()
            if release:
                options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
            return self._session.run(self._outputs, dict(feeds), options)
        except Exception as error:  # as above
            raise EngineError(f"{self._name} failed: {error}") from error

    def _run_bound(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """With input and output buffers bound on the device, so that the only copies are one in and one out."""
        binding = self._session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name in self._outputs:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    def _check_present(self, wanted: Sequence[str]) -> None:
        available = self._runtime.get_available_providers()
        missing = [provider for provider in wanted if provider not in available]
        if missing or not wanted:
            raise EngineError(
                f"ONNX Runtime here has no provider {', '.join(missing) or '(none was named)'}; "
                f"it has {', '.join(available)}"
            )


def _import_runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(
            f"encoding and decoding need ONNX Runtime, which cannot be imported ({error}); "
            "install it with: pip install 'ugicm[cpu]'"
        ) from error
    return onnxruntime
