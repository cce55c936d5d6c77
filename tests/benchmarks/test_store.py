import importlib
import json

import pytest

from benchmarks.config import DEFAULT_RESULTS
from benchmarks.errors import BenchmarkError
from benchmarks.store import Store


def save(store, **changes):
    settings = {"qualities": (1, 2), "dataset": "kodak", **changes}
    results = {"bpp": [0.1, 0.2], "psnr-rgb": [30, 31]}
    store.save("rd-kodak-x", name="x", description="[a  b]", suite="rd", results=results, settings=settings)
    return settings


def test_results_have_the_schema_of_compressai(tmp_path):
    save(Store(tmp_path))
    payload = json.loads((tmp_path / "rd-kodak-x.json").read_text())
    assert list(payload)[:3] == ["name", "description", "results"]
    assert payload["results"] == {"bpp": [0.1, 0.2], "psnr-rgb": [30, 31]}
    assert payload["description"] == "[a  b]"


def test_a_result_is_fresh_only_for_the_same_settings(tmp_path):
    store = Store(tmp_path)
    assert not store.is_fresh("rd-kodak-x", {})
    settings = save(store)
    assert store.is_fresh("rd-kodak-x", settings)
    assert not store.is_fresh("rd-kodak-x", {**settings, "fingerprint": "other"})


def test_results_are_found_by_suite(tmp_path):
    store = Store(tmp_path)
    save(store)
    assert list(store.load("rd")) == ["rd-kodak-x"]
    assert store.load("tasks") == {}


def test_nothing_half_written_is_left(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        store.save("rd-a", name="a", description="", suite="rd", results={"bpp": [float("nan")]}, settings={})
    assert list(tmp_path.iterdir()) == []


def test_damaged_json_is_named(tmp_path):
    (tmp_path / "rd-a.json").write_text("{")
    with pytest.raises(BenchmarkError, match="delete it and run again"):
        Store(tmp_path).load("rd")


def test_the_plotting_tool_of_compressai_reads_the_files(tmp_path):
    plot = compressai_plot()
    save(Store(tmp_path), qualities=(3,))
    path = tmp_path / "rd-kodak-x.json"
    payload = json.loads(path.read_text())
    payload["results"]["ms-ssim-rgb"] = [0.9, 0.99]
    path.write_text(json.dumps(payload))
    assert plot.parse_json_file(path, "psnr") == {"name": "x", "xs": [0.1, 0.2], "ys": [30, 31]}
    assert plot.parse_json_file(path, "ms-ssim")["ys"] == pytest.approx([10, 20])


@pytest.mark.parametrize("path", sorted(DEFAULT_RESULTS.glob("rd-*.json")), ids=lambda path: path.stem)
def test_every_committed_curve_has_what_compressai_expects(path):
    payload = json.loads(path.read_text())
    results = payload["results"]
    assert isinstance(payload["name"], str) and isinstance(payload["description"], str)
    assert {"bpp", "psnr-rgb", "ms-ssim-rgb", "encoding_time", "decoding_time"} <= set(results)
    assert {len(values) for values in results.values()} == {len(results["bpp"])}
    assert all(isinstance(value, (int, float)) for values in results.values() for value in values)
    assert compressai_plot().parse_json_file(path, "psnr")["ys"] == results["psnr-rgb"]


def compressai_plot():
    """CompressAI's plotting tool, or a skipped test."""
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    importlib.import_module("ugicm_train.torchvision_schema").declare()
    return pytest.importorskip("compressai.utils.plot.__main__")
