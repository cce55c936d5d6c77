"""Which codecs take part in a run."""

from __future__ import annotations

from .codecs import ImageCodec, pillow_codec
from .config import OURS, Config
from .ours import HUMAN, UgicmCodec


def contestants(config: Config, suite: str) -> list[ImageCodec]:
    """The codecs of a run in the order given; raises `BenchmarkError` for one that is unknown or not installed.

    Only the tasks look at more than the human view, and speed gives every codec one thread.
    """
    threads = 1 if suite == "speed" else config.threads
    preferences = config.preferences if suite == "tasks" else (HUMAN,)
    return [
        UgicmCodec(config.bundle, preferences, threads) if name == OURS else pillow_codec(name, threads)
        for name in config.codecs
    ]
