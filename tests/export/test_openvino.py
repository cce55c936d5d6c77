"""OpenVINO as a second engine, written by others: the same graphs must give the same symbols and views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ugicm.bundle import Bundle
from ugicm_export.measure import Engines
from ugicm_export.pictures import sample_pictures


def compiled(data: bytes) -> Any:
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    core = openvino.Core()
    # Its CPU plug-in would otherwise compute in bfloat16 where the processor can.
    return core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def test_the_same_symbols_and_views(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    fp32 = Engines(opened.engine("encoder.onnx"), opened.engine("decoder.onnx"), 1)
    encoder, decoder = compiled(opened.engine("encoder.onnx")), compiled(opened.engine("decoder.onnx"))
    picture, level = list(sample_pictures())[1], 31
    z, r = fp32.encode(picture, level)
    found = encoder({"image": picture[None], "quality": np.array([level], np.float32)})
    assert np.array_equal(found["z"], z)
    assert (found["r"] != r).sum() <= 1
    feeds = {"z": z, "r": r, "quality": np.array([level], np.float32), "preference": np.array([0.5], np.float32)}
    difference = np.abs(decoder(feeds)["image"][0].astype(int) - fp32.decode(z, r, level, 0.5))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-4
    preferences = np.array([0.5, 0.0, 1.0], np.float32)
    views = decoder(feeds | {"preference": preferences})["image"]
    assert views.shape == (3, *picture.shape)
    for view, preference in zip(views, preferences):
        assert np.abs(view.astype(int) - fp32.decode(z, r, level, preference)).max() <= 1
