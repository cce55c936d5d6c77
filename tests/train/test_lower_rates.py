"""Lower rates at the lowest levels: the line through the first two knots drawn on, all else as it was."""

from __future__ import annotations

import pytest
import torch
from tiny_train import NETWORK, tiny_codec

from ugicm_train.checkpoint import load_codec, save_weights
from ugicm_train.cli import main
from ugicm_train.lower_rates import reach_lower
from ugicm_train.model.layers import QualityTable

SPACING = 31.5  # levels between the three knots of the tiny network


def tables(codec):
    return {name: module for name, module in codec.named_modules() if isinstance(module, QualityTable)}


def test_level_0_is_drawn_on_and_levels_from_the_second_knot_on_stay():
    codec, before = tiny_codec(), tiny_codec()
    reach_lower(codec, 6.3)
    found, was = tables(codec), tables(before)
    assert len(found) >= 6
    for name, table in found.items():
        old = was[name]
        low, high = old.rows[0], old.rows[1]
        torch.testing.assert_close(table.rows[0], low - (high - low) * 6.3 / SPACING)
        assert torch.equal(table.table()[32:], old.table()[32:])
    changed = {name for name, value in codec.state_dict().items() if not torch.equal(value, before.state_dict()[name])}
    assert changed and changed <= {f"{name}.rows" for name in found}


def test_the_rate_falls_at_level_0_alone_and_the_history_tells(tmp_path):
    codec = tiny_codec()
    with torch.no_grad():
        codec.analysis.log_gain.rows.copy_(
            torch.tensor([0.0, 1.5, 3.0])[:, None].expand_as(codec.analysis.log_gain.rows)
        )
    save_weights(tmp_path / "a", NETWORK, codec.state_dict(), [])
    assert main(["reach", str(tmp_path / "a"), "--below", "20", "--out", str(tmp_path / "b")]) == 0
    lower, history = load_codec(tmp_path / "b")
    assert history == [{"stage": "reach", "below": 20.0}]
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for level, same in ((0, False), (40, True)):
        old, new = (c.encode(x, torch.tensor([level])) for c in (codec, lower))
        assert all(torch.equal(a, b) for a, b in zip(old, new)) is same
    assert codec.encode(x, torch.tensor([0]))[1].abs().sum() > lower.encode(x, torch.tensor([0]))[1].abs().sum()


@pytest.mark.parametrize("below", [0.0, -1.0, 32.0, float("nan")])
def test_a_line_that_reaches_too_far_is_refused(below, tmp_path):
    before = tiny_codec().state_dict()
    codec = tiny_codec()
    with pytest.raises(ValueError, match=r"at most 31\.5 levels"):
        reach_lower(codec, below)
    assert all(torch.equal(value, before[name]) for name, value in codec.state_dict().items())
