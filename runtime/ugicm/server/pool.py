"""Worker threads behind a bounded queue; jobs with the same key may be handed to a worker together.

ONNX Runtime, the entropy coder and the picture libraries release the GIL, so threads really work side by side, and the
event loop stays free for everything else.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from .problems import Problem

_SMOOTHING = 0.1  # weight of the newest job in the running mean that Retry-After is made of


@dataclass(eq=False)
class Job:
    """One thing to do. Jobs with equal keys may run together; `key` None runs alone."""

    item: Any
    key: Hashable = None
    future: "Future[Any]" = field(default_factory=Future)
    entered: float = field(default_factory=time.perf_counter)
    waited: float = 0.0
    """Seconds between the queue's door and a worker."""


class Pool:
    """`work` gets the jobs of one batch and gives as many outcomes, in order; an exception is an outcome too."""

    def __init__(
        self, work: Callable[[Sequence[Job]], Sequence[Any]], workers: int, queue: int, batch: int, wait: float
    ) -> None:
        """Start the workers. queue: jobs that may wait; batch: most jobs at once; wait: seconds to gather them."""
        self._work = work
        self._limit, self._batch, self._wait = queue, batch, wait
        self._waiting: deque[Job] = deque()
        self._gathering: set[Hashable] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._mean_seconds = 0.1
        self._threads = [threading.Thread(target=self._run, name=f"ugicm-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Jobs that wait."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """True while every worker lives and new jobs are taken."""
        return not self._closed and all(thread.is_alive() for thread in self._threads)

    def enter(self, job: Job) -> "asyncio.Future[Any]":
        """Queue a job and return its outcome to come; `leave` must follow.

        Raises `Problem` (503) when the queue is full or closed.
        """
        with self._changed:
            if self._closed:
                raise Problem(503, "the server is stopping; try again later", "Stopping", retry_after=5)
            if len(self._waiting) >= self._limit:
                wait = len(self._waiting) * self._mean_seconds / len(self._threads)
                raise Problem(503, f"{self._limit} requests are waiting already; try again later", "QueueFull", wait)
            self._waiting.append(job)
            self._changed.notify_all()
        return asyncio.wrap_future(job.future)

    def leave(self, job: Job) -> None:
        """Give a job up: if it still waits, there is room for another at once; if not, nothing happens.

        Called for every job, since a callback on its future would tie job and outcome into a cycle that keeps pictures alive.
        """
        job.future.cancel()
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    def close(self, timeout: float | None = None) -> None:
        """Take no more jobs, finish those that wait, and end the workers; after `timeout` seconds leave them to themselves."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        with self._changed:
            for job in self._waiting:
                job.future.cancel()
            self._waiting.clear()

    def _run(self) -> None:
        while jobs := self._take():
            start = time.perf_counter()
            for job in jobs:
                job.waited = start - job.entered
            try:
                outcomes = self._work(jobs)
            except BaseException as error:  # a worker must outlive whatever a job does
                outcomes = [error] * len(jobs)
            self._mean_seconds += _SMOOTHING * ((time.perf_counter() - start) / len(jobs) - self._mean_seconds)
            for job, outcome in zip(jobs, outcomes, strict=True):
                if isinstance(outcome, BaseException):
                    job.future.set_exception(outcome)
                else:
                    job.future.set_result(outcome)
            del jobs, outcomes, job, outcome  # pictures must not live until the next job comes

    def _take(self) -> list[Job]:
        """The next batch, once there is one; an empty list ends the worker."""
        with self._changed:
            while (first := self._first()) is None:
                if self._closed and not self._waiting:
                    return []
                self._changed.wait()
            jobs = [first]
            if first.key is not None and self._batch > 1:
                self._gather(jobs)
            return jobs

    def _first(self) -> Job | None:
        """Take out the oldest job that is still wanted and that no other worker is about to gather."""
        for job in list(self._waiting):
            if job.key is None or job.key not in self._gathering:
                self._waiting.remove(job)
                if job.future.set_running_or_notify_cancel():
                    return job
        return None

    def _gather(self, jobs: list[Job]) -> None:
        """Add jobs of the same key until the batch is full or its time is up."""
        key = jobs[0].key
        deadline = time.perf_counter() + self._wait
        self._gathering.add(key)
        while True:
            for job in [job for job in self._waiting if job.key == key][: self._batch - len(jobs)]:
                self._waiting.remove(job)
                if job.future.set_running_or_notify_cancel():
                    jobs.append(job)
            remaining = deadline - time.perf_counter()
            if len(jobs) >= self._batch or remaining <= 0 or self._closed:
                break
            self._changed.wait(remaining)
        self._gathering.discard(key)
        self._changed.notify_all()
