"""Recipes: a list of stages from a small TOML file, run in order, each from the checkpoint of the one before."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ugicm_train.config import AnyNetwork, TrainConfig, from_dict, network_preset

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """A named list of stages. In the file: `description`, `preset`, optionally `precision` and a table `all` with settings of
    every stage, then one table `stage` for each with the settings that differ from TrainConfig's defaults."""

    name: str
    description: str
    preset: str
    stages: tuple[TrainConfig, ...]

    @property
    def network(self) -> AnyNetwork:
        """The network of a fresh run."""
        return network_preset(self.preset)

    @property
    def precision(self) -> str:
        """That of every stage: devices are set up once."""
        return self.stages[0].precision

    @property
    def needs_teacher(self) -> bool:
        """Whether a stage has a machine objective and the recipe names no teacher for it."""
        return any(stage.needs_teacher and not stage.teacher for stage in self.stages)

    def with_settings(self, teacher: str = "", steps: int = 0, instances: str = "") -> Recipe:
        """The recipe with another teacher or other instances where a stage asks for them, and `steps` per stage, where given."""
        changed = []
        for stage in self.stages:
            values: dict[str, Any] = {}
            if teacher and stage.needs_teacher:
                values["teacher"] = teacher
            if instances and stage.instances:
                values["instances"] = instances
            if steps:
                values["steps"] = steps
            changed.append(dataclasses.replace(stage, **values))
        return dataclasses.replace(self, stages=tuple(changed))

    def folder(self, run: Path, number: int) -> Path:
        """Checkpoint folder of stage `number` (0-based): `RUN/1-rate_distortion`."""
        return run / f"{number + 1}-{self.stages[number].stage}"


def recipe_names() -> list[str]:
    """The recipes of this package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_recipe(name: str | Path) -> Recipe:
    """A recipe of this package by its name, or any TOML file by its path; ValueError says what is wrong with it."""
    path = Path(name) if str(name).endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(f"no recipe {str(name)!r}; known: {', '.join(recipe_names())}, or the path of a TOML file")
    try:
        values = tomllib.loads(path.read_text())
        return _recipe(path.stem, values)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a recipe: {error}") from None


def _recipe(name: str, values: dict[str, Any]) -> Recipe:
    unknown = sorted(values.keys() - {"description", "preset", "all", "stage"})
    missing = [key for key in ("description", "preset", "stage") if key not in values]
    if unknown or missing:
        raise ValueError(f"unknown keys {unknown}, missing keys {missing}")
    network_preset(values["preset"])
    common = values.get("all", {})
    stages = tuple(from_dict(TrainConfig, common | stage) for stage in values["stage"])
    if not stages:
        raise ValueError("it has no stage")
    if len({stage.precision for stage in stages}) > 1:
        raise ValueError("all stages must have the same precision")
    return Recipe(name, values["description"], values["preset"], stages)


def progress(recipe: Recipe, run: Path) -> list[str]:
    """Of each stage: "finished", "unfinished" (its state is there) or "open"; ValueError where a later stage is ahead."""
    from ugicm_train.checkpoint import CONFIG, read_config
    from ugicm_train.run import has_state

    found = []
    for number, stage in enumerate(recipe.stages):
        folder = recipe.folder(run, number)
        if not (folder / CONFIG).is_file():
            found.append("open")
            continue
        _, history = read_config(folder)
        done = bool(history) and history[-1].get("finished_steps") == history[-1].get("steps") == stage.steps
        if not done and not has_state(folder):
            raise ValueError(f"{folder} is neither finished nor can it be resumed; remove it to train this stage again")
        found.append("finished" if done else "unfinished")
    reached = [number for number, state in enumerate(found) if state != "open"]
    if reached and set(found[: reached[-1]]) - {"finished"}:
        raise ValueError(f"{run} has stage {reached[-1] + 1} begun before an earlier one was finished: {found}")
    return found


def run_recipe(
    recipe: Recipe, run: Path, train: Callable[..., None], report: Callable[[str], None] = print
) -> None:
    """Run the stages of a recipe that are not finished yet; an interrupted stage is resumed.

    `train(config, network, folder, init=..., resume=...)` trains one (`run.train_stage` on given data and devices).
    """
    states = progress(recipe, run)
    for number, (stage, state) in enumerate(zip(recipe.stages, states, strict=True)):
        folder = recipe.folder(run, number)
        title = f"stage {number + 1} of {len(states)}, {stage.stage}"
        if state == "finished":
            _same_settings(folder, stage)
            report(f"{title}: finished before")
            continue
        report(f"{title}: {'goes on' if state == 'unfinished' else 'starts'} in {folder}, {stage.steps} steps")
        before = recipe.folder(run, number - 1) if number else None
        train(stage, recipe.network, folder, init=before, resume=state == "unfinished")
    report(f"recipe {recipe.name} is finished: {recipe.folder(run, len(states) - 1)}")


def _same_settings(folder: Path, stage: TrainConfig) -> None:
    """ValueError if a finished stage was trained with other settings (teacher and instances may have moved)."""
    from ugicm_train.checkpoint import read_config
    from ugicm_train.loop import PLACES

    saved = read_config(folder)[1][-1]
    differing = [
        name for name, value in dataclasses.asdict(stage).items() if name not in PLACES and saved.get(name, value) != value
    ]
    if differing:
        raise ValueError(
            f"{folder} was trained with other settings: {', '.join(differing)} differ; choose another --out or remove it"
        )
