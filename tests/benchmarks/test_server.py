"""The load test of the server, on a tiny model and for a moment."""

import json
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("onnx")

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import tiny_bundle

from benchmarks import server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle.make(tmp_path_factory.mktemp("bundle") / "tiny")


def test_a_short_load(bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(server, "WARM_UP_SECONDS", 0.2)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, [ROOT / "runtime", *filter(None, sys.path)])))
    target = tmp_path / "server.json"
    options = ["--seconds", "1.5", "--clients", "4", "--workers", "2", "--bundle", str(bundle), "--json", str(target)]
    assert server.main(options) == 0
    facts = json.loads(target.read_text())
    assert facts == json.loads(capsys.readouterr().out)
    assert facts["errors"] == 0
    assert facts["requests"] > 4
    assert facts["p99_ms"] >= facts["p50_ms"] > 0
    assert facts["exit_code"] == 0
    assert facts["throughput_over_bare"] > 0
    assert set(facts["cpu_ms_per_picture"]) == {"server", "clients", "bare"}
    if sys.platform == "linux":
        assert 10 < facts["memory_first_mib"] < 4000


def test_a_server_that_does_not_start_is_a_sentence(bundle, capsys):
    assert server.main(["--seconds", "0.1", "--batch", "1000", "--bundle", str(bundle)]) == 1
    assert "batch is 1000" in capsys.readouterr().err


def test_wrong_answers_count_as_errors(bundle):
    load = server.Load("127.0.0.1:1", b"", "npy", None)
    load.run(1, 0.05)
    assert load.errors
    assert not load.latencies
    with pytest.raises(server.BenchmarkError, match="no request was answered"):
        server._figures(load, 0.0, 1.0, 1.0)
