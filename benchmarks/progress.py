"""A progress bar for people, and a line per codec for log files."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class Progress:
    """Counts steps of a known total; use as a context."""

    def __init__(self, title: str, total: int) -> None:
        """title: what is being measured."""
        self._title, self._total, self._done = title, total, 0

    def __enter__(self) -> Progress:
        from tqdm import tqdm

        self._start = time.perf_counter()
        self._bar = tqdm(total=self._total, desc=self._title, leave=False, disable=not sys.stderr.isatty())
        return self

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        self._bar.update()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if kind is None:
            print(f"{self._title}: {self._done} in {time.perf_counter() - self._start:.1f} s", flush=True)
