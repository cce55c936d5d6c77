"""What applies to which target, and what is refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
from ugicm_export import targets
from ugicm_export.cli import main, parser
from ugicm_export.targets import COMMON, TARGETS, TargetError, check_modules, check_request, table


def test_every_option_of_the_command_line_belongs_to_a_target_or_to_all() -> None:
    flags = {flag[2:] for action in parser()._actions for flag in action.option_strings if flag.startswith("--")}
    described = set(COMMON) | {option for target in TARGETS.values() for option in target.options}
    assert flags - {"help", "list", "targets"} == described


def test_the_table_shows_every_target_and_option() -> None:
    text = table()
    for target in TARGETS.values():
        assert target.name in text
        assert all(f"--{option}" in text for option in target.options)


@pytest.mark.parametrize(
    ("names", "given", "zipped", "message"),
    [
        (["onnx"], ["batch"], False, "--batch does not apply to the targets onnx; it is for tensorrt, triton"),
        (["onnx", "onnx-int8"], [], False, "needs --calibration"),
        (["triton"], [], True, "cannot go into a .zip"),
        (["onnx", "onnx-fp16"], ["calibration-method"], False, "it is for onnx-int8: remove it"),
        (["tensorrt"], ["fold-preference"], False, "it is for onnx: remove it"),
    ],
)
def test_refusals(names: list[str], given: list[str], zipped: bool, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        check_request(names, given, zipped=zipped)


def test_what_applies_is_accepted() -> None:
    check_request(["onnx", "onnx-int8"], ["out", "calibration", "atol", "opset"], zipped=True)


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TargetError, match=r"tensorrt needs tensorrt, not installed here; pip install .ugicm\[tensorrt"):
        check_modules(["onnx", "tensorrt"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--targets", "onnx-int8", "--calibration", "EMPTY"], "holds 0 pictures"),
        (["--targets", "triton", "--device", "tpu"], "expected cpu or gpu"),
        (["--targets", "triton", "--batch", "4,2,1"], "rising order"),
        (["--targets", "triton", "--batch", "many"], "is not a range"),
        (["--opset", "9"], "opset is 9, expected 17..20"),
        (["--fold-preference", "both"], "expected human, machine or a number"),
        (["--atol", "-1"], "expected 0..255"),
    ],
)
def test_wrong_words_are_refused_before_any_work(
    words: list[str], message: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    words = [str(tmp_path / "empty") if word == "EMPTY" else word for word in words]
    assert main([str(checkpoint), "--out", str(tmp_path / "b"), *words]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert not (tmp_path / "b").exists()


def test_list_needs_no_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "onnx-int8" in capsys.readouterr().out
