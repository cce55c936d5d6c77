"""Lower rates for a trained network: its lowest quality levels reach further down without training for it."""

from __future__ import annotations

import torch

from ugicm_train.config import QUALITY_LEVELS
from ugicm_train.model.build import AnyCodec
from ugicm_train.model.layers import QualityTable


@torch.no_grad()
def reach_lower(codec: AnyCodec, below: float) -> None:
    """Make level 0 in place what the levels from 0 to the second knot (6.3 of 11 knots), drawn on, would be `below` levels further down.

    Everything that depends on the level is linear between knots, so levels from the second knot on stay as they are, bit for
    bit. ValueError unless 0 < below <= 6.3, the distance of the knots: a line does not reach further than that.
    """
    for table in codec.modules():
        if isinstance(table, QualityTable):
            spacing = (QUALITY_LEVELS - 1) / (len(table.rows) - 1)
            if not 0 < below <= spacing:
                raise ValueError(
                    f"level 0 can be moved down by more than 0 and at most {spacing:g} levels, not by {below:g}"
                )
            table.rows[0] -= below / spacing * (table.rows[1] - table.rows[0])
