"""Curves that others have published, kept in `benchmarks/published` with their source: lines to compare with, not measured here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "published"


def curves(dataset: str, pictures: int) -> list[dict[str, Any]]:
    """Results in CompressAI's schema, with "source", for exactly this many pictures of a dataset; often none."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(_FOLDER.glob("*.json"))]
    wanted = {"dataset": dataset, "pictures": pictures}
    return [curve for curve in found if wanted.items() <= curve["source"].items()]
