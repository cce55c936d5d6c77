"""fp16, int8 and folded engines: what they compute, what they may lose, and that streams do not care."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import ugicm
from onnx import TensorProto
from ugicm.bundle import Bundle, describe_file, write_bundle
from ugicm.manifest import DECODER
from ugicm_export import int8, variants
from ugicm_export.bundle_check import check_bundle, check_variants
from ugicm_export.exporter import Request, export_bundle
from ugicm_export.half import rounded_to_half
from ugicm_export.int8 import balanced_graphs
from ugicm_export.measure import Engines, Limits, Loss
from ugicm_export.onnx_export import finished
from ugicm_export.pictures import PictureError, read_crop, sample_pictures
from ugicm_export.verify import VerificationError

from ugicm_train.checkpoint import load_codec


def test_a_stream_of_any_variant_is_read_by_every_other_without_a_symbol_error(full_bundle: Path) -> None:
    bundle = Bundle.open(full_bundle)
    assert bundle.variants == ["fp32", "fp16", "int8"]
    pairs = check_variants(bundle)
    assert len(pairs) == 9
    assert all(pair["symbols_equal"] and pair["passed"] for pair in pairs)
    recorded = bundle.manifest.verification["sweep"]["psnr_to_fp32"]
    assert recorded == {f"{pair['encoder']} to {pair['decoder']}": pair["psnr_to_fp32"] for pair in pairs}


def test_engines_that_make_poor_pictures_do_not_pass(full_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(full_bundle)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    engine = bundle.manifest.variants["int8"][DECODER]
    model = onnx.load_from_string(files[engine])
    for tensor in model.graph.initializer:
        if tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.FLOAT) and len(tensor.dims) > 1:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros_like(onnx.numpy_helper.to_array(tensor)), tensor.name))
    files[engine] = model.SerializeToString()
    described = {name: describe_file(data) for name, data in files.items()}
    for verification in (bundle.manifest.verification, {}):
        broken = tmp_path / f"broken{len(verification)}"
        write_bundle(broken, replace(bundle.manifest, files=described, verification=verification), files)
        report = check_bundle(broken, threads=(1,))
        assert not report["passed"]
        assert all(pair["symbols_equal"] for pair in report["variants"])
        assert {pair["decoder"] for pair in report["variants"] if not pair["passed"]} == {"int8"}


def test_codecs_opened_by_variant_read_each_other_s_streams(full_bundle: Path) -> None:
    """All ordered pairs, at several rates, as a user opens them."""
    codecs = {name: ugicm.Codec.open(full_bundle, variant=name, threads=1) for name in ("fp32", "fp16", "int8")}
    assert {codec.info["variant"] for codec in codecs.values()} == set(codecs)
    picture = list(sample_pictures())[1]
    written = {}
    for name, quality in itertools.product(codecs, (0, 45, 100)):
        symbols, stream = codecs[name].encode_symbols(picture, quality), codecs[name].encode(picture, quality)
        written[name, quality] = symbols
        assert np.abs(symbols.r).max() > 0
        for reader in codecs.values():
            found = reader.decode_symbols(stream)
            assert np.array_equal(found.z, symbols.z)
            assert np.array_equal(found.r, symbols.r)
            assert reader.decode(stream).shape == picture.shape
    assert not np.array_equal(written["int8", 100].r, written["fp32", 100].r), "int8 and fp32 are the same engines"


def test_every_variant_takes_an_effort(full_bundle: Path) -> None:
    """The step is fp32 whatever the variant, and starts from the z of its encoder."""
    picture, reader = list(sample_pictures())[1], ugicm.Codec.open(full_bundle, threads=1)
    for name in ("fp32", "fp16", "int8"):
        codec = ugicm.Codec.open(full_bundle, variant=name, threads=1)
        plain, refined = (reader.decode_symbols(codec.encode(picture, effort=effort)) for effort in (0, 1))
        assert np.array_equal(plain.z, refined.z)
        assert not np.array_equal(plain.r, refined.r)


def test_variants_leave_the_fingerprint_alone(full_bundle: Path, bundle: Path) -> None:
    assert Bundle.open(full_bundle).manifest.fingerprint == Bundle.open(bundle).manifest.fingerprint


def test_balanced_channels_last_graphs_compute_the_same(checkpoint: Path, bundle: Path) -> None:
    codec = rounded_to_half(load_codec(checkpoint)[0])
    pictures = list(sample_pictures())
    graphs = balanced_graphs(codec, pictures[:2], 17).graphs
    ordinary = Bundle.open(bundle)
    fp32 = Engines(ordinary.engine("encoder.onnx"), ordinary.engine("decoder.onnx"), 1)
    other = Engines(finished(graphs["encoder"]), finished(graphs["decoder"]), 1)
    for level, preference in ((0, 0.0), (63, 0.7)):
        symbols = fp32.encode(pictures[1], level)
        for found, wanted in zip(other.encode(pictures[1], level), symbols):
            assert (found != wanted).mean() < 1e-3
        difference = np.abs(other.decode(*symbols, level, preference).astype(int) - fp32.decode(*symbols, level, preference))
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("name", ["encoder.int8.onnx", "decoder.int8.onnx"])
def test_int8_quantises_blocks_per_channel_and_nothing_of_the_mean_network(name: str, full_bundle: Path) -> None:
    model = onnx.load(full_bundle / name)
    quantised = {node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    if not json.loads((full_bundle / "manifest.json").read_text())["verification"]["variants"]["int8"]["parts"]:
        pytest.skip("the random network lost too much everywhere")
    assert quantised
    made = {name: node for node in model.graph.node for name in node.output}
    means = [node for node in model.graph.node if node.name.startswith("/mean_network/") and node.op_type == "Conv"]
    assert means
    for node in means:
        assert all(name not in made or made[name].op_type != "DequantizeLinear" for name in node.input)
    scales = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name.endswith("_scale")}
    weights = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1]
    assert weights
    assert all(np.prod(scales[w.name.replace("_quantized", "_scale")].dims) > 1 for w in weights)


def test_fp16_halves_weights_and_keeps_the_door_and_the_means(full_bundle: Path) -> None:
    for name in ("encoder", "decoder"):
        plain, half = (ort.InferenceSession((full_bundle / f"{name}{kind}.onnx").read_bytes()) for kind in ("", ".fp16"))
        for one, other in ((plain.get_inputs(), half.get_inputs()), (plain.get_outputs(), half.get_outputs())):
            assert [(port.name, port.type) for port in one] == [(port.name, port.type) for port in other]
        model = onnx.load(full_bundle / f"{name}.fp16.onnx")
        halves = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
        convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
        means = [node for node in convolutions if node.name.startswith("/mean_network/")]
        others = [node for node in convolutions if "blocks8" in node.name]
        assert means
        assert others
        assert not any(name in halves for node in means for name in node.input)
        assert all(node.input[1] in halves for node in others)


def test_losses_are_in_the_manifest_with_the_limits(full_bundle: Path) -> None:
    recorded = json.loads((full_bundle / "manifest.json").read_text())["verification"]["variants"]
    for name in ("fp16", "int8"):
        assert recorded[name]["psnr_loss"] <= recorded[name]["limits"]["psnr_loss"]
        assert recorded[name]["rate_change"] <= recorded[name]["limits"]["rate_change"]
        assert set(recorded[name]["speed"]) == {"encoder", "decoder", "both"}


def test_a_variant_that_loses_too_much_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "measure", lambda *args: Loss(0.4, 0.5, 0.1, 30.0, 0.0, 1))
    request = Request(("onnx", "onnx-fp16"))
    with pytest.raises(VerificationError, match=r"fp16 engines are not kept: it loses 0\.40 dB"):
        export_bundle(checkpoint, tmp_path / "b", request=request, progress=lambda text: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (Loss(0.1, 9, 0.1, 50, 0.005, 1), ""),
        (Loss(0.31, 9, 0.1, 50, 0.0, 1), "loses 0.31 dB PSNR, allowed 0.3"),
        (Loss(0.1, 9, 0.31, 50, 0.0, 1), "streams of the fp32 encoder"),
        (Loss(0.1, 9, 0.1, 50, 0.02, 1), "2.00% larger"),
        (Loss(float("nan"), 9, 0.1, 50, 0.0, 1), "loses nan dB"),
    ],
)
def test_limits(loss: Loss, reason: str) -> None:
    broken = Limits(0.3, 0.01).broken_by(loss)
    assert (reason in broken) if reason else broken == ""


def test_parts_are_left_in_float_until_the_loss_is_small(checkpoint: Path, bundle: Path, photos: Path, monkeypatch) -> None:
    """A measure that dislikes one part of the encoder: exactly that part must be dropped."""
    genuine = int8.Half.quantised
    seen: list[set[str]] = []

    def remember(self, parts: set[str]) -> bytes:
        if self._half == "encoder":
            seen.append(set(parts))
        return genuine(self, parts)

    monkeypatch.setattr(int8.Half, "quantised", remember)
    monkeypatch.setattr(int8, "measure", lambda *args: Loss(0.5 if "blocks8.0.expand" in seen[-1] else 0.0, 0, 0, 50, 0, 1))
    plain = Bundle.open(bundle)
    fp32 = Engines(plain.engine("encoder.onnx"), plain.engine("decoder.onnx"), 1)
    codec = rounded_to_half(load_codec(checkpoint)[0])
    found = int8.quantise(codec, fp32, plain.read("entropy.bin"), photos, 17, lambda text: None)
    assert "encoder.blocks8.0.expand" not in found.parts
    left = {f"{half}.{part}" for half in ("encoder", "decoder") for part in seen[0]} | {"encoder.stem"}
    assert set(found.parts) == left - {"encoder.blocks8.0.expand", "decoder.stem"}


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8"])
def test_views_of_one_picture_are_those_of_single_calls(variant: str, full_bundle: Path) -> None:
    decoder = ort.InferenceSession(Bundle.open(full_bundle).engine("decoder.onnx", variant))
    rng = np.random.default_rng(3)
    feeds = {
        "z": rng.integers(-9, 10, (1, 8, 1, 2), dtype=np.int32),
        "r": rng.integers(-3, 4, (1, 16, 4, 8), dtype=np.int32),
        "quality": np.array([20.25], np.float32),
    }
    preferences = np.array([0.0, 1.0, 0.4], np.float32)
    (views,) = decoder.run(None, feeds | {"preference": preferences})
    assert views.shape == (3, 64, 128, 3)
    for k, view in enumerate(views):
        (alone,) = decoder.run(None, feeds | {"preference": preferences[[k]]})
        assert np.abs(alone[0].astype(int) - view).max() <= 1


def test_a_folded_decoder_is_the_decoder_at_its_preference(full_bundle: Path) -> None:
    bundle = Bundle.open(full_bundle)
    rng = np.random.default_rng(1)
    feeds = {
        "z": rng.integers(-9, 10, (2, 8, 1, 2), dtype=np.int32),
        "r": rng.integers(-3, 4, (2, 16, 4, 8), dtype=np.int32),
        "quality": np.array([3, 50.125], np.float32),
    }
    for preference in (0.0, 0.25):
        data = bundle.folded_decoder(preference)
        assert data is not None
        folded = ort.InferenceSession(data)
        assert [port.name for port in folded.get_inputs()] == ["z", "r", "quality"]
        (view,) = folded.run(None, feeds)
        general = ort.InferenceSession(bundle.engine("decoder.onnx"))
        (wanted,) = general.run(None, feeds | {"preference": np.full(2, preference, np.float32)})
        assert np.abs(view.astype(int) - wanted).max() <= 1
        operators = {node.op_type for node in onnx.load_from_string(data).graph.node}
        assert not operators & {"Sin", "Cos"}


def test_pictures_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="not a folder"):
        int8.picture_files(tmp_path / "nowhere")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match="holds 1 pictures"):
        int8.picture_files(tmp_path, 16)
    with pytest.raises(PictureError, match="cannot be read"):
        read_crop(tmp_path / "a.png")


def test_torch_is_not_changed_by_balancing(checkpoint: Path) -> None:
    codec = load_codec(checkpoint)[0]
    before = {name: value.clone() for name, value in codec.state_dict().items()}
    balanced_graphs(codec, list(sample_pictures())[:1], 17)
    assert all(torch.equal(value, before[name]) for name, value in codec.state_dict().items())
