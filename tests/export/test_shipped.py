"""The shipped checkpoint and the shipped bundle are the same model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ugicm.bundle import DEFAULT_PATH
from ugicm_export.exporter import export_bundle

MODEL = Path(__file__).parents[2] / "models" / "nano"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MODEL.exists(), reason="this tree has no models/nano (it is not part of the wheel)"),
]


def test_exporting_the_shipped_checkpoint_gives_the_shipped_bundle(tmp_path: Path) -> None:
    shipped = json.loads((DEFAULT_PATH / "manifest.json").read_text())
    made = export_bundle(MODEL, tmp_path / "bundle", progress=lambda text: None)
    assert made.fingerprint == shipped["fingerprint"]
    assert made.preset == shipped["preset"] == "nano"
    assert made.training == shipped["training"]


def test_the_shipped_bundle_was_verified(tmp_path: Path) -> None:
    record = json.loads((DEFAULT_PATH / "manifest.json").read_text())["verification"]
    assert record["pictures"] >= 9
    assert record["differing_scale_indexes"] == 0
    assert record["largest_sample_difference"] <= 1
