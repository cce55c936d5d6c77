"""Which codecs take part in a run."""

from __future__ import annotations

from .codecs import ImageCodec, pillow_codec
from .config import OURS, PLAIN, Config, Effort
from .ours import HUMAN, UgicmCodec

RD_EFFORTS = (Effort(8),)
"""Efforts of ours in "rd", beside none, where none were asked for."""


def contestants(config: Config, suite: str) -> list[ImageCodec]:
    """The codecs of suite "rd" or "tasks" in the order given; raises `BenchmarkError` for one that is unknown or not installed.

    One thread each, for the bytes of AVIF change with their number. Only the tasks look at more than the human view. AVIF takes
    part in "rd" with whole colour too, lest 4:2:0 hold it back, and ours with an effort of 8 where no others were asked for. A plain
    bundle, where there is one, comes last.
    """
    preferences = config.views() if suite == "tasks" else (HUMAN,)
    names = list(config.codecs)
    if suite == "rd" and "avif" in names and "avif444" not in names:
        names.insert(names.index("avif") + 1, "avif444")
    found = [open_codec(name, config, 1, preferences) for name in names]
    if OURS in names:
        efforts = config.efforts or (RD_EFFORTS if suite == "rd" else ())
        refined = [UgicmCodec(config.bundle, preferences, 1, effort=effort) for effort in efforts if effort.steps]
        found[names.index(OURS) + 1 : names.index(OURS) + 1] = refined
    if config.plain_bundle:
        found.append(UgicmCodec(config.plain_bundle, threads=1, name=PLAIN))
    return found


def open_codec(name: str, config: Config, threads: int, preferences: tuple[float, ...] = (HUMAN,)) -> ImageCodec:
    """One codec by name: ours, or one that Pillow knows; raises `BenchmarkError`."""
    return UgicmCodec(config.bundle, preferences, threads) if name == OURS else pillow_codec(name, threads)
