"""More latent channels: what was there stays as it was, what comes holds what the synthesis could not show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny_train import NETWORK, TRAIN, draw_pictures, tiny_codec

from ugicm_train.batches import Batch, draw_batch
from ugicm_train.checkpoint import load_codec, save_weights
from ugicm_train.cli import main
from ugicm_train.data import CropSource
from ugicm_train.model.codec import Codec
from ugicm_train.model.klt import start_from_klt
from ugicm_train.widening import embed, latent_places, widen

WIDE = dataclasses.replace(NETWORK, latent=24, channels16=40)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder with pictures of coloured noise, which few channels cannot hold."""
    folder = draw_pictures(tmp_path_factory.mktemp("noise"), count=1, side=320)
    for number in range(3):
        tiles = np.random.default_rng(number).integers(0, 255, (80, 80, 3)).astype(np.uint8)
        Image.fromarray(tiles).resize((320, 320), Image.Resampling.BICUBIC).save(folder / f"noise{number}.png")
    return folder


def batches_of(folder, count: int = 3) -> list[Batch]:
    source = CropSource(folder, smallest=64)
    return [draw_batch(TRAIN, source, step).to(torch.device("cpu")) for step in range(count)]


def test_every_context_step_has_as_many_new_channels():
    old, new = latent_places(8, 16)
    assert old.tolist() == [0, 1, 4, 5, 8, 9, 12, 13]
    assert new.tolist() == [2, 6, 10, 14, 3, 7, 11, 15]


def test_the_embedded_network_does_what_it_did():
    """Symbols of old channels, means and views are the same, whatever the new channels' weights inside of branches; new symbols are 0."""
    codec = tiny_codec().eval()
    torch.manual_seed(1)
    wide = Codec(WIDE).eval()
    weights = embed(codec.state_dict(), NETWORK, wide)
    assert weights["analysis.blocks16.0.mix_in.weight"][32:].abs().sum() > 0, "new hidden channels would never wake up"
    wide.load_state_dict(weights)
    x, level = torch.rand(2, 3, 64, 128), torch.tensor([5, 60])
    preference = torch.tensor([0.0, 1.0])
    (z, r), (z_wide, r_wide) = codec.encode(x, level), wide.encode(x, level)
    old, new = latent_places(16, 24)
    assert torch.equal(z, z_wide)
    assert r.abs().max() > 0
    torch.testing.assert_close(r_wide[:, old], r)
    assert not r_wide[:, new].any()
    assert torch.equal(wide.scale_network(z, level)[:, old], codec.scale_network(z, level))
    torch.testing.assert_close(wide.decode(z, r_wide, level, preference), codec.decode(z, r, level, preference))


def test_new_channels_show_more_of_the_picture(noise):
    """Without rounding the highest level comes nearer to pictures by most of what the new axes hold."""
    batches = batches_of(noise)
    codec = Codec(NETWORK).eval()
    start_from_klt(codec, CropSource(noise, smallest=64).crops(np.random.default_rng(0), 400, 16))
    wide, shares = widen(codec, 24, batches)
    assert wide.config == WIDE
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 8

    def error(network: Codec, x: torch.Tensor) -> float:
        level = torch.full((len(x),), 63)
        y = network.analysis(F.pixel_unshuffle(x, 8), level)
        return float((network.synthesis(y, level, torch.zeros(len(x))) - x).square().sum().detach())

    x = batches[0].x
    gained = 1 - error(wide, x) / error(codec, x)
    assert 0.5 * sum(shares) < gained < 1.2 * sum(shares), (gained, sum(shares))


def test_new_channels_cost_what_their_symbols_are_worth(noise):
    """Their scales fit: all bits that come on top are fewer than those of a flat code of the new symbols' range."""
    batches = batches_of(noise)
    codec = Codec(NETWORK).eval()
    start_from_klt(codec, CropSource(noise, smallest=64).crops(np.random.default_rng(0), 400, 16))
    wide, _ = widen(codec, 24, batches)
    x, level, human = batches[0].x, torch.full((len(batches[0].x),), 63), torch.zeros(len(batches[0].x))
    with torch.no_grad():
        before, after = (network(x, level, human).latent_bits.sum() for network in (codec, wide))
        _, r = wide.encode(x, level)
    new = latent_places(16, 24)[1]
    flat = torch.log2(2 * r[:, new].abs().amax((0, 2, 3)) + 1).sum() * r[:, 0].numel()
    assert r[:, new].any()
    assert 0 < after - before < flat


def test_the_command_writes_a_checkpoint_that_loads(noise, tmp_path, capsys):
    start, out = tmp_path / "start", tmp_path / "wide"
    save_weights(start, NETWORK, tiny_codec().state_dict(), [{"stage": "rate_distortion"}])
    words = ["widen", str(start), "--data", str(noise), "--out", str(out), "--latent"]
    assert main([*words, "20"]) == 0
    assert "4 channels" in capsys.readouterr().out
    codec, history = load_codec(out)
    assert codec.config == dataclasses.replace(NETWORK, latent=20, channels16=36)
    assert history[-1] == {"stage": "widen", "latent": 20}
    for latent in ("16", "18"):
        assert main([*words, latent]) == 1
        assert "more by a multiple of 4" in capsys.readouterr().err
