"""The whole export: what the bundle holds, when nothing is written, and what the fingerprint depends on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import ugicm
from ugicm_export import bundle_check, exporter
from ugicm_export.bundle_check import TOLERANCE
from ugicm_export.exporter import Request, export_bundle
from ugicm_export.half import rounded_to_half
from ugicm_export.onnx_export import OPSETS
from ugicm_export.pictures import sample_pictures
from ugicm_export.verify import VerificationError

from ugicm_train.checkpoint import CheckpointError, load_codec, save_weights
from ugicm_train.guide_file import GuideError, save_guide
from ugicm_train.model.codec import Codec
from ugicm_train.model.entropy import index_to_scale
from ugicm_train.model.guide import Guide, GuideConfig
from ugicm_train.model.refine import level_weights, refine

QUIET = {"progress": lambda text: None}


def test_the_runtime_decodes_what_torch_decodes(checkpoint: Path, bundle: Path) -> None:
    runtime = ugicm.Codec.open(bundle, threads=1)
    codec = rounded_to_half(load_codec(checkpoint)[0])
    picture = list(sample_pictures())[1]
    z, r, level = runtime.encode_symbols(picture, quality=70)
    view = runtime.decode(runtime.encode(picture, quality=70), preference=0.25)
    symbols = (torch.from_numpy(s.astype(np.float32))[None] for s in (z, r))
    with torch.no_grad():
        expected = codec.decode(*symbols, torch.tensor([level]), torch.tensor([0.25]))
    expected = (expected[0] * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()
    difference = np.abs(view.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_the_runtime_encodes_what_torch_encodes(checkpoint: Path, bundle: Path) -> None:
    """Against the network as it is trained, not the rearranged copy that the exporter compares with."""
    runtime = ugicm.Codec.open(bundle, threads=1)
    codec = rounded_to_half(load_codec(checkpoint)[0])
    picture = list(sample_pictures())[1]
    z, r, level = runtime.encode_symbols(picture, quality=70)
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = codec.encode(x, torch.tensor([level]))
    for found, wanted in zip((z, r), expected, strict=True):
        assert np.abs(found).max() > 0
        assert (found != wanted[0].numpy()).mean() < 1e-3


def test_manifest_records_training_and_verification(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["training"]["history"] == [{"stage": "none"}]
    assert manifest["preset"] == "custom"
    assert manifest["verification"]["pictures"] == 9
    assert manifest["verification"]["differing_scale_indexes"] == 0


def test_manifest_keeps_a_record_of_the_sweep(full_bundle: Path) -> None:
    record = json.loads((full_bundle / "manifest.json").read_text())["verification"]["sweep"]
    assert record["passed"]
    assert record["pairs"] == record["pairs_with_equal_symbols"] == 9
    assert list(record["variants"]) == ["fp32", "fp16", "int8"]
    assert len(record["variants"]["fp32"]["setups"]) == 5
    assert len(record["variants"]["int8"]["setups"]) == 3
    for one in record["variants"].values():
        assert {name: tensor["allowed_share"] for name, tensor in one["tensors"].items()} == TOLERANCE
        assert all(tensor["values"] > 0 and tensor["largest"] <= 1 for tensor in one["tensors"].values())


def test_set_ups_that_differ_fail_the_export(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = bundle_check._Setup.decode
    monkeypatch.setattr(
        bundle_check._Setup, "decode", lambda self, *args: genuine(self, *args) + (self.names[2] == 4) * np.uint8(3)
    )
    with pytest.raises(VerificationError, match=r"with 4 threads, optimisation all: .* values of image differ"):
        export_bundle(checkpoint, tmp_path / "b", **QUIET)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_that_is_offered(opset: int, checkpoint: Path, photos: Path, bundle: Path, tmp_path: Path) -> None:
    """All precisions, verified; whatever the opset, streams are read by the bundle of the default one."""
    request = Request(("onnx", "onnx-fp16", "onnx-int8"), {"human": 0.0}, photos)
    manifest = export_bundle(checkpoint, tmp_path / "b", opset=opset, request=request, **QUIET)
    assert manifest.verification["sweep"]["passed"]
    for name in manifest.files:
        if name.endswith(".onnx"):
            found = {one.domain: one.version for one in onnx.load(tmp_path / "b" / name).opset_import}
            assert found[""] == opset
    picture = next(iter(sample_pictures()))
    written, read = ugicm.Codec.open(tmp_path / "b", threads=1), ugicm.Codec.open(bundle, threads=1)
    symbols, found = written.encode_symbols(picture), read.decode_symbols(written.encode(picture))
    assert np.array_equal(symbols.r, found.r)


@pytest.mark.parametrize("opset", [OPSETS.start - 1, OPSETS.stop])
def test_other_opsets_are_refused(opset: int, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"opset is {opset}, expected {OPSETS.start}..{OPSETS.stop - 1}"):
        export_bundle(checkpoint, tmp_path / "b", opset=opset, **QUIET)


def fingerprint_after(change: str, checkpoint: Path, tmp_path: Path) -> str:
    """Fingerprint of the tiny model after adding to the parameters whose name starts with `change`."""
    codec, history = load_codec(checkpoint)
    with torch.no_grad():
        for name, parameter in codec.named_parameters():
            if change and name.startswith(change):
                parameter.add_(0.05)
    save_weights(tmp_path / "changed", codec.config, codec.state_dict(), history)
    return export_bundle(tmp_path / "changed", tmp_path / "bundle", replace=True, **QUIET).fingerprint


@pytest.mark.parametrize(
    ("part", "same"), [("", True), ("synthesis", True), ("mean_network", False), ("scale_network", False)]
)
def test_fingerprint_covers_what_gives_symbols_their_meaning(
    part: str, same: bool, checkpoint: Path, bundle: Path, tmp_path: Path
) -> None:
    original = json.loads((bundle / "manifest.json").read_text())["fingerprint"]
    assert (fingerprint_after(part, checkpoint, tmp_path) == original) == same


def test_zip_bundle_opens(checkpoint: Path, tmp_path: Path) -> None:
    export_bundle(checkpoint, tmp_path / "model.zip", **QUIET)
    assert ugicm.Codec.open(tmp_path / "model.zip").info["preset"] == "custom"
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]


def test_an_existing_bundle_is_kept_unless_asked(checkpoint: Path, tmp_path: Path) -> None:
    export_bundle(checkpoint, tmp_path / "b", name="first", **QUIET)
    with pytest.raises(FileExistsError, match="--force"):
        export_bundle(checkpoint, tmp_path / "b", name="second", **QUIET)
    export_bundle(checkpoint, tmp_path / "b", name="second", replace=True, **QUIET)
    assert json.loads((tmp_path / "b" / "manifest.json").read_text())["name"] == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_only_bundles_are_replaced(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("precious")
    (tmp_path / "notes.zip").write_text("precious")
    for out in (checkpoint, tmp_path / "notes", tmp_path / "notes.zip"):
        with pytest.raises(FileExistsError, match="is no bundle"):
            export_bundle(checkpoint, out, replace=True, **QUIET)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "b.zip", tmp_path / "b.zip"):
        export_bundle(checkpoint, out, replace=True, **QUIET)
        assert ugicm.Codec.open(out).info["preset"] == "custom"


@pytest.mark.parametrize(
    ("victim", "wrong"), [("entropy_file", "scale indexes"), ("decoder_onnx", "samples"), ("encoder_onnx", "symbols")]
)
def test_a_wrong_file_fails_and_leaves_nothing(
    victim: str, wrong: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is written from a model that differs slightly from the one it is compared with."""
    genuine = getattr(exporter, victim)

    def damaged(codec, *args):
        changed = rounded_to_half(codec)
        with torch.no_grad():
            changed.scale_network.quality.rows.add_(0.3)
            changed.synthesis.head.bias.add_(0.02)
            changed.analysis.leave.bias.add_(0.1)
        return genuine(changed, *args)

    monkeypatch.setattr(exporter, victim, damaged)
    with pytest.raises(VerificationError, match=wrong):
        export_bundle(checkpoint, tmp_path / "b", **QUIET)
    assert list(tmp_path.iterdir()) == []


def test_one_rounding_tie_in_z_is_one_difference(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows from it in r, which can be hundreds of symbols, does not fail an export."""
    genuine, calls = Codec.encode, []

    def tied(self, x, level):
        z, r = genuine(self, x, level)
        calls.append(1)
        if len(calls) == 3:
            z[0, 0, 0, 0] += 1
            r += 1
        return z, r

    monkeypatch.setattr(Codec, "encode", tied)
    assert export_bundle(checkpoint, tmp_path / "b", **QUIET).verification["differing_symbols"] == 1


def test_damaged_checkpoints_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        export_bundle(tmp_path, tmp_path / "b", **QUIET)
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes()[:100])
        with pytest.raises(CheckpointError, match=r"damaged|missing"):
            export_bundle(tmp_path, tmp_path / "b", **QUIET)
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("effort", [1, 3])
def test_the_runtime_refines_as_torch_does(checkpoint: Path, bundle: Path, effort: int) -> None:
    runtime = ugicm.Codec.open(bundle, threads=1)
    codec = rounded_to_half(load_codec(checkpoint)[0])
    picture = list(sample_pictures())[1]
    z, r, level = runtime.decode_symbols(runtime.encode(picture, quality=70, effort=effort))
    patches = torch.nn.functional.pixel_unshuffle(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255, 8)
    levels = torch.tensor([level])
    with torch.no_grad():
        hyper, first = codec.encode_patches(patches, levels)
        weight = level_weights([], codec.config.quality_knots)[(8 * levels).long()]
        scale = index_to_scale(codec.scale_network(hyper, levels))
        expected = refine(codec, patches, hyper, scale, levels, weight, effort)
    assert (z != hyper[0].numpy()).mean() < 1e-3
    assert (r != expected[0].numpy()).mean() < 1e-3
    assert (first != expected).float().mean() > 0.01


def test_a_refiner_that_computes_something_else_fails_the_export(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = exporter.refiner_onnx
    monkeypatch.setattr(exporter, "refiner_onnx", lambda codec, weights, *others: genuine(codec, 2 * weights, *others))
    with pytest.raises(VerificationError, match=r"symbols of refiner\.onnx differ from torch after 3 steps"):
        export_bundle(checkpoint, tmp_path / "b", **QUIET)
    assert list(tmp_path.iterdir()) == []


def test_a_guide_beside_the_checkpoint_guides_the_effort(checkpoint: Path, bundle: Path, tmp_path: Path) -> None:
    guided = tmp_path / "guided"
    shutil.copytree(checkpoint, guided)
    torch.manual_seed(4)
    guide = Guide(GuideConfig(channels=(4, 6), widths=(8, 12), blocks=(1, 1)))
    for head in guide.heads:
        head.weight.data *= 20
    save_guide(guided, guide)
    manifest = export_bundle(guided, tmp_path / "b", **QUIET)
    assert manifest.verification["guided_refiner"]["symbols"] > 0
    ours, other = (ugicm.Codec.open(path, threads=1) for path in (tmp_path / "b", bundle))
    picture = next(iter(sample_pictures()))
    assert ours.encode(picture, effort=2) == other.encode(picture, effort=2)
    streams = {ours.encode(picture, effort=2, guidance=guidance) for guidance in (0, 0.5, 1)}
    assert len(streams) == 3
    with pytest.raises(ugicm.BundleError, match=r"has no guided_refiner.onnx, .* export a checkpoint with a guide"):
        other.encode(picture, effort=2, guidance=1)


def test_an_effort_lowers_the_error_of_the_training_or_the_one_asked_for(checkpoint: Path, bundle: Path, tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    shutil.copytree(checkpoint, trained)
    config = json.loads((trained / "config.json").read_text())
    config["history"] = [{"stage": "rate_distortion", "human_ms_ssim": 0.5}]
    (trained / "config.json").write_text(json.dumps(config))
    picture, streams = next(iter(sample_pictures())), []
    for number, (folder, share) in enumerate([(trained, None), (checkpoint, 0.5), (trained, 0.0), (trained, 1.0)]):
        manifest = export_bundle(folder, tmp_path / str(number), request=Request(structure=share), **QUIET)
        assert manifest.verification["refiner"]["structure"] == (0.5 if share is None else share)
        streams.append(ugicm.Codec.open(tmp_path / str(number), threads=1).encode(picture, effort=2))
    assert streams[0] == streams[1]
    assert streams[2] == ugicm.Codec.open(bundle, threads=1).encode(picture, effort=2)
    assert len(set(streams)) == 3


def test_a_damaged_guide_fails_the_export(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "c")
    (tmp_path / "c" / "guide.safetensors").write_bytes(b"nothing")
    with pytest.raises(GuideError, match="is damaged or no guide"):
        export_bundle(tmp_path / "c", tmp_path / "b", **QUIET)


def test_a_bundle_without_refiner_takes_no_effort(checkpoint: Path, bundle: Path, tmp_path: Path) -> None:
    manifest = export_bundle(checkpoint, tmp_path / "b", request=Request(refiner=False, skip_verify=True), **QUIET)
    assert "refiner.onnx" not in manifest.files
    small, picture = ugicm.Codec.open(tmp_path / "b", threads=1), next(iter(sample_pictures()))
    assert small.encode(picture) == ugicm.Codec.open(bundle, threads=1).encode(picture)
    with pytest.raises(ugicm.BundleError, match=r"has no refiner.onnx, .* export it again without --no-refiner"):
        small.encode(picture, effort=1)
