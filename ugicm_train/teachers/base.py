"""What every teacher offers, and the distances between what it sees in two pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDING_SHARE = 0.25
"""Share of the embedding in the distance of a teacher that has one; the depths have the rest."""
LENGTH_SHARE, LENGTH_CAP = 0.1, 4.0
"""Weight and cap of the difference in length in the distance of two feature maps."""
SMALLEST_SIDE = 64
"""A teacher sees at least so many pixels per side: on less, its deepest map can be empty, and a distance to nothing is endless."""

Self = TypeVar("Self", bound="Frozen")


class Teacher(Protocol):
    """Differentiable distance between a view and its original."""

    def distance(self, view: Tensor, x: Tensor, scale: float = 1.0) -> Tensor:
        """(N,3,H,W) in [0,1] twice -> (N,), 0 for equal pictures and around 1 for unrelated ones.

        Both are first shrunk by `scale` (antialiased), at most 1.
        """
        ...


@dataclass
class Seen:
    """Feature maps (N,C,h,w) of several depths, and the embedding (N,D) of the whole picture or None."""

    maps: list[Tensor]
    embedding: Tensor | None = None


def normalised_distance(found: Tensor, original: Tensor) -> Tensor:
    """How far feature maps (N,C,h,w) are apart, position by position, at most 4.4 on average -> (N,).

    The squared distance between the directions of the two feature vectors of a position (as in LPIPS, arXiv 1801.03924) and
    a tenth of the squared relative difference of their lengths, which is capped; positions count by the original's length.
    """
    a, b = found.float(), original.float()
    length_a, length_b = ((t.square().sum(1, keepdim=True) + 1e-8).sqrt() for t in (a, b))
    direction = (a / length_a - b / length_b).square().sum(1, keepdim=True)
    length = (length_a / length_b.clamp_min(1e-3) - 1).square().clamp(max=LENGTH_CAP)
    importance = length_b / length_b.mean((1, 2, 3), keepdim=True)
    return ((direction + LENGTH_SHARE * length) * importance).mean((1, 2, 3))


def cosine_distance(found: Tensor, original: Tensor) -> Tensor:
    """1 - cosine per picture: (N,D) twice -> (N,)."""
    return 1 - F.cosine_similarity(found.float(), original.float(), dim=1)


def resized(x: Tensor, height: int, width: int, mode: str = "bilinear") -> Tensor:
    """(N,3,H,W) -> (N,3,height,width), antialiased; the same tensor where the size is right."""
    if x.shape[2:] == (height, width):
        return x
    return F.interpolate(x, (height, width), mode=mode, antialias=True)


class Frozen(nn.Module):
    """A module that does not learn."""

    def train(self: Self, mode: bool = True) -> Self:
        """Always evaluation."""
        return super().train(False)


class FeatureTeacher(Frozen):
    """A frozen network seen at several depths. Subclasses say what it sees; resize and normalisation are theirs.

    Distance: mean over the depths of the normalised distance, and, where there is an embedding, a mixture of that and of the
    cosine distance of the embeddings. Parts below 64 pixels are enlarged, and nothing is shrunk below that.
    """

    def freeze(self) -> None:
        """Make the weights constants; a subclass calls it last in its constructor."""
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval()

    def look(self, x: Tensor) -> Seen:
        """What the network sees in pictures (N,3,H,W) in [0,1] of any size."""
        raise NotImplementedError

    def distance(self, view: Tensor, x: Tensor, scale: float = 1.0) -> Tensor:
        """As in `Teacher`; only the view gets gradients."""
        side = min(x.shape[2:])
        scale = max(scale, SMALLEST_SIDE / side)
        if scale != 1.0 and (scale < 1.0 or side < SMALLEST_SIDE):
            height, width = (max(SMALLEST_SIDE, int(length * scale)) for length in x.shape[2:])
            view, x = resized(view, height, width), resized(x, height, width)
        with torch.no_grad():
            wanted = self.look(x)
        seen = self.look(view)
        total = torch.zeros(len(x), device=x.device)
        for found, original in zip(seen.maps, wanted.maps, strict=True):
            total = total + normalised_distance(found, original)
        total = total / len(wanted.maps)
        if seen.embedding is None or wanted.embedding is None:
            return total
        return (1 - EMBEDDING_SHARE) * total + EMBEDDING_SHARE * cosine_distance(seen.embedding, wanted.embedding)


class Panel(Frozen):
    """Several teachers: their mean distance. In training each step asks one of them, drawn at random (`drawn`).

    What every network of a panel sees is nearer to what a further one sees than what one of them alone sees.
    """

    def __init__(self, members: list[FeatureTeacher]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def distance(self, view: Tensor, x: Tensor, scale: float = 1.0) -> Tensor:
        """As in `Teacher`."""
        return torch.stack([cast(Teacher, member).distance(view, x, scale) for member in self.members]).mean(0)

    def drawn(self) -> Teacher:
        """One of the members, by torch's random numbers."""
        return cast(Teacher, self.members[int(torch.randint(len(self.members), ()))])
