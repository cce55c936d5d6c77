"""Build the C++ extension and map the packages; all else is in pyproject.toml.

The packages live one level inside the top-level folders, and every subpackage must be listed.
"""

from __future__ import annotations

import sys
from glob import glob
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

PACKAGE_DIR = {
    "ugicm_coder": "cpp_range_coder/ugicm_coder",
    "ugicm": "runtime/ugicm",
    "ugicm_train": "ugicm_train",
    "ugicm_export": "export/ugicm_export",
}


def with_subpackages(name: str, folder: str) -> list[str]:
    """Dotted names of a package and everything below it that has an __init__.py."""
    root = Path(folder)
    return [".".join((name, *path.parent.relative_to(root).parts)) for path in sorted(root.rglob("__init__.py"))]


ParallelCompile("UGICM_BUILD_JOBS").install()
setup(
    package_dir=PACKAGE_DIR,
    packages=[name for package, folder in PACKAGE_DIR.items() for name in with_subpackages(package, folder)],
    ext_modules=[
        Pybind11Extension(
            "ugicm_coder._core",
            sorted([*glob("cpp_range_coder/src/*.cpp"), "cpp_range_coder/binding/module.cpp"]),
            include_dirs=["cpp_range_coder/include"],
            depends=sorted([*glob("cpp_range_coder/include/ugicm/*.h"), *glob("cpp_range_coder/src/*.h")]),
            cxx_std=17,
            extra_compile_args=[] if sys.platform == "win32" else ["-O3"],
        )
    ],
)
