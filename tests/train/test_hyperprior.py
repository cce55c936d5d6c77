"""The paper's backbone: the same stages train it, and whatever it cannot do is refused with a sentence."""

import dataclasses

import pytest
import torch
from tiny_train import TRAIN

from ugicm_train.checkpoint import load_codec, save_weights
from ugicm_train.config import PAPER, HyperpriorConfig, network_preset
from ugicm_train.data import CropSource
from ugicm_train.describe import describe
from ugicm_train.evaluate import evaluate
from ugicm_train.fit import fit
from ugicm_train.loop import Trainer
from ugicm_train.model.build import build
from ugicm_train.model.hyperprior import Hyperprior

TINY = HyperpriorConfig(channels=12, latent=16, condition=8, quality_knots=3)
LEVEL = torch.tensor([5, 55])


class PixelTeacher:
    """The mean absolute difference."""

    def distance(self, view, x, scale=1.0):
        return (view - x).abs().mean((1, 2, 3))


def tiny(seed=0):
    torch.manual_seed(seed)
    return build(TINY)


@pytest.fixture
def x():
    return torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(0))


def test_the_preset_is_the_papers():
    assert network_preset(PAPER) == HyperpriorConfig()
    found = describe(network_preset(PAPER), 64)
    assert found.parameters > 4e6
    assert 40 < found.encoder_kmac < found.decoder_kmac


@torch.no_grad()
def test_halves_agree_with_the_training_pass(x):
    codec, preference = tiny().eval(), torch.tensor([0.0, 0.7])
    assert isinstance(codec, Hyperprior)
    coded = codec(x, LEVEL, preference)
    z, y = codec.encode(x, LEVEL)
    assert (z.shape, y.shape) == ((2, 12, 1, 2), (2, 16, 4, 8))
    torch.testing.assert_close(codec.decode(z, y, LEVEL, preference), coded.view.clamp(0, 1))
    assert (coded.latent_bits > 0).all() and (coded.hyper_bits > 0).all()
    human, machine = (codec.decode(z, y, LEVEL, torch.full((2,), p)) for p in (0.0, 1.0))
    assert not torch.equal(human, machine)
    torch.testing.assert_close(codec(x, LEVEL, preference, True).view, coded.view)


def test_every_weight_learns(x):
    codec = tiny().train()
    with torch.no_grad():
        codec.hyper_analysis[-1].weight.mul_(100)  # else all of z rounds to zero, which teaches its first reader nothing
    coded = codec(x, LEVEL, torch.tensor([0.2, 0.9]))
    ((coded.latent_bits + coded.hyper_bits).sum() + 1e4 * (coded.view - x).square().sum()).backward()
    idle = [n for n, p in codec.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().sum() > 0)]
    assert idle == []


@pytest.mark.parametrize("stage", ["rate_distortion", "semantic", "preference"])
def test_stages_train_and_resume_it_exactly(pictures, tmp_path, stage):
    config = dataclasses.replace(TRAIN, stage=stage)
    source = CropSource(pictures, smallest=64)
    teacher = PixelTeacher() if config.needs_teacher else None

    def trainer(out):
        return Trainer(config, TINY, source, out, start=tiny().state_dict(), teacher=teacher)

    whole, first = trainer(tmp_path / "whole"), trainer(tmp_path / "parts")
    expected = [whole.train_step()["loss"].item() for _ in range(4)]
    found = [first.train_step()["loss"].item() for _ in range(2)]
    first.save()
    second = trainer(tmp_path / "parts")
    second.resume()
    assert found + [second.train_step()["loss"].item() for _ in range(2)] == expected


def test_it_learns_from_scratch_and_is_kept(pictures, tmp_path):
    config = dataclasses.replace(TRAIN, steps=30, learning_rate=3e-3, late_from=1.0, ema=0.5)
    run = Trainer(config, TINY, CropSource(pictures, smallest=64), tmp_path)
    before = run.train_step()["mse"].item()
    fit(run, report=lambda line: None)
    loaded, history = load_codec(tmp_path)
    assert loaded.config == TINY
    assert history[-1]["finished_steps"] == 30
    (point,) = evaluate(loaded, [run.source.image(0)], [40])
    assert 255**2 / 10 ** (point.psnr / 10) < before


def test_what_it_cannot_do_is_one_sentence(pictures, tmp_path):
    export_bundle = pytest.importorskip("ugicm_export.exporter").export_bundle
    save_weights(tmp_path / "run", TINY, tiny().state_dict(), [])
    with pytest.raises(ValueError, match="export needs the main network"):
        export_bundle(tmp_path / "run", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(ValueError, match="stage integer needs the main network"):
        Trainer(dataclasses.replace(TRAIN, stage="integer"), TINY, CropSource(pictures, smallest=64), tmp_path)
