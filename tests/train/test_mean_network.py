"""The context of the means: steps partition the latent, and each sees only what was coded before it."""

import torch

from ugicm_train.model.mean_network import STEPS, MeanNetwork, step_masks


def network():
    torch.manual_seed(0)
    return MeanNetwork(4, 8, 8, 1, 64, 3).eval()


def test_masks_partition_the_latent():
    masks = step_masks(16)
    assert masks.shape == (STEPS, 16, 2, 2)
    assert set(masks.unique().tolist()) == {0, 1}
    assert torch.equal(masks.sum(0), torch.ones(16, 2, 2))


def test_each_step_codes_a_quarter_of_every_channel_and_position():
    masks = step_masks(16)
    assert torch.equal(masks.sum((2, 3)), torch.ones(STEPS, 16))
    assert torch.equal(masks.sum(1), torch.full((STEPS, 2, 2), 4.0))


@torch.no_grad()
def test_latent_is_mean_plus_symbols():
    net, z, r = network(), torch.randn(2, 4, 1, 2).round(), torch.randn(2, 8, 4, 8).round()
    y_hat, mu = net(z, torch.tensor([3, 60]), lambda mean, mask: r)
    torch.testing.assert_close(y_hat, mu + r)


@torch.no_grad()
def test_means_never_see_their_own_or_later_steps():
    net, z = network(), torch.randn(1, 4, 1, 1).round()
    level = torch.tensor([10])
    masks = step_masks(8).repeat(1, 1, 2, 2)
    r = torch.randn(1, 8, 4, 4)
    _, mu = net(z, level, lambda mean, mask: r)
    for step in range(STEPS):
        from_here = masks[step:].sum(0)
        changed = r + 5 * from_here
        _, mu_changed = net(z, level, lambda mean, mask, symbols=changed: symbols)
        seen = masks[: step + 1].sum(0).bool()
        assert torch.equal(mu[0][seen], mu_changed[0][seen])


@torch.no_grad()
def test_later_means_use_earlier_symbols():
    net, z, level = network(), torch.zeros(1, 4, 1, 1), torch.tensor([10])
    masks = step_masks(8).repeat(1, 1, 2, 2)
    _, mu = net(z, level, lambda mean, mask: torch.zeros(1, 8, 4, 4))
    _, mu_changed = net(z, level, lambda mean, mask: 3 * masks[:1])
    assert not torch.equal(mu, mu_changed)
