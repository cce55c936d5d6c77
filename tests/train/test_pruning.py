"""Narrower blocks: what is redundant goes without a trace, what is not is chosen and made up for by least squares."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_train import NETWORK, TRAIN, tiny_codec

from ugicm_train.batches import draw_batch
from ugicm_train.checkpoint import load_codec, save_weights
from ugicm_train.cli import main
from ugicm_train.data import CropSource
from ugicm_train.model.codec import Codec
from ugicm_train.pruning import fewer_inputs, prune


def covariance_of(width: int, seed: int = 0) -> torch.Tensor:
    rows = torch.randn(200, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return rows.T @ rows / len(rows)


def best_loss(weight: torch.Tensor, covariance: torch.Tensor, kept: list[int]) -> float:
    """The least share of the output's variance that is lost with these inputs alone."""
    joint = covariance[kept][:, kept]
    fitted = weight @ covariance[:, kept] @ torch.linalg.inv(joint)
    left = torch.einsum("oi,ij,oj->", weight, covariance, weight) - torch.einsum("oi,ij,oj->", fitted, joint, fitted)
    return float(left / torch.einsum("oi,ij,oj->", weight, covariance, weight))


def test_the_correction_is_the_least_squares_one():
    covariance = covariance_of(6)
    weight = torch.randn(3, 6, generator=torch.Generator().manual_seed(1)).double()
    kept, corrected, lost = fewer_inputs(weight, covariance, 5)
    losses = {choice: best_loss(weight, covariance, list(choice)) for choice in itertools.combinations(range(6), 5)}
    assert tuple(kept.tolist()) == min(losses, key=losses.get)
    assert lost == pytest.approx(min(losses.values()), rel=1e-3)
    joint = covariance[kept][:, kept]
    fitted = weight @ covariance[:, kept] @ torch.linalg.inv(joint)
    torch.testing.assert_close(corrected.double(), fitted, rtol=1e-3, atol=1e-4)


def test_several_removed_inputs_still_get_the_least_squares_weights():
    covariance = covariance_of(8, 2)
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(3)).double()
    kept, corrected, lost = fewer_inputs(weight, covariance, 3)
    assert len(set(kept.tolist())) == 3
    assert lost == pytest.approx(best_loss(weight, covariance, kept.tolist()), rel=1e-3)
    assert corrected.shape == (4, 3)


def with_twins(codec: Codec) -> Codec:
    """Every other hidden channel of the analysis block at 1/8 made a copy of the one before it."""
    block = codec.analysis.blocks8[0]
    with torch.no_grad():
        block.expand.weight[1::2] = block.expand.weight[::2]
        block.expand.bias[1::2] = block.expand.bias[::2]
    return codec


def test_copies_go_without_a_trace(pictures):
    codec = with_twins(tiny_codec().eval())
    batch = draw_batch(TRAIN, CropSource(pictures, smallest=64), 0).to(torch.device("cpu"))
    level = torch.zeros(len(batch.level), dtype=torch.int64)
    before = codec.analysis(torch.nn.functional.pixel_unshuffle(batch.x, 8), level)
    width = codec.analysis.blocks8[0].expand.weight.shape[0]
    network, losses = prune(codec, {"analysis8_hidden": width // 2}, [batch])
    assert losses == {"analysis.blocks8.0": pytest.approx(0, abs=1e-4)}
    assert network.analysis8_hidden == width // 2
    assert codec.analysis.blocks8[0].contract.weight.shape == (16, width // 2)
    after = codec.analysis(torch.nn.functional.pixel_unshuffle(batch.x, 8), level)
    torch.testing.assert_close(after, before, rtol=1e-2, atol=1e-3)


def test_the_mean_of_what_goes_stays_in_the_bias(pictures):
    codec = tiny_codec().eval()
    block = codec.synthesis.blocks8[0]
    with torch.no_grad():
        block.expand.weight[:4] = 0
        block.expand.bias[:4] = 3.0
        block.contract.weight[:, :4] = 0.5
    batch = draw_batch(TRAIN, CropSource(pictures, smallest=64), 0).to(torch.device("cpu"))
    before = codec(batch.x, batch.level, batch.preference).view
    prune(codec, {"synthesis8_hidden": block.expand.weight.shape[0] - 4}, [batch])
    torch.testing.assert_close(codec(batch.x, batch.level, batch.preference).view, before, rtol=1e-3, atol=1e-3)


def test_the_command_writes_a_checkpoint_that_loads(pictures, tmp_path, capsys):
    tiles = np.random.default_rng(0).integers(0, 255, (32, 32, 3))
    Image.fromarray(np.kron(tiles, np.ones((9, 9, 1))).astype(np.uint8)).save(pictures / "large.png")
    start, out = tmp_path / "start", tmp_path / "narrow"
    save_weights(start, NETWORK, tiny_codec().state_dict(), [{"stage": "rate_distortion"}])
    words = ["prune", str(start), "--data", str(pictures), "--out", str(out), "--analysis16-hidden", "16"]
    assert main(words) == 0
    assert "analysis.blocks16.0" in capsys.readouterr().out
    codec, history = load_codec(out)
    assert codec.analysis.blocks16[0].expand.weight.shape == (16, 32)
    assert history[-1] == {"stage": "prune", "hidden": {"analysis16_hidden": 16}}
    assert json.loads((out / "config.json").read_text())["network"]["analysis16_hidden"] == 16
    for more, reason in ((["--analysis16-hidden", "65"], "cannot keep 65"), ([], "nothing to prune")):
        assert main([*words[:6], *more]) == 1
        assert reason in capsys.readouterr().err
