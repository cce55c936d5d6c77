"""Switching branches off: an idle branch costs nothing, a working one does, and the codec itself is left alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import tiny_train
import torch

from ugicm_train.ablation import ablate, branches
from ugicm_train.model.codec import Codec
from ugicm_train.model.klt import start_from_klt

TINY = dataclasses.replace(tiny_train.NETWORK, channels8=48, latent=32, synthesis16=0)


def test_ablation_tells_idle_branches_from_working_ones() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    waves = np.sin(np.linspace(0, 20, 128))[:, None, None] * np.array([60, 50, 40]) + 128
    image = (waves + rng.normal(0, 10, (128, 128, 3))).clip(0, 255).astype(np.uint8)
    patches = np.stack([image[k : k + 16, k : k + 16] for k in range(112)])
    codec = Codec(TINY).eval()
    start_from_klt(codec, torch.from_numpy(patches).permute(0, 3, 1, 2).float() / 255)
    idle, working = codec.synthesis.blocks8[0].contract, codec.synthesis.blocks8[0].mix_out
    with torch.no_grad():
        idle.weight.zero_()
        working.bias.add_(0.3)
    before = {name: value.clone() for name, value in codec.state_dict().items()}
    found = {branch.name: branch for branch in ablate(codec, [image], [20, 50])}
    assert len(found) == len(list(branches(codec)))
    assert found["synthesis.blocks8.0 expand"].rate_change == (0.0, 0.0)
    assert all(abs(change) > 1e-3 for change in found["synthesis.blocks8.0 spatial"].rate_change)
    assert all(torch.equal(before[name], value) for name, value in codec.state_dict().items())
