"""Recipes: a list of stages from a small TOML file, run in order, each from the checkpoint of the one before."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ugicm_train.config import AnyNetwork, TrainConfig, from_dict, network_preset
from ugicm_train.stages import STAGES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """A named list of stages. In the file: `description`, `preset`, optionally a table `all` with settings of
    every stage, then one table `stage` for each with the settings that differ from TrainConfig's defaults and optionally `seeds`."""

    name: str
    description: str
    preset: str
    stages: tuple[TrainConfig, ...]
    seeds: tuple[int, ...] = ()
    """How many runs, of consecutive seeds, each stage is the mean of; empty: one each."""

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

    def runs(self, run: Path, number: int) -> list[tuple[TrainConfig, Path]]:
        """The runs of stage `number` with their folders: that of the stage, or `seed-S` in it for each seed where it is a mean."""
        stage, folder = self.stages[number], self.folder(run, number)
        count = self.seeds[number] if self.seeds else 1
        if count == 1:
            return [(stage, folder)]
        seeds = range(stage.seed, stage.seed + count)
        return [(dataclasses.replace(stage, seed=seed), folder / f"seed-{seed}") for seed in seeds]


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
    if not (isinstance(values["stage"], list) and all(isinstance(stage, dict) for stage in values["stage"])):
        raise ValueError("each stage begins with [[stage]], in double brackets")
    common = values.get("all", {})
    seeds = tuple(stage.get("seeds", 1) for stage in values["stage"])
    stages = tuple(
        from_dict(TrainConfig, common | {key: value for key, value in stage.items() if key != "seeds"})
        for stage in values["stage"]
    )
    if not stages:
        raise ValueError("it has no stage")
    if len({stage.precision for stage in stages}) > 1:
        raise ValueError("all stages must have the same precision")
    for stage, count in zip(stages, seeds, strict=True):
        if type(count) is not int or count < 1:
            raise ValueError(f"seeds must be a whole number from 1, got {count!r}")
        if count > 1 and STAGES[stage.stage].checks_integers:
            raise ValueError(f"stage {stage.stage} compares one network with the integer code, not a mean: give it seeds = 1")
    return Recipe(name, values["description"], values["preset"], stages, seeds)


def progress(recipe: Recipe, run: Path) -> list[str]:
    """Of each stage: "finished", "unfinished" (its state or some of its runs are there) or "open"; ValueError if a later one is ahead."""
    found = []
    for number in range(len(recipe.stages)):
        runs = recipe.runs(run, number)
        states = {_state(config, folder) for config, folder in runs}
        mean_missing = len(runs) > 1 and not _has_mean(recipe.folder(run, number), len(runs))
        if len(states) > 1 or (mean_missing and states == {"finished"}):
            states = {"unfinished"}
        found.append(states.pop())
    reached = [number for number, state in enumerate(found) if state != "open"]
    if reached and set(found[: reached[-1]]) - {"finished"}:
        raise ValueError(f"{run} has stage {reached[-1] + 1} begun before an earlier one was finished: {found}")
    return found


def _has_mean(folder: Path, count: int) -> bool:
    """Whether the mean of `count` runs is in `folder`; ValueError if something else is: one run, or the mean of more or fewer."""
    from ugicm_train.checkpoint import CONFIG, read_config

    if not (folder / CONFIG).is_file():
        return False
    last = [entry["stage"] == "blend" for entry in read_config(folder)[1][-count:]]
    if last != [False] + [True] * (count - 1):
        raise ValueError(f"{folder} is not the mean of {count} runs; choose another --out or remove it")
    return True


def _state(config: TrainConfig, folder: Path) -> str:
    """Whether a run is "finished", "unfinished" or "open"; ValueError if it is neither finished nor can go on."""
    from ugicm_train.checkpoint import CONFIG, read_config
    from ugicm_train.run import has_state

    if not (folder / CONFIG).is_file():
        return "open"
    _, history = read_config(folder)
    done = bool(history) and history[-1].get("finished_steps") == history[-1].get("steps") == config.steps
    if not done and not has_state(folder):
        raise ValueError(f"{folder} is neither finished nor can it be resumed; remove it to train this stage again")
    return "finished" if done else "unfinished"


def run_recipe(
    recipe: Recipe,
    run: Path,
    train: Callable[..., None],
    average: Callable[[list[Path], Path], None],
    report: Callable[[str], None] = print,
) -> None:
    """Run the stages of a recipe that are not finished yet; an interrupted run is resumed.

    `train(config, network, folder, init=..., resume=...)` trains one (`run.train_stage` on given data and devices), and
    `average(folders, folder)` writes the mean of several (`run.mean_of_runs`).
    """
    states = progress(recipe, run)
    runs_of = [recipe.runs(run, number) for number in range(len(states))]
    found_of = [[_state(config, folder) for config, folder in runs] for runs in runs_of]
    for number, (state, runs) in enumerate(zip(states, runs_of, strict=True)):
        title = f"stage {number + 1} of {len(states)}, {recipe.stages[number].stage}"
        for (config, folder), found in zip(runs, found_of[number], strict=True):
            if found == "finished":
                _same_settings(folder, config)
                continue
            report(f"{title}: {'goes on' if found == 'unfinished' else 'starts'} in {folder}, {config.steps} steps")
            before = recipe.folder(run, number - 1) if number else None
            train(config, recipe.network, folder, init=before, resume=found == "unfinished")
        if state == "finished":
            report(f"{title}: finished before")
        elif len(runs) > 1:
            average([folder for _, folder in runs], recipe.folder(run, number))
            report(f"{title}: the mean of {len(runs)} runs is {recipe.folder(run, number)}")
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
