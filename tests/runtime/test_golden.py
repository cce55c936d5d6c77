"""Golden streams: what was once written is read for ever, symbol by symbol, and written again byte by byte."""

import importlib.util
import json
from pathlib import Path

import pytest
import ugicm_coder
from ugicm import entropy
from ugicm.bitstream import Stream, parse, serialise
from ugicm.bundle import DEFAULT_PATH, Bundle
from ugicm.manifest import ENTROPY

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.ugic"))


def load_make():
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entropy_model(folder, fingerprint):
    """The entropy model of a fingerprint, kept beside the streams or inside the default bundle."""
    kept = folder / f"{fingerprint}.entropy.bin"
    if kept.exists():
        return ugicm_coder.EntropyModel(kept.read_bytes())
    if DEFAULT_PATH.exists():
        bundle = Bundle.open(DEFAULT_PATH)
        if bundle.manifest.fingerprint == fingerprint:
            return ugicm_coder.EntropyModel(bundle.read(ENTROPY))
    pytest.skip(f"no model with fingerprint {fingerprint} is here")


def check(folder, name):
    symbol_hash = load_make().symbol_hash
    data = (folder / f"{name}.ugic").read_bytes()
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    stream = parse(data)
    for field in ("fingerprint", "width", "height", "level"):
        assert getattr(stream, field) == facts[field]
    model = entropy_model(folder, facts["fingerprint"])
    symbols = entropy.decode(model, stream, 1, entropy.NoClock())
    assert symbol_hash(symbols.z) == facts["z_sha256"]
    assert symbol_hash(symbols.r) == facts["r_sha256"]
    z, bands = entropy.encode(model, symbols, stream.band_height, 1, entropy.NoClock())
    again = Stream(
        stream.width, stream.height, stream.level, stream.fingerprint, z, bands, stream.band_height, stream.boxes
    )
    assert serialise(again) == data


@pytest.mark.parametrize("name", NAMES or [pytest.param("", marks=pytest.mark.skip(reason="no golden streams yet"))])
def test_golden_stream(name):
    check(GOLDEN, name)


def test_make_writes_what_the_test_reads(tmp_path, bundle_path, picture):
    load_make().make("new", bundle_path, picture, quality=60, keep_model=True, folder=tmp_path)
    check(tmp_path, "new")
    (tmp_path / "new.json").write_text((tmp_path / "new.json").read_text().replace('"level": 37.75', '"level": 38'))
    with pytest.raises(AssertionError):
        check(tmp_path, "new")
