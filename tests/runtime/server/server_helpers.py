"""An application on an event loop of its own, asked through an in-process client; and a real server process."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import httpx


class Client:
    """Synchronous calls into an ASGI application that runs, with its lifespan, on another thread."""

    def __init__(self, app):
        self.app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._life = app.router.lifespan_context(app)
        self._wait(self._life.__aenter__())
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server", timeout=60)

    def close(self):
        self._wait(self._http.aclose())
        self._wait(self._life.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def get(self, path, **options):
        return self._wait(self._http.get(path, **options))

    def post(self, path, content=None, **options):
        return self._wait(self._http.post(path, content=content, **options))

    def start_post(self, path, content=None, **options):
        """A future of the answer."""
        return asyncio.run_coroutine_threadsafe(self._http.post(path, content=content, **options), self._loop)

    def _wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(120)


def problem(answer, status, error):
    """Check that an answer is a problem document of this kind, and return its sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert (content["status"], content["error"]) == (status, error)
    assert len(content["detail"]) > 20
    return content["detail"]


@contextlib.contextmanager
def process(bundle, *arguments) -> Iterator[tuple[subprocess.Popen, str]]:
    """`ugicm serve` on a free port; the process and its URL."""
    command = [sys.executable, "-m", "ugicm", "serve", "--port", "0", *arguments]
    environment = {**os.environ, "UGICM_BUNDLE": str(bundle)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        try:
            line = json.loads(running.stderr.readline())
            assert line["event"] == "listening"
            yield running, line["url"]
        finally:
            running.kill()
