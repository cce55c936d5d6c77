"""The guide of a checkpoint: `guide.safetensors` in its folder, float16, with the layout in the metadata."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ugicm_train.model.guide import Guide, GuideConfig

FILE = "guide.safetensors"


class GuideError(ValueError):
    """A guide is missing, damaged or foreign, or a teacher has not the maps that it predicts."""


def save_guide(folder: Path, guide: Guide) -> None:
    """Write `guide.safetensors`; a killed run leaves the old file or the new one."""
    stored = {name: value.detach().half().contiguous() for name, value in guide.state_dict().items()}
    temporary = folder / (FILE + ".partial")
    temporary.write_bytes(save(stored, {"guide": json.dumps(dataclasses.asdict(guide.config))}))
    os.replace(temporary, folder / FILE)


def load_guide(folder: Path) -> Guide:
    """The guide of a checkpoint folder, in evaluation mode and float32; GuideError says what is wrong."""
    path = folder / FILE
    try:
        with safe_open(path, framework="pt") as file:
            layout = json.loads((file.metadata() or {})["guide"])
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        guide = Guide(GuideConfig(**{name: tuple(value) for name, value in layout.items()}))
        guide.load_state_dict(weights)
    except FileNotFoundError:
        raise GuideError(f"{folder} has no {FILE}; `ugicm-train distil` makes one") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise GuideError(f"{path} is damaged or no guide: {type(error).__name__} {error}") from None
    return guide.eval()
