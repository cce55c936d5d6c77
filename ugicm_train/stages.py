"""The stages of a training: what each one trains and what it asks of a run. One loop serves them all; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["all", "preference", "scale_network"]


@dataclass(frozen=True)
class Stage:
    """What distinguishes a stage; everything else is the loop's."""

    trains: Part
    """The part of the network whose weights change; the rest is frozen."""
    machine: bool = False
    """Whether the distortion turns from pixels to a teacher's features along the preference axis."""
    human_share: float = 0.4
    """Share of the crops at preference 0."""
    machine_share: float = 0.3
    """Share of the crops at preference 1; the rest is spread evenly between."""
    hold_human: bool = False
    """Whether only crops at preference 0 train the weights that make the human view (`Synthesis.held`)."""
    exact_rate: bool = False
    """Whether the rate is that of the rounded symbols, as it is coded, instead of a noisy one that an encoder can follow."""
    checks_integers: bool = False
    """Whether the last step is followed by a comparison of the scale network with the integer code, bit for bit."""


STAGES: dict[str, Stage] = {
    "rate_distortion": Stage("all"),
    "semantic": Stage("all", machine=True, human_share=0.6, machine_share=0.25, hold_human=True),
    "preference": Stage("preference", machine=True, human_share=0.0),
    "integer": Stage("scale_network", exact_rate=True, checks_integers=True),
}
