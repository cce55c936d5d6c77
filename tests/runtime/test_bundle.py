"""Bundles: folder and zip, and every way one can be broken."""

import json
import shutil
import zipfile

import pytest
from ugicm import Codec
from ugicm.bundle import Bundle, describe_file, fingerprint, write_bundle
from ugicm.errors import BundleError
from ugicm.manifest import ENTROPY, Manifest, ManifestError, parse_manifest


@pytest.fixture
def copy(tmp_path, bundle_path):
    return shutil.copytree(bundle_path, tmp_path / "copy")


def change_manifest(folder, **changes):
    path = folder / "manifest.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def test_fingerprint_is_pinned():
    assert fingerprint(b"entropy", "00" * 32) == "da2d0f074dbf0255"


def test_manifest_survives_writing_and_reading(bundle_path):
    manifest = Bundle.open(bundle_path).manifest
    assert parse_manifest(manifest.to_json().encode()) == manifest


def test_zip_is_as_good_as_a_folder(tmp_path, bundle_path, stream, codec):
    folder = Bundle.open(bundle_path)
    path = tmp_path / "tiny.zip"
    write_bundle(path, folder.manifest, {name: folder.read(name) for name in folder.manifest.files})
    assert (Codec.open(path, threads=1).decode(stream) == codec.decode(stream)).all()


@pytest.mark.parametrize("name", ["manifest.json", "encoder.onnx", "decoder.onnx", "entropy.bin"])
def test_a_missing_file(copy, name):
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"has no {name}"):
        Codec.open(copy)


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx", "entropy.bin"])
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"y" + data[1:]])
def test_a_damaged_file(copy, name, damage):
    path = copy / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BundleError, match=f"{name} does not match the manifest"):
        Codec.open(copy)


def test_a_file_changed_after_opening(copy, picture):
    codec = Codec.open(copy, threads=1)
    (copy / "encoder.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="does not match"):
        codec.encode(picture)


def test_a_fingerprint_of_another_model(copy):
    change_manifest(copy, fingerprint="0" * 16)
    with pytest.raises(BundleError, match="fingerprint"):
        Codec.open(copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"version": 1},
        {"fingerprint": "xyz"},
        {"fingerprint": ...},
        {"mean_network_sha256": "00"},
        {"hyper_channels": 0},
        {"latent_channels": True},
        {"latent_channels": ...},
        {"qualities": 32},
        {"multiple": 32},
        {"preference": [1, 0]},
        {"preference": "all"},
        {"preference": [0, 10**400]},
        {"name": 3},
        {"training": []},
        {"files": {}},
        {"files": ...},
        {"files": []},
    ],
)
def test_bad_manifest_fields(copy, changes):
    change_manifest(copy, **changes)
    with pytest.raises(BundleError, match=next(iter(changes))):
        Codec.open(copy)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "..", "a\\b", "manifest.json", ""])
def test_file_names_cannot_leave_the_bundle(copy, name):
    files = json.loads((copy / "manifest.json").read_text())["files"]
    change_manifest(copy, files={**files, name: {"sha256": "0" * 64, "bytes": 1}})
    with pytest.raises(BundleError, match="files"):
        Codec.open(copy)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_text_that_is_no_manifest(text):
    with pytest.raises(ManifestError):
        parse_manifest(text)


def test_unknown_manifest_fields_are_ignored(copy):
    change_manifest(copy, later="yes")
    Codec.open(copy)


def test_channels_must_agree_with_the_entropy_model(copy):
    change_manifest(copy, hyper_channels=5)
    with pytest.raises(BundleError, match="channels"):
        Codec.open(copy)


def test_an_entropy_model_that_does_not_load(tmp_path, bundle_path):
    folder = Bundle.open(bundle_path)
    files = {name: folder.read(name) for name in folder.manifest.files}
    files[ENTROPY] = files[ENTROPY][:-1]
    content = json.loads(folder.manifest.to_json())
    content["fingerprint"] = fingerprint(files[ENTROPY], content["mean_network_sha256"])
    content["files"][ENTROPY] = describe_file(files[ENTROPY])
    write_bundle(tmp_path / "bad", Manifest(**content), files)
    with pytest.raises(BundleError, match="not usable"):
        Codec.open(tmp_path / "bad")


def test_paths_that_are_no_bundle(tmp_path, monkeypatch):
    with pytest.raises(BundleError, match="no bundle at"):
        Codec.open(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="cannot be opened"):
        Codec.open(tmp_path / ("n" * 300))
    (tmp_path / "file.zip").write_bytes(b"not a zip")
    with pytest.raises(BundleError, match="neither"):
        Codec.open(tmp_path / "file.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        Codec.open(tmp_path / "empty.zip")
    monkeypatch.delenv("UGICM_BUNDLE", raising=False)
    monkeypatch.setattr("ugicm.bundle.DEFAULT_PATH", tmp_path / "default")
    with pytest.raises(BundleError, match="no default model"):
        Codec.open()


def test_a_member_larger_than_declared_is_not_read_whole(tmp_path, bundle_path):
    folder = Bundle.open(bundle_path)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", folder.manifest.to_json())
        archive.writestr("encoder.onnx", bytes(1 << 24))
    with pytest.raises(BundleError, match="does not match"):
        Bundle.open(path)


@pytest.fixture
def with_variants(tmp_path, bundle_path):
    """The tiny bundle with an int8 variant (its decoder damaged on purpose, to tell them apart) and a folded decoder."""
    bundle = Bundle.open(bundle_path)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    files |= {"decoder.int8.onnx": b"int8", "decoder.human.onnx": b"human"}
    content = json.loads(bundle.manifest.to_json()) | {
        "files": {name: describe_file(data) for name, data in files.items()},
        "variants": {"int8": {"encoder.onnx": "encoder.onnx", "decoder.onnx": "decoder.int8.onnx"}},
        "folded": [{"variant": "fp32", "preference": 0.0, "file": "decoder.human.onnx"}],
    }
    write_bundle(tmp_path / "variants", Manifest(**content), files)
    return tmp_path / "variants"


def test_variants_are_found_by_name(with_variants, bundle_path):
    bundle, plain = Bundle.open(with_variants), Bundle.open(bundle_path)
    assert bundle.variants == ["fp32", "int8"]
    assert plain.variants == ["fp32"]
    assert bundle.engine("decoder.onnx") == bundle.engine("decoder.onnx", "fp32") == plain.read("decoder.onnx")
    assert bundle.engine("decoder.onnx", "int8") == b"int8"
    assert bundle.engine("encoder.onnx", "int8") == plain.read("encoder.onnx")
    assert bundle.folded_decoder(0.0) == b"human"
    assert bundle.folded_decoder(0.5) is None
    assert bundle.folded_decoder(0.0, "int8") is None
    with pytest.raises(BundleError, match="no fp16 engines, only fp32, int8"):
        bundle.engine("decoder.onnx", "fp16")
    assert bundle.manifest.fingerprint == plain.manifest.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"variants": {"int8": {"decoder.onnx": "decoder.int8.onnx"}}},
        {"variants": {"fp32": {"encoder.onnx": "encoder.onnx", "decoder.onnx": "decoder.onnx"}}},
        {"variants": {"int8": {"encoder.onnx": "encoder.onnx", "decoder.onnx": "decoder.other.onnx"}}},
        {"variants": {"int8": []}},
        {"folded": [{"variant": "fp32", "preference": 2, "file": "decoder.human.onnx"}]},
        {"folded": [{"variant": "fp32", "preference": 0, "file": "other.onnx"}]},
        {"folded": {}},
    ],
)
def test_bad_variants(with_variants, changes):
    change_manifest(with_variants, **changes)
    with pytest.raises(BundleError, match=next(iter(changes))):
        Bundle.open(with_variants)
