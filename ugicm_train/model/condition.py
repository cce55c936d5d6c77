"""The conditioning vectors: quality level for analysis and synthesis, and preference for the synthesis."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ugicm_train.model.layers import SLOPE, QualityTable

FREQUENCIES = 10


def preference_features(preference: Tensor) -> Tensor:
    """Fourier features [beta, sin 2^k beta, cos 2^k beta], k = 0..9, of beta (N,) in [0, 1] -> (N, 21).

    As in the PCDM of UG-ICM, but the k-th pair is divided by 2^k: the slope of every feature stays at most 1, so the
    picture changes smoothly along the preference axis.
    """
    octave = 2.0 ** torch.arange(FREQUENCIES, dtype=preference.dtype, device=preference.device)
    angle = preference[:, None] * octave
    return torch.cat([preference[:, None], angle.sin() / octave, angle.cos() / octave], dim=1)


class QualityCondition(nn.Module):
    """level (N,) -> (N, width), the input of every block's modulation."""

    def __init__(self, levels: int, knots: int, width: int) -> None:
        super().__init__()
        start = torch.linspace(-1, 1, knots)[:, None] * torch.randn(1, width)
        self.quality = QualityTable(levels, knots, width, start)
        self.hidden = nn.Linear(width, width)

    def forward(self, level: Tensor) -> Tensor:
        return F.leaky_relu(self.hidden(F.leaky_relu(self.quality(level), SLOPE)), SLOPE)


class PreferenceCondition(nn.Module):
    """(level (N,), preference (N,) in [0, 1]) -> (N, width), exactly zero at preference 0.

    Whatever it drives therefore leaves the human view alone, so that the machine view can be trained without touching it.
    """

    def __init__(self, levels: int, knots: int, width: int) -> None:
        super().__init__()
        start = torch.linspace(-1, 1, knots)[:, None] * torch.randn(1, width)
        self.quality = QualityTable(levels, knots, width, start)
        self.features = nn.Linear(1 + 2 * FREQUENCIES, width)
        self.hidden = nn.Linear(width, width)

    def forward(self, level: Tensor, preference: Tensor) -> Tensor:
        vector = self.quality(level) + self.features(preference_features(preference))
        return preference[:, None] * F.leaky_relu(self.hidden(F.leaky_relu(vector, SLOPE)), SLOPE)
