"""A stage from its first or resumed step to its last: progress, validation, logs and checkpoints."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from ugicm_train.board import Board
from ugicm_train.data import find_images, read_image
from ugicm_train.evaluate import evaluate
from ugicm_train.loop import Trainer

VALIDATION_LEVELS = (8, 24, 40, 56)
VALIDATION_PICTURES, VALIDATION_SIDE = 8, 768
LINE_EVERY = 100
"""Steps per line of mean losses."""


@dataclass
class Meter:
    """Means of the loss terms and speed since the last line."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    images: int = 0
    since: float = field(default_factory=time.monotonic)

    def add(self, terms: dict[str, Tensor], images: int) -> None:
        """Count one step; nothing is fetched from the device."""
        for name, term in terms.items():
            self.sums[name] = self.sums[name] + term if name in self.sums else term
        self.steps += 1
        self.images += images

    def means(self) -> dict[str, float]:
        """Mean of every term."""
        return {name: value.item() / self.steps for name, value in self.sums.items()}

    def rate(self) -> float:
        """Images per second over all processes."""
        return self.images / max(1e-9, time.monotonic() - self.since)


def time_left(trainer: Trainer, rate: float) -> str:
    """h:mm:ss that the rest of the stage takes at `rate` images/s: crops of another size count by their area."""
    config, step = trainer.config, trainer.step
    side = config.shape_at(step - 1)[1]
    early = max(0, min(config.steps, int(config.late_from * config.steps)) - step)
    rest = config.steps - step - early
    images = (early * config.batch * config.crop**2 + rest * config.late_batch * config.late_crop**2) / side**2
    return str(datetime.timedelta(seconds=round(images / max(rate, 1e-9))))


def _line(trainer: Trainer, meter: Meter) -> str:
    config, rate = trainer.config, meter.rate()
    text = " ".join(f"{name} {value:.4f}" for name, value in meter.means().items())
    return (
        f"step {trainer.step}/{config.steps} {text} lr {config.learning_rate_at(trainer.step - 1):.1e} "
        f"{rate:.1f} images/s, {time_left(trainer, rate)} left"
    )


def fit(
    trainer: Trainer,
    *,
    validation: str | Path | None = None,
    validate_every: int = 1000,
    save_every: float = 180.0,
    board: Board | None = None,
    report: Callable[[str], None] = tqdm.write,
) -> None:
    """Train to the last step of the config: progress bar with images/s and time left, a line of mean losses per 100 steps,
    validation bpp and PSNR every `validate_every` steps, a checkpoint at least every `save_every` seconds and at the end.

    `board` gets the same figures and the reconstructions of the first validation picture.
    """
    config, first = trainer.config, trainer.fabric.is_global_zero
    files = find_images(validation)[:VALIDATION_PICTURES] if validation and first else []
    pictures = [read_image(path, VALIDATION_SIDE) for path in files]
    bar = tqdm(
        total=config.steps, initial=trainer.step, unit="step", dynamic_ncols=True, disable=None if first else True
    )
    meter, saved = Meter(), time.monotonic()
    while trainer.step < config.steps:
        meter.add(trainer.train_step(), config.shape_at(trainer.step - 1)[0])
        bar.update()
        if trainer.step % LINE_EVERY == 0 and first:
            report(_line(trainer, meter))
            bar.set_postfix_str(f"{meter.rate():.1f} images/s")
            if board:
                learning_rate = config.learning_rate_at(trainer.step - 1)
                board.losses(trainer.step, meter.means() | {"lr": learning_rate, "images_per_second": meter.rate()})
            meter = Meter()
        if pictures and (trainer.step % validate_every == 0 or trainer.step == config.steps):
            codec, start = trainer.averaged_codec(), time.monotonic()
            points = evaluate(codec, pictures, VALIDATION_LEVELS)
            report("validation " + ", ".join(f"q{p.level} {p.bpp:.4f} bpp {p.psnr:.3f} dB" for p in points))
            if board:
                board.validation(trainer.step, points, codec, pictures[0])
            meter.since += time.monotonic() - start
        if time.monotonic() - saved > save_every and trainer.step < config.steps:
            trainer.save()
            saved = time.monotonic()
    bar.close()
    trainer.finish()
    trainer.save()  # after what finish checks: a stage whose check failed is not finished
