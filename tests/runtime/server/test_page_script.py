"""The page's script without a browser, where Node.js is at hand."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "runtime" / "ugicm" / "server" / "page.html"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_an_encoding_under_way_does_not_replace_a_stream_that_was_opened_since():
    command = ["node", str(HERE / "page_without_browser.js"), str(PAGE)]
    first, later = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert first == ["blob:view of other.ugic", "blob:other.ugic", "other.ugic"]
    assert later == first
