"""From a configuration to its network."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from ugicm_train.config import AnyNetwork, NetworkConfig
from ugicm_train.model.codec import Codec

if TYPE_CHECKING:
    from ugicm_train.model.hyperprior import Hyperprior

AnyCodec: TypeAlias = "Codec | Hyperprior"


def build(config: AnyNetwork) -> AnyCodec:
    """A fresh network; the hyperprior loads CompressAI."""
    if isinstance(config, NetworkConfig):
        return Codec(config)
    from ugicm_train.model.hyperprior import Hyperprior

    return Hyperprior(config)


def as_codec(codec: AnyCodec, purpose: str) -> Codec:
    """`codec` itself; ValueError if it is the hyperprior, which lacks what `purpose` needs."""
    if isinstance(codec, Codec):
        return codec
    raise ValueError(f"the hyperprior backbone is for comparison only: {purpose} needs the main network (nano, base, large)")
