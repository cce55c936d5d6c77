"""The halo of a network, measured: a change beyond it is not seen, and one just inside its last cell can be."""

import pytest
import torch
from ugicm.manifest import DEFAULT_HALO
from ugicm_export.halo import halo

from ugicm_train.config import NetworkConfig
from ugicm_train.model.codec import Codec

SMALL = {
    "channels8": 8, "channels16": 8, "latent": 8, "hyper": 8, "context": 8, "condition": 4, "scale_hidden": 8,
    "scale_fine": 8,
}  # fmt: skip


def test_the_default_is_that_of_nano():
    assert halo(NetworkConfig()) == DEFAULT_HALO


@pytest.mark.parametrize("depths", [{}, {"analysis8": 5, "synthesis8": 1, "context_blocks": 1}, {"synthesis16": 2}])
def test_gradients_end_where_the_halo_says(depths):
    """Gradients, taken with rounding left out, show every path; a wide strip is enough, for all is symmetric."""
    torch.manual_seed(0)
    network = NetworkConfig(**SMALL, **depths)
    codec = Codec(network).double().eval()
    for block in codec.modules():
        if isinstance(block, torch.nn.Conv2d):
            torch.nn.init.uniform_(block.weight, 0.5, 1.5)
    level, preference = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.float64)
    encode, decode = halo(network)
    cells = 2 * (max(encode, decode) // 64 + 2) + 1
    middle = cells // 2
    width = 64 * cells

    def reach(output, source, pixels):
        """Pixels between the middle cell and the farthest input that it depends on."""
        (gradient,) = torch.autograd.grad(output, source, retain_graph=True)
        columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten() * pixels
        return max(64 * middle - int(columns.min()), int(columns.max()) + pixels - 64 * (middle + 1))

    x = torch.rand(1, 3, 64, width, dtype=torch.float64, requires_grad=True)
    y = codec.analysis(torch.nn.functional.pixel_unshuffle(x, 8), level)
    z = codec.hyper_analysis(y)
    _, mu = codec.mean_network(z, level, lambda mean, mask: y - mean + mean.square())
    seen = reach(mu[..., 4 * middle : 4 * middle + 4].square().sum(), x, 1)
    assert encode - 128 < seen <= encode

    z = torch.rand(1, network.hyper, 1, cells, dtype=torch.float64, requires_grad=True)
    r = torch.rand(1, network.latent, 4, 4 * cells, dtype=torch.float64, requires_grad=True)
    y_hat, _ = codec.mean_network(z, level, lambda mean, mask: r)
    part = codec.synthesis(y_hat, level, preference)[..., 64 * middle : 64 * middle + 64].square().sum()
    seen = max(reach(part, z, 64), reach(part, r, 16))
    assert decode - 64 < seen <= decode
