"""The start as a transform codec: good pictures before the first step."""

import dataclasses

import numpy as np
import pytest
import tiny_train
import torch
from torch.nn.functional import pixel_unshuffle

from ugicm_train.data import CropSource
from ugicm_train.evaluate import evaluate
from ugicm_train.model.codec import PATCH, Codec
from ugicm_train.model.klt import principal_axes, start_from_klt

NETWORK = dataclasses.replace(tiny_train.NETWORK, channels8=96, channels16=128, latent=128)


@pytest.fixture(scope="module")
def started(request):
    """A codec started from patches of the sample photo."""
    torch.manual_seed(0)
    codec = Codec(NETWORK)
    source = CropSource(request.config.rootpath / "examples")
    start_from_klt(codec, source.crops(np.random.default_rng(0), 3000, 16))
    return codec.eval()


def test_principal_axes_diagonalise_the_covariance():
    samples = torch.randn(2000, 6) @ torch.randn(6, 6) + 3
    mean, axes = principal_axes(samples, 4)
    torch.testing.assert_close(axes.T @ axes, torch.eye(4), atol=1e-5, rtol=0)
    scores = (samples - mean) @ axes
    covariance = scores.T @ scores / len(scores)
    torch.testing.assert_close(covariance, torch.diag(covariance.diag()), atol=1e-3, rtol=0)
    assert covariance.diag().tolist() == sorted(covariance.diag().tolist(), reverse=True)


def test_start_is_a_codec_where_a_random_network_is_not(started, photo):
    picture = photo[100:356, 200:456]
    torch.manual_seed(0)
    random = evaluate(Codec(NETWORK), [picture], [63])[0]
    start = evaluate(started, [picture], [63])[0]
    assert random.psnr < 20
    assert start.psnr > 30


def test_start_spans_the_rate_axis(started, photo):
    points = evaluate(started, [photo[100:356, 200:456]], [0, 20, 40, 63])
    rates, qualities = [p.bpp for p in points], [p.psnr for p in points]
    assert rates == sorted(rates)
    assert qualities == sorted(qualities)
    assert rates[-1] > 5 * rates[0]


def test_start_expects_the_spread_of_the_latent(started, photo):
    """The scale indexes are those of the latent's standard deviation, so the rate of the start is already sensible."""
    x = torch.tensor(photo[:256, :256]).permute(2, 0, 1)[None].float() / 255
    level = torch.tensor([40])
    with torch.no_grad():
        y = started.analysis(pixel_unshuffle(x, PATCH), level)
        index = started.scale_network(torch.zeros(1, NETWORK.hyper, 4, 4), level)
    assert index.shape == y.shape
    strongest, weakest = index[0, 0].mean(), index[0, -1].mean()
    assert strongest > weakest + 10
