"""Results as JSON files in CompressAI's schema, so that a run can be broken off and taken up again.

{"name": "avif", "description": "...", "results": {"bpp": [...], "psnr-rgb": [...], ...},   CompressAI's part
 "suite": "rd", "created": "2026-01-01", "settings": {...}, ...}                            ours
"""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import BenchmarkError

# Raise this when a change of the code changes its numbers: everything is then measured again.
REVISION = 1


class Store:
    """A folder of results, one file per key."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when something is saved."""
        self.folder = folder

    def path(self, key: str) -> Path:
        """The file of one result."""
        return self.folder / f"{key}.json"

    def is_fresh(self, key: str, settings: Mapping[str, Any]) -> bool:
        """Whether the result is there and was measured with exactly these settings."""
        path = self.path(key)
        return path.exists() and _read(path).get("settings") == _stamped(settings)

    def save(
        self,
        key: str,
        *,
        name: str,
        description: str,
        suite: str,
        results: Any,
        settings: Mapping[str, Any],
        **more: Any,
    ) -> None:
        """Write one result under a temporary name, then rename it."""
        payload = {
            "name": name,
            "description": description,
            "results": results,
            "suite": suite,
            "created": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "settings": _stamped(settings),
            **more,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.path(key).with_suffix(".json.partial")
        partial.write_text(_as_text(payload), encoding="utf-8")
        os.replace(partial, self.path(key))

    def load(self, suite: str) -> dict[str, dict[str, Any]]:
        """All results of a suite by key."""
        found = {path.stem: _read(path) for path in sorted(self.folder.glob(f"{suite}-*.json"))}
        return {key: result for key, result in found.items() if result.get("suite") == suite}


def _stamped(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they look when read back from JSON."""
    return json.loads(json.dumps({"revision": REVISION, **settings}))


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BenchmarkError(f"'{path}' is not sound JSON ({error}); delete it and run again") from error


def _as_text(payload: dict[str, Any]) -> str:
    """Indented JSON with each list of numbers on one line, which keeps differences between versions readable."""
    text = json.dumps(payload, indent=1, allow_nan=False)
    return re.sub(r"\[[\s\d.,eE+-]*\]", lambda numbers: " ".join(numbers.group().split()), text) + "\n"
