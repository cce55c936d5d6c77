"""The integer stage: its end is a proof, which fails for a model whose integers are not those that were simulated."""

import dataclasses

import pytest
import torch
from tiny_train import NETWORK, TRAIN, tiny_codec
from ugicm_coder import EntropyModel

from ugicm_train import integer
from ugicm_train.checkpoint import load_codec
from ugicm_train.data import CropSource
from ugicm_train.evaluate import evaluate
from ugicm_train.fit import fit
from ugicm_train.integer import IntegerMismatch, check_integers, entropy_file
from ugicm_train.loop import Trainer

INTEGER = dataclasses.replace(TRAIN, stage="integer", steps=12, late_from=1.0, learning_rate=3e-3, ema=0.5)


def trainer(pictures, out, config=INTEGER):
    codec = tiny_codec()
    with torch.no_grad():
        codec.scale_network.quality.rows.fill_(3.0)  # far too wide: there is rate to win
    return Trainer(config, NETWORK, CropSource(pictures, smallest=64), out, start=codec.state_dict())


def test_only_the_scale_network_changes_and_the_rate_falls(pictures, tmp_path):
    run = trainer(pictures, tmp_path)
    before = {name: value.clone() for name, value in run.codec.state_dict().items()}
    picture = run.source.image(0)
    (start,) = evaluate(run.averaged_codec(), [picture], [30])
    fit(run, report=lambda line: None)
    trained, _ = load_codec(tmp_path)
    changed = {name for name, value in trained.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("scale_network.") for name in changed)
    (end,) = evaluate(trained, [picture], [30])
    assert end.bpp < start.bpp
    assert end.psnr == start.psnr


def test_rate_of_the_integer_stage_is_that_of_rounded_symbols(pictures, tmp_path):
    run = trainer(pictures, tmp_path)
    terms = run.train_step()
    other = trainer(pictures, tmp_path)
    batch = other.batches.at(0).to(torch.device("cpu"))
    with torch.no_grad():
        coded = tiny_codec().eval()
        coded.load_state_dict(other.codec.state_dict())
        found = coded(batch.x, batch.level, batch.preference)
    bpp = (found.latent_bits + found.hyper_bits).mean() / 64**2
    torch.testing.assert_close(terms["bpp"], bpp)


def test_trained_integers_agree_with_the_coder(pictures, tmp_path, caplog):
    with caplog.at_level("INFO"):
        fit(trainer(pictures, tmp_path), report=lambda line: None)
    assert "agree bit for bit on" in caplog.text
    codec, _ = load_codec(tmp_path)
    assert check_integers(codec, torch.rand(2, 3, 64, 64)) > 10_000
    assert isinstance(EntropyModel(entropy_file(codec)), EntropyModel)


def test_other_integers_are_noticed(monkeypatch):
    codec, other = tiny_codec(0).eval(), tiny_codec(0).eval()
    with torch.no_grad():
        other.scale_network.quality.rows.add_(0.2)
    stored = entropy_file(other)
    monkeypatch.setattr(integer, "entropy_file", lambda codec: stored)
    with pytest.raises(IntegerMismatch, match=r"\d+ of \d+ scale indexes"):
        check_integers(codec, torch.rand(2, 3, 64, 64))
