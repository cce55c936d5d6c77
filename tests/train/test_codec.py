"""The whole network: the two halves agree with the training pass, and the preference axis is real."""

import pytest
import torch

from ugicm_train.model.condition import preference_features
from ugicm_train.model.entropy import index_to_scale, symbol_bits


@pytest.fixture
def x():
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(2, 3, 8, 16, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(64, 128), mode="bilinear")


LEVEL = torch.tensor([5, 55])


@torch.no_grad()
def test_halves_agree_with_the_training_pass(codec, x):
    preference = torch.tensor([0.0, 0.7])
    coded = codec(x, LEVEL, preference)
    z, r = codec.encode(x, LEVEL)
    view = codec.decode(z, r, LEVEL, preference)
    torch.testing.assert_close(view, coded.view.clamp(0, 1), atol=1e-5, rtol=0)
    scale = index_to_scale(codec.scale_network(z, LEVEL))
    torch.testing.assert_close(symbol_bits(r, scale).sum((1, 2, 3)), coded.latent_bits, rtol=1e-5, atol=0)
    z_scale = index_to_scale(codec.hyper_scale_index(LEVEL))[:, :, None, None]
    torch.testing.assert_close(symbol_bits(z, z_scale).sum((1, 2, 3)), coded.hyper_bits, rtol=1e-5, atol=0)


@torch.no_grad()
def test_symbols_are_integers_of_the_promised_shape(codec, x):
    z, r = codec.encode(x, LEVEL)
    assert z.shape == (2, codec.config.hyper, 1, 2)
    assert r.shape == (2, codec.config.latent, 4, 8)
    for symbols in (z, r):
        assert torch.equal(symbols, symbols.round())
    assert r.abs().max() > 0


@torch.no_grad()
def test_hyper_symbols_are_clipped(codec, x):
    codec.hyper_analysis.layers[-1].reduce.bias.fill_(1000.0)
    z, _ = codec.encode(x, LEVEL)
    assert z.max() == 127


@torch.no_grad()
def test_batch_and_single_pictures_agree(codec, x):
    z, r = codec.encode(x, LEVEL)
    for index in range(2):
        z_one, r_one = codec.encode(x[index : index + 1], LEVEL[index : index + 1])
        assert torch.equal(z_one[0], z[index])
        assert torch.equal(r_one[0], r[index])


@torch.no_grad()
def test_preference_turns_the_view_but_not_the_symbols(codec, x):
    z, r = codec.encode(x, LEVEL)
    human, middle, machine = (codec.decode(z, r, LEVEL, torch.full((2,), p)) for p in (0.0, 0.5, 1.0))
    assert not torch.equal(human, machine)
    assert (human - middle).abs().max() <= (human - machine).abs().max() * 2


def test_preference_features_are_smooth_and_21():
    beta = torch.linspace(0, 1, 1001)
    features = preference_features(beta)
    assert features.shape == (1001, 21)
    assert (features.diff(dim=0) * 1000).abs().max() <= 1.01


def test_training_noise_is_repeatable_and_off_in_evaluation(codec, x):
    preference = torch.zeros(2)
    codec.train()
    bits = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        bits.append(codec(x, LEVEL, preference).latent_bits)
    assert torch.equal(bits[0], bits[1])
    assert not torch.equal(bits[0], bits[2])
    codec.eval()
    assert torch.equal(codec(x, LEVEL, preference).latent_bits, codec(x, LEVEL, preference).latent_bits)


def test_every_parameter_learns(codec, x):
    codec.train()
    coded = codec(x, LEVEL, torch.tensor([0.2, 0.9]))
    ((coded.latent_bits + coded.hyper_bits).sum() + 1e4 * (coded.view - x).square().sum()).backward()
    idle = [name for name, p in codec.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


def gradients(codec, x, level, preference, hold_human, pictures=slice(None)):
    """Name -> gradient of the squared error of some pictures' views, with the training noise of one fixed seed."""
    codec.train().zero_grad()
    torch.manual_seed(0)
    coded = codec(x, level, preference, hold_human)
    (coded.view - x)[pictures].square().sum().backward()
    return {name: p.grad.clone() for name, p in codec.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("preference", [[0.0, 0.7], [0.7, 0.0], [0.3, 1.0], [0.0, 0.0]])
@torch.no_grad()
def test_held_views_are_the_views(codec, x, preference):
    preference = torch.tensor(preference)
    plain, held = (codec(x, LEVEL, preference, hold_human) for hold_human in (False, True))
    torch.testing.assert_close(held.view, plain.view)
    assert torch.equal(held.latent_bits, plain.latent_bits)


def test_held_human_view_learns_from_human_pictures_only(codec, x):
    preference = torch.tensor([0.8, 0.0])
    acting = {id(p) for p in codec.synthesis.preference_parameters()}
    trunk = [f"synthesis.{name}" for name, p in codec.synthesis.named_parameters() if id(p) not in acting]
    held = gradients(codec, x, LEVEL, preference, True)
    alone = gradients(codec, x, LEVEL, preference, False, pictures=slice(1, None))
    plain = gradients(codec, x, LEVEL, preference, False)
    for name in trunk:
        torch.testing.assert_close(held[name], alone[name], rtol=1e-3, atol=1e-4)
    assert any(not torch.allclose(plain[name], alone[name], rtol=1e-2) for name in trunk)
    for name in set(plain) - set(trunk):
        torch.testing.assert_close(held[name], plain[name], rtol=1e-3, atol=1e-4)


def test_held_views_work_where_all_pictures_are_human(codec, x):
    preference = torch.zeros(2)
    held, plain = (gradients(codec, x, LEVEL, preference, hold_human) for hold_human in (True, False))
    assert held.keys() == plain.keys()
    for name, value in plain.items():
        torch.testing.assert_close(held[name], value)


def test_held_human_view_rests_where_no_picture_is_human(codec, x):
    acting = {id(p) for p in codec.synthesis.preference_parameters()}
    found = gradients(codec, x, LEVEL, torch.tensor([0.4, 1.0]), True)
    for name, parameter in codec.synthesis.named_parameters():
        gradient = found[f"synthesis.{name}"]
        assert (gradient.abs().sum() > 0) == (id(parameter) in acting), name
    assert found["analysis.stem.weight"].abs().sum() > 0
