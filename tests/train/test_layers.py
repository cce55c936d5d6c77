"""Building blocks: the shortcuts equal the textbook operations, and a block starts as a small change."""

import pytest
import torch
import torch.nn.functional as F

from ugicm_train.model.layers import (
    Downsample,
    Pointwise,
    QualityTable,
    ResidualBlock,
    SpatialBlock,
    Upsample,
    between_levels,
)


def test_pointwise_is_a_matrix_per_position():
    layer, x = Pointwise(5, 7), torch.randn(2, 5, 3, 4)
    expected = torch.einsum("oi,nihw->nohw", layer.weight, x) + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x), expected)


def test_downsample_is_unshuffle_and_matrix():
    layer, x = Downsample(3, 6), torch.randn(2, 3, 8, 4)
    expected = F.conv2d(F.pixel_unshuffle(x, 2), layer.reduce.weight[:, :, None, None], layer.reduce.bias)
    torch.testing.assert_close(layer(x), expected)


def test_upsample_undoes_an_orthonormal_downsample():
    down, up, x = Downsample(3, 12), Upsample(12, 3), torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        down.reduce.weight.copy_(torch.linalg.qr(torch.randn(12, 12))[0])
        up.expand.weight.copy_(down.reduce.weight.T)
        for bias in (down.reduce.bias, up.expand.bias):
            bias.zero_()
    torch.testing.assert_close(up(down(x)), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [SpatialBlock, ResidualBlock])
def test_block_starts_near_identity(kind):
    block, x = kind(16), torch.randn(1, 16, 8, 8)
    block.start_near_identity()
    change = (block(x) - x).norm() / x.norm()
    assert 0 < change < 0.02


@pytest.mark.parametrize("kind", [SpatialBlock, ResidualBlock])
def test_condition_changes_the_block_per_picture(kind):
    block, x = kind(8, condition=4), torch.randn(1, 8, 4, 4).expand(2, -1, -1, -1)
    same, other = torch.randn(4), torch.randn(4)
    first, second = block(x, torch.stack([same, other]))
    torch.testing.assert_close(block(x[:1], same[None])[0], first)
    assert not torch.equal(first, second)


def test_quality_table_is_linear_between_its_knots():
    table = QualityTable(64, 4, 2, torch.tensor([0.0, 1.0, 4.0, 2.0]))
    values = table.table()
    torch.testing.assert_close(values[[0, 21, 42, 63]], table.rows)
    torch.testing.assert_close(values[7], torch.full((2,), 1 / 3))
    steps = values.diff(dim=0)
    torch.testing.assert_close(steps[:21], steps[:1].expand(21, -1))
    assert torch.equal(table(torch.tensor([63, 5])), values[[63, 5]])


def test_quality_table_takes_eighths_of_levels():
    table = QualityTable(64, 11, 3, torch.randn(11, 3))
    whole, steps = torch.arange(64), torch.arange(8 * 63 + 1) / 8
    # What every whole level was before there were others: none may move by a bit.
    position = torch.arange(64, dtype=torch.float64) * 10 / 63
    mixing = (1 - (position[:, None] - torch.arange(11)).abs()).clamp(min=0).float()
    assert torch.equal(table(whole), (mixing[:, :, None] * table.rows).sum(1))
    assert torch.equal(table(whole.float()), table(whole))
    values = table(steps)
    assert torch.equal(values[::8], table(whole))
    assert ((values[1:] - values[:-1]).abs().amax() < 0.2 * table.rows.diff(dim=0).abs().amax()).all()


def test_integers_between_levels_are_mixed_and_rounded_half_up():
    stored = torch.tensor([[-3.0], [4.0], [9.0]])
    found = between_levels(lambda level: stored[level.long()], torch.arange(17) / 8)
    expected = [-3, -2, -1, 0, 1, 1, 2, 3, 4, 5, 5, 6, 7, 7, 8, 8, 9]
    assert found[:, 0].tolist() == expected
    whole = between_levels(lambda level: stored[level], torch.tensor([2, 0]))
    assert torch.equal(whole, stored[[2, 0]])


def test_quality_table_saves_its_knots_only():
    assert list(QualityTable(64, 4, 2).state_dict()) == ["rows"]
