import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from benchmarks import datasets, memory
from benchmarks.config import ROOT, Config
from benchmarks.errors import BenchmarkError
from benchmarks.machine import can_tell_memory
from benchmarks.store import Store

pytestmark = pytest.mark.skipif(not can_tell_memory(), reason="this system does not tell a process's peak memory")


def test_the_peak_outlives_what_was_freed_and_not_the_parent():
    ballast = np.ones(40 << 20, np.uint8)  # which a child must not be charged with
    code = (
        "from benchmarks.machine import peak_memory; import numpy; a = peak_memory(); "
        "x = numpy.ones(100 << 20, numpy.uint8); del x; print(a, peak_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    before, after = map(float, done.stdout.split())
    assert after - before == pytest.approx(100, abs=5)
    assert before < 80
    del ballast


def test_a_large_picture_takes_more_than_a_small_one():
    small, large = (
        memory._of_size(Config(), "jpeg", np.zeros((side, side, 3), np.uint8), 50) for side in (64, 3000)
    )
    open_encode, peak_encode, open_decode, peak_decode = large
    assert open_encode > 0 and open_decode > 0
    assert peak_encode - open_encode > 20  # Pillow holds 4 bytes per pixel
    assert peak_decode - open_decode > 20
    assert small[1] - small[0] < 10


def test_a_process_that_fails_is_quoted():
    with pytest.raises(BenchmarkError, match="memory of bpg: a process that encodes failed"):
        memory._of_size(Config(), "bpg", np.zeros((8, 8, 3), np.uint8), 50)


def test_results_are_kept_and_not_measured_twice(tmp_path, capsys):
    Image.new("RGB", (768, 512), (200, 100, 50)).save(tmp_path / "photo.png")
    dataset, store = datasets.folder(tmp_path), Store(tmp_path / "out")
    for _ in range(2):
        memory.run(Config(codecs=("jpeg",)), store, dataset, [((768, 512), ()), ((1536, 1024), ())])
    assert "memory-jpeg: already measured" in capsys.readouterr().out
    found = store.load("memory")["memory-jpeg"]
    assert found["settings"]["sizes"] == [[768, 512], [1536, 1024]]
    assert all(len(values) == 2 for values in found["results"].values())
    small, large = found["results"]["decoding_peak"]
    assert large > small > 0
