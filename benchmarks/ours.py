"""UG-ICM as a codec under test: one stream, decoded at several preferences."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from .config import NO_EFFORT, OURS, Effort
from .errors import BenchmarkError

LADDERS = {"rd": (0, 14, 29, 43, 57, 71, 86, 100), "tasks": (0, 12, 24, 36, 52, 70)}
HUMAN, MACHINE = 0.0, 1.0


def view_name(preference: float, effort: Effort = NO_EFFORT) -> str:
    """The name under which a preference is reported: ugicm-human, ugicm-machine, or ugicm-0.5 for those between.

    Streams that an effort went into add it, as ugicm-human-effort8.
    """
    name = {HUMAN: "ugicm-human", MACHINE: "ugicm-machine"}.get(preference, f"ugicm-{preference:g}")
    return name + effort.suffix


class UgicmCodec:
    """An open bundle as an `ImageCodec`."""

    def __init__(
        self,
        bundle: Path | None,
        preferences: tuple[float, ...] = (HUMAN,),
        threads: int = 1,
        name: str = OURS,
        effort: Effort = NO_EFFORT,
    ) -> None:
        """bundle: folder or .zip, None for the runtime's default; raises `BenchmarkError` if it cannot be opened.

        Under another name than ours the human view takes part alone, under that name. effort: that of `ugicm.Codec.encode`.
        """
        import ugicm
        from ugicm.bundle import Bundle

        try:
            self.codec = ugicm.Codec.open(bundle, threads=threads)
            self._manifest = Bundle.open(bundle).manifest
        except ugicm.UgicmError as error:
            raise BenchmarkError(f"our codec cannot be measured: {error} (or leave it out with --codecs)") from error
        self._version = ugicm.__version__
        self.name = name + effort.suffix
        self._effort = effort
        self._preferences = {view_name(preference, effort): preference for preference in preferences}
        if name != OURS:
            self._preferences = {name: HUMAN}

    @property
    def views(self) -> tuple[str, ...]:
        """See `ImageCodec`: one per preference."""
        return tuple(self._preferences)

    def settings(self) -> dict[str, Any]:
        """See `ImageCodec`. The fingerprint leaves the synthesis out, so a hash of all files goes with it."""
        files = json.dumps(self._manifest.files, sort_keys=True)
        return {
            "codec": f"UG-ICM {self._manifest.name}" + (f", effort {self._effort}" if self._effort.steps else ""),
            "preset": self._manifest.preset,
            "fingerprint": self._manifest.fingerprint,
            "bundle_sha256": hashlib.sha256(files.encode()).hexdigest()[:16],
            "versions": {"ugicm": self._version},
        }

    def qualities(self, suite: str) -> tuple[int, ...]:
        """See `ImageCodec`."""
        return LADDERS[suite]

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        """See `ImageCodec`."""
        return self.codec.encode(image, quality=quality, effort=self._effort.steps, guidance=self._effort.guidance)

    def decode(self, data: bytes, view: str) -> np.ndarray:
        """See `ImageCodec`: the same bytes serve every view."""
        return self.codec.decode(data, preference=self._preferences[view])
