"""Ranges of the tensors that become eight bits, measured on pictures by ONNX Runtime's calibrators."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ugicm_export.targets import METHOD, METHODS

PERCENTILE = 99.999
BINS = 2048
ENTROPY_BINS, QUANTISED_BINS = 512, 256

Feeds = dict[str, np.ndarray]


class _One:
    """What ONNX Runtime's calibrators read from: one call's inputs."""

    def __init__(self, feeds: Feeds) -> None:
        self._left = [feeds]

    def get_next(self) -> Feeds | None:
        return self._left.pop() if self._left else None


def measured_ranges(model: onnx.ModelProto, tensors: Collection[str], feeds: Iterable[Feeds], method: str = METHOD) -> Any:
    """Ranges of `tensors` over all `feeds` by one of `METHODS`, as ONNX Runtime's quantiser takes them.

    The tensors of one call at a time are in memory, beside a histogram per tensor.
    """
    if method not in METHODS:
        raise ValueError(f"calibration method is {method!r}, expected {', '.join(METHODS)}")
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        source = Path(folder) / "model.onnx"
        onnx.save(model, source)
        calibrator = _calibrator(method, tensors)(source, str(Path(folder) / "augmented.onnx"))
        calibrator.augment_graph()
        calibrator.create_inference_session()
        for one in feeds:
            calibrator.collect_data(_One(one))
        return calibrator.compute_data()


def _calibrator(method: str, tensors: Collection[str]) -> Callable[[Path, str], Any]:
    from onnxruntime.quantization import calibrate

    base: Any = {
        "minmax": calibrate.MinMaxCalibrater,
        "percentile": calibrate.PercentileCalibrater,
        "entropy": calibrate.EntropyCalibrater,
    }[method]
    choices: dict[str, dict[str, Any]] = {
        "minmax": {},
        "percentile": {"percentile": PERCENTILE, "num_bins": BINS},
        "entropy": {"num_bins": ENTROPY_BINS, "num_quantized_bins": QUANTISED_BINS},
    }

    class Calibrator(base):
        """Looks at the wanted tensors only; ONNX Runtime chooses by kind of operator."""

        def select_tensors_to_calibrate(self, model: onnx.ModelProto) -> Any:
            found, infos = super().select_tensors_to_calibrate(model)
            return found & set(tensors), infos

    return lambda source, augmented: Calibrator(source, None, augmented, **choices[method])
