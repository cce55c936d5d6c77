"""A synthesis whose human view the machine objective cannot bend."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call


class PreferenceSynthesis(nn.Module):
    """y_hat (N,M,h,w), level (N,) and preference (N,) -> picture (N,3,16h,16w); subclasses have the layers."""

    def preference_parameters(self) -> list[nn.Parameter]:
        """What the preference acts through; nothing of it changes the view at preference 0."""
        raise NotImplementedError

    def held(self, y_hat: Tensor, level: Tensor, preference: Tensor) -> Tensor:
        """As `forward`, but only pictures at preference 0 give gradients to the weights that make the human view.

        The others train what the preference acts through, and all train what y_hat came from: the machine objective can
        shape the stream and its own view, but cannot bend the human view's synthesis.
        """
        wanted = {id(parameter) for parameter in self.preference_parameters()}
        held = {name: p if id(p) in wanted else p.detach() for name, p in self.named_parameters()}
        human, machine = (torch.nonzero(chosen).flatten() for chosen in (preference == 0, preference > 0))
        views = []
        if len(human):
            views.append(self(y_hat[human], level[human], preference[human]))
        if len(machine):
            views.append(functional_call(self, held, (y_hat[machine], level[machine], preference[machine])))
        if len(views) < 2:  # data-parallel training waits for a gradient of every weight, be it zero
            views[0] = views[0] + 0 * sum(p.sum() for p in self.parameters())
        return torch.cat(views)[torch.cat([human, machine]).argsort()]
