"""Signals that end a process as exceptions, so that what was begun is cleaned up."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_signals_raise(*names: str) -> Iterator[None]:
    """Within, signals of these names raise `SystemExit(128 + number)` instead of ending the process at once.

    Only those that still do so: one that is ignored, as by nohup, or has a handler is left alone, and so are names that the system lacks.
    """

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # Python lets only the main thread set handlers
    changed = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in changed:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
