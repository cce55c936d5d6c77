"""`examples/serve_client.py` against a real server."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")
from server_helpers import process

SCRIPT = Path(__file__).parents[3] / "examples" / "serve_client.py"


def run(*arguments):
    words = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(words, check=False, capture_output=True, text=True)


def test_the_example_client(bundle_path, picture_file, tmp_path):
    with process(bundle_path, "--quiet") as (_, url):
        done = run(picture_file, "--server", url, "--out", tmp_path / "out", "--region", "5,6,40,30", "--max-bytes", 5000)
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "out" / "picture.ugic").stat().st_size <= 5000
        for view in ("human", "machine"):
            assert Image.open(tmp_path / "out" / f"picture-{view}.png").size == (40, 30)
        refused = run(picture_file, "--server", url, "--out", tmp_path / "out", "--max-bytes", 3)
        assert (refused.returncode, "wanted size" in refused.stderr) == (1, True)


def test_the_example_without_a_server(picture_file, tmp_path):
    done = run(picture_file, "--server", "http://127.0.0.1:1", "--out", tmp_path)
    assert (done.returncode, "is `ugicm serve` running?" in done.stderr) == (1, True)
