"""`ugicm-export` as a person runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ugicm_export.cli import main


def test_export_and_refusal(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bundle"
    assert main([str(checkpoint), "--out", str(out), "--name", "tiny"]) == 0
    assert "fingerprint" in capsys.readouterr().out
    assert main([str(checkpoint), "--out", str(out)]) == 1
    assert capsys.readouterr().err == f"ugicm-export: {out} exists; remove it or give --force\n"
    assert main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "b")]) == 1
    assert "is not a checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--structure", "1.5"], "--structure is 1.5, expected 0..1"),
        (["--structure", "nan"], "--structure is nan, expected 0..1"),
        (["--structure", "0.5", "--no-refiner"], "--structure is a setting of the refiner, which --no-refiner leaves out"),
    ],
)
def test_a_structure_that_makes_no_sense_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main([str(checkpoint), "--out", str(tmp_path / "b"), *words]) == 1
    assert capsys.readouterr().err == f"ugicm-export: {sentence}\n"
    assert not (tmp_path / "b").exists()
