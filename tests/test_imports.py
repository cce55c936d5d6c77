"""The import rule: packages depend on each other in one direction, and the runtime starts without heavy modules."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "ugicm_coder": ROOT / "cpp_range_coder" / "ugicm_coder",
    "ugicm": ROOT / "runtime" / "ugicm",
    "ugicm_train": ROOT / "ugicm_train",
    "ugicm_export": ROOT / "export" / "ugicm_export",
}
# Which of our packages each may import, besides itself.
ALLOWED = {
    "ugicm_coder": set(),
    "ugicm": {"ugicm_coder"},
    "ugicm_train": {"ugicm_coder"},
    "ugicm_export": {"ugicm_coder", "ugicm", "ugicm_train"},
}
# Which foreign packages each must never import, not even inside a function.
FORBIDDEN = {
    "ugicm_coder": {"torch", "onnxruntime", "onnx", "PIL"},
    "ugicm": {"torch", "onnx", "torchvision", "timm", "lightning", "lightning_fabric", "compressai", "safetensors"},
    "ugicm_train": {"onnxruntime", "onnx"},
    "ugicm_export": set(),
}


def imported_packages(file: Path) -> set[str]:
    """Top-level names of everything a source file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), file.name)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FOLDERS)
def test_packages_import_in_one_direction(package):
    files = sorted(FOLDERS[package].rglob("*.py"))
    if not files:
        pytest.skip(f"{package} has no sources here")
    for file in files:
        names = imported_packages(file)
        wrong = (names & set(FOLDERS)) - ALLOWED[package] - {package} | names & FORBIDDEN[package]
        assert not wrong, f"{file.relative_to(ROOT)} must not import {sorted(wrong)}"


def test_only_the_session_modules_import_engines():
    users = {file.name for file in FOLDERS["ugicm"].rglob("*.py") if "onnxruntime" in imported_packages(file)}
    assert users == {"session.py"}
    users = {file.name for file in FOLDERS["ugicm"].rglob("*.py") if "openvino" in imported_packages(file)}
    assert users == {"session_openvino.py"}


def loaded_modules(*arguments: str) -> set[str]:
    """Names of all modules a fresh interpreter has loaded after running with `arguments`."""
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, check=True)
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if line.count("|") == 2}


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "import ugicm"],
        ["-m", "ugicm", "--help"],
        ["-m", "ugicm", "encode", "--help"],
        ["-m", "ugicm", "serve", "--help"],
    ],
)
def test_start_is_light(arguments):
    loaded = loaded_modules(*arguments)
    assert "ugicm" in loaded
    assert not loaded & {"torch", "onnxruntime", "numpy", "PIL", "ugicm_coder"}


def test_info_needs_no_engine_runtime(tmp_path):
    assert "torch" not in loaded_modules("-c", "import ugicm.codec, ugicm.cli, ugicm.report, ugicm.image, ugicm.bench")
    assert "onnxruntime" not in loaded_modules(
        "-c", "import ugicm.codec, ugicm.cli, ugicm.report, ugicm.image, ugicm.bench"
    )


def test_help_is_instant():
    def best_seconds(*arguments: str) -> float:
        """Least of three runs, since other programs may be running."""
        taken = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            taken.append(time.perf_counter() - start)
        return min(taken)

    assert best_seconds("-m", "ugicm", "--help") - best_seconds("-c", "pass") < 0.3
