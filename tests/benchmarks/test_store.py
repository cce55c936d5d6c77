import json

import pytest

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
