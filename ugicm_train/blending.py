"""A mixture of checkpoints that came from one start: a point between several objectives without training for it.

Networks trained on from the same weights mostly lie in one valley, in which mixtures are as good as their ends or better
(Wortsman et al., "Model soups", ICML 2022; "Robust fine-tuning of zero-shot models", CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from torch import Tensor

from ugicm_train.checkpoint import load_codec, save_weights
from ugicm_train.model.build import AnyCodec


def blend(first: AnyCodec, second: AnyCodec, share: float, whole: bool = False) -> dict[str, Tensor]:
    """The weights (1 - share) * first + share * second; what the preference acts through stays as it is in `first`.

    A second network that was trained without a machine objective has nothing to say about the machine view; one that was
    has, and `whole` mixes these weights too. ValueError if the networks have not the same layout.
    """
    if first.config != second.config:
        raise ValueError("only checkpoints of one network can be blended, these have different layouts")
    kept = set() if whole else {id(parameter) for parameter in first.synthesis.preference_parameters()}
    own = {name for name, parameter in first.named_parameters() if id(parameter) in kept}
    other = second.state_dict()
    return {
        name: value if name in own or not value.is_floating_point() else value.lerp(other[name], share)
        for name, value in first.state_dict().items()
    }


def since_parting(history: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stages of `other` after those that both histories begin with."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(history, other)))
    return other[common:]


def write_mixture(folders: Sequence[Path], shares: Sequence[float], out: Path, whole: bool = False) -> None:
    """Blend the checkpoint of the first of `folders` with each of the others, one after the other: a share is that of the mixture so far.

    ValueError as in `blend`, CheckpointError if a folder is no checkpoint.
    """
    codec, history = load_codec(folders[0])
    for folder, share in zip(folders[1:], shares, strict=True):
        other, other_history = load_codec(folder)
        entry = {"stage": "blend", "share": share, "other": since_parting(history, other_history)}
        codec.load_state_dict(blend(codec, other, share, whole))
        history = [*history, entry | ({"whole": True} if whole else {})]
    save_weights(out, codec.config, codec.state_dict(), history)


def write_weighted(folders: Sequence[Path], weights: Sequence[float], out: Path, whole: bool = False) -> None:
    """Write the mixture in which each of `folders` but the first has its weight and the first the rest of 1.

    ValueError if the weights are not as many as these folders or more than 1 in all, and as in `blend`.
    """
    if len(weights) != len(folders) - 1:
        raise ValueError(f"{len(folders) - 1} checkpoints beside the first need as many shares, got {len(weights)}")
    total = 1 - sum(weights)
    if total < -1e-9:
        raise ValueError(f"the shares of the others may be 1 in all, got {sum(weights):g}")
    shares = []
    for weight in weights:
        total = max(total, 0.0) + weight
        shares.append(weight / total if total else 0.0)
    write_mixture(folders, shares, out, whole)


def write_rebased(folder: Path, start: Path, onto: Path, out: Path) -> None:
    """Write the checkpoint `onto` moved by what parts `folder` from `start`, which it was trained on from.

    Differences of weights add up (Ilharco et al., "Editing models with task arithmetic", ICLR 2023). ValueError if the networks have
    not the same layout, CheckpointError if a folder is no checkpoint.
    """
    (codec, history), (old, old_history), (new, new_history) = (load_codec(path) for path in (folder, start, onto))
    if not codec.config == old.config == new.config:
        raise ValueError("only checkpoints of one network can be rebased, these have different layouts")
    before, base = old.state_dict(), new.state_dict()
    weights = {name: base[name] + (value - before[name]) for name, value in codec.state_dict().items()}
    entry = {"stage": "rebase", "other": since_parting(old_history, history)}
    save_weights(out, codec.config, weights, [*new_history, entry])


def write_mean(folders: Sequence[Path], out: Path) -> None:
    """Write the mean of checkpoints, all weights alike, as of runs that differ in their seed alone."""
    write_mixture(folders, [1 / count for count in range(2, len(folders) + 1)], out, whole=True)
