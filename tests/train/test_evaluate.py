"""Validation on whole pictures of any size."""

import math

import numpy as np
from tiny_train import tiny_codec

from ugicm_train.evaluate import evaluate, psnr


def test_psnr():
    picture = np.full((4, 5, 3), 100, np.uint8)
    assert psnr(picture, picture) == math.inf
    assert math.isclose(psnr(picture, picture + 1), 48.1308, rel_tol=1e-5)


def test_every_level_and_preference_gives_a_point():
    codec = tiny_codec().train()
    pictures = [np.zeros((70, 65, 3), np.uint8), np.full((1, 1, 3), 9, np.uint8)]
    points = evaluate(codec, pictures, [0, 63], [0.0, 1.0])
    assert [(p.level, p.preference) for p in points] == [(0, 0), (0, 1), (63, 0), (63, 1)]
    assert all(p.bpp > 0 and math.isfinite(p.psnr) for p in points)
    assert codec.training
