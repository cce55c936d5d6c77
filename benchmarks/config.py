"""What a run measures, in one place."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEFAULT_DATA = ROOT.parent / "shared" / "data"
DEFAULT_RESULTS = ROOT / "benchmarks" / "results"
SUITES = ("rd", "tasks", "speed", "coder")
OURS = "ugicm"
PLAIN = "plain"  # a second bundle of ours, trained without a teacher
PEERS = ("jpeg", "webp", "avif", "jxl")


@dataclass(frozen=True)
class Effort:
    """What `ugicm.Codec.encode` spends on a stream."""

    steps: int = 0
    guidance: float = 0

    @classmethod
    def parse(cls, text: str) -> Effort:
        """Of "8", or "3:1" for 3 steps with a guidance of 1; argparse.ArgumentTypeError for anything else."""
        steps, _, guidance = text.partition(":")
        try:
            return cls(int(steps), float(guidance or 0))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no effort; give steps, as 8, or steps and guidance, as 3:1") from None

    @property
    def suffix(self) -> str:
        """What it adds to the name of a codec or view: nothing, -effort8 or -effort3-guidance1."""
        guided = f"-guidance{self.guidance:g}" if self.guidance else ""
        return f"-effort{self.steps}{guided}" if self.steps else ""

    def __str__(self) -> str:
        """As tables show it: 8, or 3, guidance 1."""
        return f"{self.steps}, guidance {self.guidance:g}" if self.guidance else str(self.steps)


NO_EFFORT = Effort()


@dataclass(frozen=True)
class Config:
    """One run; nothing else decides what is measured."""

    data: Path = DEFAULT_DATA  # folder with eval/ and nets/, as its README.md describes
    out: Path = DEFAULT_RESULTS  # where the JSON goes
    bundle: Path | None = None  # our model; None is the default of the runtime
    plain_bundle: Path | None = None  # takes part in rd and tasks as "plain"; None leaves it out
    images: Path | None = None  # folder of pictures for rate-distortion; None is Kodak
    codecs: tuple[str, ...] = (OURS, *PEERS)
    preferences: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)  # views of ours that the tasks are measured on
    efforts: tuple[Effort, ...] = ()  # efforts that rd and the tasks are measured with, beside none; rd has 8 where there are none
    stride: int = 1  # use every n-th picture
    quick: bool = False  # fewer pictures, rates, views, sizes and rounds, to see in minutes that all works
    threads: int = 1  # pictures at a time in tasks; speed has its own

    def step(self, quick: int) -> int:
        """Every how many pictures one is used, where `quick` is the step of a quick run."""
        return max(self.stride, quick) if self.quick else self.stride

    def ladder(self, qualities: tuple[int, ...]) -> tuple[int, ...]:
        """The qualities to measure: all, or half of them in a quick run."""
        return qualities[::2] if self.quick else qualities

    def views(self) -> tuple[float, ...]:
        """The preferences to measure: all, or every other one in a quick run."""
        return self.preferences[::2] if self.quick else self.preferences
