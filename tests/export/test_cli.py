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
