"""What `GET /metrics` tells Prometheus; each application has a registry of its own."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters and histograms; every method may be called from any thread."""

    def __init__(self, queue_depth: Callable[[], int], in_progress: Callable[[], int]) -> None:
        """The two functions are asked whenever the metrics are read."""
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter("ugicm_requests", "Requests answered", ["route", "status"], registry=registry)
        self._errors = Counter("ugicm_errors", "Requests refused or failed", ["route", "error"], registry=registry)
        self._seconds = Histogram(
            "ugicm_request_seconds", "From the head of a request to the end of its answer", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._stages = Histogram(
            "ugicm_stage_seconds", "Seconds by stage of the work", ["operation", "stage"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._received = Counter("ugicm_received_bytes", "Bytes of request bodies", ["route"], registry=registry)
        self._sent = Counter("ugicm_sent_bytes", "Bytes of answers", ["route"], registry=registry)
        self._batch = Histogram(
            "ugicm_batch_size", "Pictures in one engine call", ["operation"],
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry,
        )  # fmt: skip
        Gauge("ugicm_queue_depth", "Requests waiting for a worker", registry=registry).set_function(queue_depth)
        Gauge("ugicm_in_progress", "Requests below /v1 in the house", registry=registry).set_function(in_progress)

    def request(self, route: str, status: int, seconds: float, received: int, sent: int, error: str | None) -> None:
        """Count one request that has ended."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._received.labels(route).inc(received)
        self._sent.labels(route).inc(sent)
        if error is not None:
            self._errors.labels(route, error).inc()

    def work(self, operation: str, stages: Mapping[str, float], batch: int) -> None:
        """Note the seconds of each stage of one job, done in a batch of `batch`."""
        for stage, seconds in stages.items():
            self._stages.labels(operation, stage).observe(seconds)
        self._batch.labels(operation).observe(batch)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
