"""`ugicm serve` under load, beside the bare `Codec` in a loop on the same machine.

    python -m benchmarks.server --seconds 60 --json server.json

Clients on connections of their own send one stream of 768x512 over and over, each as soon as its last answer has come, and check
every answer. The bare loop runs for a sixth of that time before and after, so that a machine that slows down is noticed, and
uses all cores as `Codec.open()` does. Memory is the server's resident set, averaged over the first and the last ten seconds.
With a picture format other than npy the bare loop writes the same file, for that is not the server's doing. Processor time per
picture is told too: unlike the rates it hardly depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ugicm import Codec, UgicmError
from ugicm.image_write import encode_image

from .datasets import read_rgb
from .errors import BenchmarkError

SIZE = (768, 512)
PHOTO = Path(__file__).parents[1] / "examples" / "kodim23.png"
WARM_UP_SECONDS = 3.0
EDGE_SECONDS = 10.0
_SAMPLE_EVERY = 0.25
_VIEWS = ("human", "machine")


class Load:
    """Clients that ask in a loop until told to stop; `latencies` are (when answered, seconds taken)."""

    def __init__(self, address: str, stream: bytes, picture_format: str, expected_bytes: int | None) -> None:
        self._address = address
        self._stream = stream
        self._format = picture_format
        self._expected = expected_bytes
        self._stop = threading.Event()
        self.latencies: list[tuple[float, float]] = []
        self.errors: list[str] = []

    def run(self, clients: int, seconds: float) -> None:
        """Ask for so long."""
        threads = [threading.Thread(target=self._ask, args=[_VIEWS[number % 2]]) for number in range(clients)]
        for thread in threads:
            thread.start()
        self._stop.wait(seconds)
        self._stop.set()
        for thread in threads:
            thread.join()

    def _ask(self, view: str) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=120)
        path = f"/v1/decode?format={self._format}&view={view}"
        while not self._stop.is_set():
            start = time.perf_counter()
            try:
                connection.request("POST", path, self._stream)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                connection.close()
                continue
            end = time.perf_counter()
            if answer.status != 200 or (self._expected is not None and len(body) != self._expected):
                self.errors.append(f"{answer.status}, {len(body)} bytes: {body[:200]!r}")
            else:
                self.latencies.append((end, end - start))
        connection.close()


class Memory:
    """Samples the resident set of a process; empty where the system has no /proc."""

    def __init__(self, pid: int) -> None:
        self._path = Path(f"/proc/{pid}/statm")
        self._stop = threading.Event()
        self.samples: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while self._path.exists() and not self._stop.wait(_SAMPLE_EVERY):
            pages = int(self._path.read_text().split()[1])
            self.samples.append((time.perf_counter(), pages * os.sysconf("SC_PAGE_SIZE") / 2**20))

    def stop(self) -> None:
        """End the sampling."""
        self._stop.set()
        self._thread.join()

    def mean(self, start: float, end: float) -> float | None:
        """Mean MiB between two moments."""
        within = [mib for moment, mib in self.samples if start <= moment <= end]
        return round(statistics.fmean(within), 1) if within else None


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Bare loop, server under load, bare loop again; raises `BenchmarkError` if the server does not start."""
    codec = Codec.open(options.bundle)
    array = np.ascontiguousarray(read_rgb(options.photo)[: SIZE[1], : SIZE[0]])
    if array.shape[:2] != SIZE[::-1]:
        raise BenchmarkError(f"'{options.photo}' is smaller than {SIZE[0]}x{SIZE[1]}; take a larger picture")
    stream = codec.encode(array, options.quality)
    expected = len(encode_image(array, "NPY")) if options.format == "npy" else None
    before, bare_cpu = _bare(codec, stream, options)
    command = [sys.executable, "-m", "ugicm", "serve", "--port", "0", "--quiet", *_server_options(options)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            address = _address(server)
            # Only what goes wrong is logged, but a full pipe would stop the server.
            reader = threading.Thread(target=sys.stderr.writelines, args=[_troubles(server)])
            reader.start()
            Load(address, stream, options.format, expected).run(options.clients, WARM_UP_SECONDS)
            memory, start = Memory(server.pid), time.perf_counter()
            cpu = {"server": -_server_cpu(address), "clients": -time.process_time()}
            load = Load(address, stream, options.format, expected)
            load.run(options.clients, options.seconds)
            end = time.perf_counter()
            cpu["server"] += _server_cpu(address)
            cpu["clients"] += time.process_time()
            memory.stop()
        finally:
            server.terminate()
        exit_code = server.wait()
        reader.join()
    after, _ = _bare(codec, stream, options)
    edge = min(EDGE_SECONDS, options.seconds / 2)
    facts = _figures(load, start, end, (before + after) / 2)
    facts["memory_first_mib"] = memory.mean(start, start + edge)
    facts["memory_last_mib"] = memory.mean(end - edge, end)
    per_picture = {name: seconds / len(load.latencies) for name, seconds in cpu.items()} | {"bare": bare_cpu}
    facts["cpu_ms_per_picture"] = {name: round(seconds * 1000, 2) for name, seconds in per_picture.items()}
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    return {
        **facts,
        "bare_before_per_s": round(before, 3),
        "bare_after_per_s": round(after, 3),
        "exit_code": exit_code,
        "size": list(SIZE),
        "stream_bytes": len(stream),
        "model": codec.info["fingerprint"],
        "cores": codec.info["threads"],
        "machine": platform.machine(),
        "settings": settings,
    }


def _bare(codec: Codec, stream: bytes, options: argparse.Namespace) -> tuple[float, float]:
    """Decodes per second of a plain loop, after one to warm up, and processor seconds of each."""
    codec.decode(stream)
    count, start, cpu = 0, time.perf_counter(), time.process_time()
    while not count or time.perf_counter() - start < options.seconds / 6:
        picture = codec.decode(stream, view=_VIEWS[count % 2])
        if options.format != "npy":
            encode_image(picture, options.format.upper())
        count += 1
    return count / (time.perf_counter() - start), (time.process_time() - cpu) / count


def _server_cpu(address: str) -> float:
    """Processor seconds the server has used so far, by its own metrics; 0 where it cannot know."""
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        lines = [line.split() for line in answer.read().decode().splitlines()]
    return next((float(words[1]) for words in lines if words[0] == "process_cpu_seconds_total"), 0.0)


def _figures(load: Load, start: float, end: float, bare: float) -> dict[str, Any]:
    taken = sorted(seconds for _, seconds in load.latencies)
    if not taken:
        raise BenchmarkError(f"no request was answered; the first errors: {load.errors[:3]}")
    within = sum(moment <= end for moment, _ in load.latencies)
    throughput = within / (end - start)
    median, late = statistics.median(taken), taken[math.ceil(0.99 * len(taken)) - 1]
    return {
        "requests": len(taken),
        "errors": len(load.errors),
        "first_errors": load.errors[:3],
        "seconds": round(end - start, 2),
        "throughput_per_s": round(throughput, 3),
        "throughput_over_bare": round(throughput / bare, 4),
        "p50_ms": round(median * 1000, 1),
        "p99_ms": round(late * 1000, 1),
        "p99_over_p50": round(late / median, 3),
    }


def _server_options(options: argparse.Namespace) -> list[str]:
    given = {"--bundle": options.bundle, "--workers": options.workers, "--threads": options.threads, "--batch": options.batch}
    return [str(word) for name, value in given.items() if value is not None for word in (name, value)]


def _troubles(server: subprocess.Popen[str]) -> Iterator[str]:
    """The log lines of the server that are not plain information."""
    assert server.stderr is not None
    return (line for line in server.stderr if '"level": "info"' not in line)


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stderr is not None
    line = server.stderr.readline()
    try:
        return json.loads(line)["url"].removeprefix("http://").rstrip("/")
    except (ValueError, KeyError) as error:
        raise BenchmarkError(f"the server did not start: {line}{server.stderr.read()}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="length of the load (default: 60)")
    parser.add_argument("--clients", type=int, default=16, help="connections that ask at once (default: 16)")
    parser.add_argument("--format", choices=("npy", "png", "jpeg", "webp"), default="npy", help="of the answers")
    parser.add_argument("--quality", type=float, default=50, help="of the stream (default: 50)")
    parser.add_argument("--photo", type=Path, default=PHOTO, help="a picture of at least 768x512")
    parser.add_argument("--bundle", type=Path, help="model (default: the one inside ugicm)")
    parser.add_argument("--workers", type=int, help="of the server (default: its own)")
    parser.add_argument("--threads", type=int, help="of each worker (default: 1)")
    parser.add_argument("--batch", type=int, help="of the server (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    options = parser.parse_args(arguments)
    try:
        text = json.dumps(measure(options), indent=2)
    except (BenchmarkError, UgicmError) as error:
        print(f"benchmarks.server: {error}", file=sys.stderr)
        return 1
    print(text)
    if options.json is not None:
        partial = options.json.with_suffix(".partial")
        partial.write_text(text + "\n", encoding="utf-8")
        os.replace(partial, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
