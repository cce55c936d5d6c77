"""`ugicm-export verify`, `inspect` and `golden`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ugicm_export.bundle_check import TOLERANCE, Row, check_bundle, rounding_ties, write_golden
from ugicm_export.cli import main
from ugicm_export.verify import VerificationError


@pytest.fixture(scope="session")
def golden(bundle: Path) -> Path:
    write_golden(bundle, bundle.parent / "golden")
    return bundle.parent / "golden"


def test_a_sound_bundle_passes_and_the_report_is_json(
    bundle: Path, golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(bundle), "--golden", str(golden), "--providers", "CPUExecutionProvider", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    setups = {(row["threads"], row["optimisation"]) for row in report["rows"]}
    assert setups == {(1, "all"), (2, "all"), (4, "all"), (1, "disabled"), (1, "basic")}
    assert {row["tensor"] for row in report["rows"]} == {"z", "r", "image"}
    assert report["variants"] == [{"encoder": "fp32", "decoder": "fp32", "bytes": report["variants"][0]["bytes"],
                                   "symbols_equal": True, "psnr_to_fp32": 100.0, "least_psnr": 45.0, "passed": True}]  # fmt: skip


def test_golden_files_without_cases_are_refused(bundle: Path, golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = shutil.copytree(golden, tmp_path / "empty")
    content = json.loads((empty / "golden.json").read_text())
    (empty / "golden.json").write_text(json.dumps({**content, "cases": []}))
    assert main(["verify", str(bundle), "--golden", str(empty)]) == 1
    assert "names no cases" in capsys.readouterr().err


def test_a_view_that_changed_fails(bundle: Path, golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = shutil.copytree(golden, tmp_path / "wrong")
    view = np.asarray(Image.open(wrong / "1.view.png")).copy()
    view[:20] = 255 - view[:20]
    Image.fromarray(view).save(wrong / "1.view.png")
    assert main(["verify", str(bundle), "--golden", str(wrong)]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_golden_files_of_another_model_and_of_none(bundle: Path, golden: Path, tmp_path: Path) -> None:
    other = shutil.copytree(golden, tmp_path / "other")
    content = json.loads((other / "golden.json").read_text())
    (other / "golden.json").write_text(json.dumps(content | {"fingerprint": "0" * 16}))
    with pytest.raises(VerificationError, match="belongs to model 0000000000000000"):
        check_bundle(bundle, other)
    with pytest.raises(VerificationError, match="no usable golden files"):
        check_bundle(bundle, tmp_path)
    with pytest.raises(VerificationError, match="no provider Nowhere"):
        check_bundle(bundle, golden, ["Nowhere"])


@pytest.mark.parametrize(
    ("tensor", "different", "largest", "passed"),
    [
        ("z", 1, 1, False),
        ("r", 1, 1, True),
        ("r", 2, 1, False),
        ("r", 1, 2, False),
        ("image", 0, 0, True),
        ("image", 10, 1, True),
        ("image", 11, 1, False),
        ("image", 1, 2, False),
    ],
)
def test_how_much_may_differ(tensor: str, different: int, largest: int, passed: bool) -> None:
    assert Row("fp32", "p", 1, "all", tensor, 100_000, different, different, largest, TOLERANCE[tensor]).passed == passed


def test_symbols_near_each_other_have_one_cause() -> None:
    differs = np.zeros((10, 40, 40), bool)
    assert rounding_ties(differs) == 0
    differs[:4, 3:6, 3] = True  # 12 symbols of one group
    assert rounding_ties(differs) == 1
    differs[0, 11, 9] = True  # six away from the lowest
    assert rounding_ties(differs) == 1
    differs[0, 30, 30] = True
    assert rounding_ties(differs) == 2
    assert rounding_ties(np.ones((10, 40, 40), bool)) == 10 * 40 * 40 / 64


def test_inspect(full_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(full_bundle)]) == 0
    text = capsys.readouterr().out
    for word in (
        "fp32, fp16, int8",
        "9 of 9 pairs of variants with equal symbols",
        "(allowed: share 0.0001, step 1)",
        "decoder.human.onnx: preference 0.0",
        "image uint8 (batch, height, width, 3)",
    ):
        assert word in text
    assert main(["inspect", str(full_bundle), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["files"]["encoder.int8.onnx"]["metadata"]["ugicm.fingerprint"] == facts["fingerprint"]


def test_inspect_of_a_bundle_without_a_record(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = shutil.copytree(bundle, tmp_path / "old")
    content = json.loads((old / "manifest.json").read_text())
    del content["verification"]["sweep"]
    (old / "manifest.json").write_text(json.dumps(content))
    assert main(["inspect", str(old)]) == 0
    assert "none recorded" in capsys.readouterr().out


def test_what_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("verify", "inspect"):
        assert main([command, str(tmp_path / "nowhere")]) == 1
        assert "there is no bundle at" in capsys.readouterr().err
