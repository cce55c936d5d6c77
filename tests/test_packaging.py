"""What is shipped: the source distribution builds, the wheel holds what it should, and works from any folder."""

import email
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "ugicm_coder": ROOT / "cpp_range_coder" / "ugicm_coder",
    "ugicm": ROOT / "runtime" / "ugicm",
    "ugicm_train": ROOT / "ugicm_train",
    "ugicm_export": ROOT / "export" / "ugicm_export",
}
DATA_SUFFIXES = {".py", ".pyi", ".typed", ".toml", ".html"}
DEFAULT_BUNDLE = PACKAGES["ugicm"] / "default_bundle"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(sdist, wheel), the wheel built from the unpacked sdist alone."""
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT], check=True)
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A folder with the wheel's packages, to be put on the path."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, built[1]]
    subprocess.run(command, check=True)
    return site


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def run_elsewhere(site: Path, folder: Path, code: str) -> str:
    """Standard output of a fresh interpreter in `folder` that sees the wheel's packages and not the sources."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_source_distribution_carries_all_sources(built):
    with tarfile.open(built[0]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    expected = {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "constraints.txt", "cpp_range_coder/CMakeLists.txt"}
    for pattern in ("cpp_range_coder/**/*.h", "cpp_range_coder/**/*.cpp", "tests/**/*.py", "docs/*.md", "examples/*"):
        expected |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern) if path.is_file()}
    assert expected - names == {name for name in expected if "__pycache__" in name}
    assert not [name for name in names if name.endswith((".so", ".pyc", ".o"))]


@pytest.mark.slow
def test_wheel_holds_every_module_and_data_file(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
    expected = set()
    for package, folder in PACKAGES.items():
        files = [path for path in folder.rglob("*") if path.suffix in DATA_SUFFIXES or path.name == "py.typed"]
        expected |= {f"{package}/{path.relative_to(folder).as_posix()}" for path in files}
    if DEFAULT_BUNDLE.is_dir():
        expected |= {f"ugicm/default_bundle/{path.name}" for path in DEFAULT_BUNDLE.iterdir() if path.is_file()}
    assert expected <= names
    others = {name for name in names - expected if ".dist-info/" not in name}
    assert len(others) == 1, f"only the extension module should come on top, found {sorted(others)}"
    assert others.pop().startswith("ugicm_coder/_core.")


@pytest.mark.slow
def test_base_install_is_small(built):
    required = metadata(built[1]).get_all("Requires-Dist")
    base = {line.split(">")[0].strip() for line in required if "extra ==" not in line}
    assert base == {"numpy", "Pillow"}


@pytest.mark.slow
def test_extras_are_those_of_the_readme(built):
    extras = set(metadata(built[1]).get_all("Provides-Extra"))
    assert extras == {"cpu", "gpu", "tensorrt", "openvino", "train", "export", "server", "bench", "dev"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [name for name in extras if f"`{name}`" not in readme]


@pytest.mark.slow
def test_commands_are_declared(built):
    with zipfile.ZipFile(built[1]) as archive:
        name = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        text = archive.read(name).decode()
    commands = {line.split("=")[0].strip() for line in text.splitlines() if "=" in line}
    assert commands == {"ugicm", "ugicm-train", "ugicm-export"}


@pytest.mark.slow
def test_installed_packages_come_from_the_wheel(installed, tmp_path):
    code = "import importlib, sys\nfor name in sys.argv[1:]: print(importlib.import_module(name).__file__)"
    code = code.replace("sys.argv[1:]", repr(tuple(PACKAGES)))
    files = run_elsewhere(installed, tmp_path, code).splitlines()
    assert len(files) == len(PACKAGES)
    assert all(Path(file).is_relative_to(installed) for file in files)


@pytest.mark.slow
def test_installed_coder_works(installed, tmp_path):
    code = "import ugicm_coder; print(hex(ugicm_coder.crc32c(b'123456789')))"
    assert run_elsewhere(installed, tmp_path, code).strip() == "0xe3069283"


@pytest.mark.slow
def test_version_is_that_of_the_sources(built, installed, tmp_path):
    version = run_elsewhere(installed, tmp_path, "import ugicm; print(ugicm.__version__)").strip()
    assert metadata(built[1])["Version"] == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout has no default bundle")
@pytest.mark.slow
def test_installed_runtime_codes_a_picture_with_its_own_bundle(installed, tmp_path):
    pytest.importorskip("onnxruntime")
    code = (
        "import numpy, ugicm; codec = ugicm.Codec.open(threads=1); image = numpy.full((40, 70, 3), 90, 'uint8');"
        "stream = codec.encode(image); print(codec.info['path'], *codec.decode(stream, 'machine').shape, sep='|')"
    )
    environment_free = {name: value for name, value in os.environ.items() if name != "UGICM_BUNDLE"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env={**environment_free, "PYTHONPATH": str(installed)}, check=True, capture_output=True
    )
    path, *shape = done.stdout.decode().strip().split("|")
    assert Path(path).is_relative_to(installed)
    assert shape == ["40", "70", "3"]


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(p.name for p in (ROOT / "docs").glob("*.md"))]
)
def test_relative_links_lead_somewhere(page):
    file = ROOT / page if (ROOT / page).is_file() else ROOT / "docs" / page
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", file.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (file.parent / link).exists()]
    assert missing == []
