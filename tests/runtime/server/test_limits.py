"""Body and picture limits, the bounded queue, timeouts, departing clients, batches, failures, metrics and logs."""

import asyncio
import gc
import io
import json
import logging
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
from server_helpers import Client, problem
from ugicm import Codec, EngineError
from ugicm.server import Settings, create_app
from ugicm.server.logs import JsonFormatter
from ugicm.server.metrics import Metrics
from ugicm.server.pool import Job, Pool
from ugicm.server.work import Encode, Worker


class SlowCodec:
    """A codec whose `decode_timed` waits until it is let go, and then may fail."""

    def __init__(self, codec, failure=None):
        self._codec = codec
        self.failure = failure
        self.go = threading.Event()
        self.calls = 0

    def __getattr__(self, name):
        return getattr(self._codec, name)

    def decode_timed(self, *arguments):
        self.calls += 1
        assert self.go.wait(30)
        if self.failure is not None:
            raise self.failure
        return self._codec.decode_timed(*arguments)


@pytest.fixture
def slow(codec):
    slow = SlowCodec(codec)
    yield slow
    slow.go.set()


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited 10 s in vain"
        time.sleep(0.005)


def test_body_over_the_limit(serving, stream):
    client = serving(max_body=100)
    assert "100 bytes" in problem(client.post("/v1/decode", stream), 413, "BodyTooLarge")
    problem(client.post("/v1/encode", files={"file": stream}), 413, "BodyTooLarge")

    async def chunks():
        for start in range(0, len(stream), 50):
            yield stream[start : start + 50]

    problem(client.post("/v1/decode", chunks()), 413, "BodyTooLarge")  # no length is told in advance


def test_pixels_over_the_limit_are_noticed_in_the_head(serving, bundle_path, stream, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as the command does; our own limit is at work
    small = Codec.open(bundle_path, threads=1, max_pixels=64 * 64)
    client = serving(codec=small)
    problem(client.post("/v1/decode", stream), 413, "TooLargeError")
    problem(client.post("/v1/decode", stream[:48]), 413, "TooLargeError")
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in ((b"IHDR", (50_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"), (b"IDAT", zlib.compress(b"")))
    )
    problem(client.post("/v1/encode", bomb), 413, "TooLargeError")
    assert 'stage="picture_file"' not in client.get("/metrics").text  # no worker was bothered


def test_full_queue_is_503_with_retry_after(serving, slow, stream):
    client = serving(codec=slow, workers=1, queue=2)
    pool = client.app.state.service.pool
    running = client.start_post("/v1/decode", stream)
    wait_for(lambda: slow.calls == 1)
    waiting = [client.start_post("/v1/decode", stream) for _ in range(2)]
    wait_for(lambda: pool.depth == 2)
    refused = client.post("/v1/decode", stream)
    problem(refused, 503, "QueueFull")
    assert int(refused.headers["retry-after"]) >= 1
    problem(client.get("/readyz"), 503, "NotReady")
    assert client.get("/healthz").status_code == 200
    assert "ugicm_queue_depth 2.0" in client.get("/metrics").text
    slow.go.set()
    assert [future.result(10).status_code for future in (running, *waiting)] == [200] * 3
    assert client.get("/readyz").status_code == 200


def test_too_many_requests_in_the_house(serving, slow, stream):
    client = serving(codec=slow, workers=1, max_requests=1)
    running = client.start_post("/v1/decode", stream)
    wait_for(lambda: slow.calls == 1)
    problem(client.post("/v1/decode", stream), 503, "Busy")
    slow.go.set()
    assert running.result(10).status_code == 200
    assert client.post("/v1/decode", stream).status_code == 200


def test_timeout_drops_a_waiting_job(serving, slow, stream):
    client = serving(codec=slow, workers=1, timeout=0.2)
    first = client.start_post("/v1/decode", stream)
    problem(client.post("/v1/decode", stream), 503, "Timeout")
    problem(first.result(10), 503, "Timeout")
    wait_for(lambda: client.app.state.service.pool.depth == 0)
    slow.go.set()
    assert client.post("/v1/decode", stream).status_code == 200
    assert slow.calls == 2  # the job that gave up while waiting never reached the codec


def test_a_failure_that_nobody_waits_for_is_no_noise(serving, slow, stream, caplog):
    slow.failure = EngineError("too late")
    client = serving(codec=slow, workers=1, timeout=0.2)
    problem(client.post("/v1/decode", stream), 503, "Timeout")
    slow.go.set()
    problem(client.post("/v1/decode", stream), 500, "EngineError")  # the same worker, so the first job has failed before
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_slow_body_is_408(serving):
    client = serving(body_timeout=0.1)

    async def trickle():
        yield b"x"
        await asyncio.sleep(5)

    problem(client.post("/v1/decode", trickle()), 408, "BodyTimeout")


def test_job_of_a_departed_client_is_dropped(serving, slow, stream):
    client = serving(codec=slow, workers=1)
    running = client.start_post("/v1/decode", stream)
    wait_for(lambda: slow.calls == 1)
    events = [{"type": "http.request", "body": stream, "more_body": False}, {"type": "http.disconnect"}]
    sent = []
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": "/v1/decode", "headers": []}
    scope |= {"raw_path": b"/v1/decode", "query_string": b"", "server": ("server", 80), "client": None}

    async def receive():
        return events.pop(0)

    async def send(message):
        sent.append(message)

    client._wait(client.app(scope, receive, send))
    assert sent[0]["status"] == 499
    slow.go.set()
    assert running.result(10).status_code == 200
    assert client.post("/v1/decode", stream).status_code == 200
    assert slow.calls == 2


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        (EngineError("no"), 500, "EngineError"),
        (MemoryError(), 503, "MemoryError"),
        (ZeroDivisionError("secret"), 500, "InternalError"),
    ],
)
def test_failures_of_the_server_are_told_apart_and_survived(serving, slow, stream, caplog, failure, status, kind):
    slow.failure = failure
    slow.go.set()
    client = serving(codec=slow, workers=1)
    with caplog.at_level(logging.INFO, "ugicm.server"):
        assert "secret" not in problem(client.post("/v1/decode", stream), status, kind)
    record = caplog.records[-1]
    assert (record.levelname, record.exc_info is not None) == (("ERROR", True) if status == 500 else ("INFO", False))
    slow.failure = None
    assert client.post("/v1/decode", stream).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_batches_give_the_same_pictures(serving, codec, stream, picture):
    client = serving(workers=2, batch=4, batch_wait_ms=300)
    other = codec.encode(picture[:64, :64])
    damaged = stream[:-2] + bytes(2)
    bodies = [stream, stream, other, damaged, stream]
    preferences = [0, 1, 0.5, 0, 0.25]
    posts = [client.start_post(f"/v1/decode?format=npy&preference={p}", body) for p, body in zip(preferences, bodies)]
    answers = [post.result(30) for post in posts]
    problem(answers.pop(3), 422, "CorruptStreamError")
    del bodies[3], preferences[3]
    for answer, body, preference in zip(answers, bodies, preferences, strict=True):
        expected = codec.decode(body, preference=preference)
        assert np.abs(np.load(io.BytesIO(answer.content)).astype(int) - expected).max() <= 1


def test_encoding_in_batches(serving, codec, picture, png):
    client = serving(workers=1, batch=3, batch_wait_ms=1000)
    qualities = [10, 50, 90]
    posts = [client.start_post(f"/v1/encode?quality={quality}", png) for quality in qualities]
    assert [post.result(30).content for post in posts] == [codec.encode(picture, quality) for quality in qualities]
    assert 'ugicm_batch_size_sum{operation="encode"} 9.0' in client.get("/metrics").text


def test_pool_gathers_equal_keys_only():
    batches = []

    def work(jobs):
        batches.append([job.item for job in jobs])
        return [job.item for job in jobs]

    async def ask():
        jobs = [Job(number, key) for number, key in enumerate("abacabaa")] + [Job(8), Job(9)]
        return await asyncio.gather(*map(pool.enter, jobs))

    pool = Pool(work, workers=2, queue=20, batch=3, wait=0.2)
    assert asyncio.run(ask()) == list(range(10))
    pool.close()
    assert sorted(batches) == [[0, 2, 4], [1, 5], [3], [6, 7], [8], [9]]
    assert not pool.alive


def test_a_pool_does_not_wait_for_ever_for_what_it_runs():
    go, began = threading.Event(), threading.Event()

    def work(jobs):
        began.set()
        assert go.wait(30)
        return [job.item for job in jobs]

    async def ask():
        running = pool.enter(Job(1))
        await asyncio.to_thread(began.wait, 10)
        waiting = pool.enter(Job(2))
        start = time.monotonic()
        await asyncio.to_thread(pool.close, 0.2)
        assert time.monotonic() - start < 5
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        return await running

    pool = Pool(work, workers=1, queue=20, batch=1, wait=0)
    assert asyncio.run(ask()) == 1


def test_a_worker_that_is_told_to_stop_ends_at_the_next_step(codec, png):
    worker = Worker(codec, Metrics(lambda: 0, lambda: 0))
    (sound,) = worker([Job(Encode(png, 50))])
    assert sound.media_type == "image/x-ugic"

    class Interrupted:
        """A codec that is told to stop while it encodes."""

        info = codec.info

        def encode_timed(self, array, quality, clock, boxes, progress, **options):
            worker.stop()
            progress(0, 2)
            pytest.fail("went on")

    worker = Worker(Interrupted(), Metrics(lambda: 0, lambda: 0))
    for _ in range(2):  # under way, and before it begins
        (stopped,) = worker([Job(Encode(png, 50))])
        assert "stopping" in str(stopped)


def test_an_application_may_start_again(codec, stream):
    application = create_app(codec, Settings(workers=1))
    for _ in range(2):
        client = Client(application)
        assert [client.get(path).status_code for path in ("/readyz", "/healthz")] == [200, 200]
        assert client.post("/v1/decode", stream).status_code == 200
        client.close()


def test_no_cycle_keeps_answers_alive(client, stream):
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            assert client.post("/v1/decode?format=npy", stream).status_code == 200
        alive = sum(type(one).__name__ in ("Answer", "Decode") for one in gc.get_objects())
    finally:
        gc.enable()
    assert alive <= 4


def test_metrics_tell_stages_bytes_and_errors(client, stream):
    client.post("/v1/decode", stream)
    client.post("/v1/decode", b"x")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'ugicm_requests_total{route="/v1/decode",status="200"} 1.0',
        'ugicm_requests_total{route="/v1/decode",status="415"} 1.0',
        'ugicm_errors_total{error="NotAStreamError",route="/v1/decode"} 1.0',
        'ugicm_stage_seconds_count{operation="decode",stage="engine"} 1.0',
        'ugicm_stage_seconds_count{operation="decode",stage="queue"} 1.0',
        f'ugicm_received_bytes_total{{route="/v1/decode"}} {float(len(stream) + 1)}',
        "ugicm_in_progress 0.0",
    ):
        assert line in lines


def test_log_line_is_json(client, stream, caplog):
    with caplog.at_level(logging.INFO, "ugicm.server"):
        client.post("/v1/decode?view=machine", stream, headers={"X-Request-Id": "r1"})
    line = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert (line["event"], line["level"], line["request_id"], line["status"]) == ("request", "info", "r1", 200)
    assert line["bytes_in"] == len(stream)
    assert line["stages_ms"]["engine"] > 0


def test_many_clients_at_once_get_their_own_pictures(serving, codec):
    client = serving(workers=4)
    random = np.random.default_rng(4)
    pictures = [random.integers(0, 256, (64 + n, 65, 3), np.uint8) for n in range(12)]
    streams = [codec.encode(one) for one in pictures]
    posts = [client.start_post("/v1/decode", body) for body in streams * 3]
    for post, body in zip(posts, streams * 3, strict=True):
        got = np.asarray(Image.open(io.BytesIO(post.result(30).content)))
        assert np.array_equal(got, codec.decode(body))
