"""Around every request: its id, the bound on requests in the house, metrics, one log line, no exception out."""

import re
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import logs
from .metrics import Metrics
from .problems import Problem, of_error

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_WORK = "/v1/"


class House:
    """How many requests for work are inside."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.inside = 0


class Watch:
    """Pure ASGI middleware; what a handler leaves in `scope["ugicm.*"]` goes into the log line."""

    def __init__(self, app: ASGIApp, house: House, metrics: Metrics) -> None:
        self._app = app
        self._house = house
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, receive, send)
        is_work = scope["path"].startswith(_WORK) and scope["method"] == "POST"
        self._house.inside += is_work
        try:
            if is_work and self._house.inside > self._house.most:
                raise Problem(503, f"{self._house.most} requests are in progress; try again later", "Busy", 1)
            await self._app(scope, visit.receive, visit.send)
        except Exception as error:  # whatever it was, the client gets an answer and the server goes on
            await visit.fail(error)
        finally:
            self._house.inside -= is_work
            visit.report(self._metrics)


class _Visit:
    """One request and what is to be told of it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._start = time.perf_counter()
        self._received = self._sent = 0
        self._status = 0
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        self._id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex

    async def receive(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message = {**message, "headers": [*message["headers"], (b"x-request-id", self._id.encode())]}
        self._sent += len(message.get("body", b""))
        await self._send(message)

    async def fail(self, error: Exception) -> None:
        """Answer with a problem, if nothing has been sent yet."""
        problem = of_error(error)
        self._scope["ugicm.problem"] = problem
        if problem.status == 500:
            self._scope["ugicm.cause"] = error
        if not self._status:
            await problem.response()(self._scope, self._receive, self.send)

    def report(self, metrics: Metrics) -> None:
        """Count the request and write its log line."""
        seconds = time.perf_counter() - self._start
        problem: Problem | None = self._scope.get("ugicm.problem")
        route = getattr(self._scope.get("route"), "path", "other")
        metrics.request(route, self._status, seconds, self._received, self._sent, problem.kind if problem else None)
        client = self._scope.get("client")
        logs.request(
            self._scope.get("ugicm.cause"),
            request_id=self._id,
            client=client[0] if client else None,
            method=self._scope["method"],
            path=self._scope["path"],
            status=self._status,
            ms=round(seconds * 1000, 2),
            bytes_in=self._received,
            bytes_out=self._sent,
            **({"error": problem.kind, "detail": problem.detail} if problem else {}),
            **self._scope.get("ugicm.facts", {}),
        )
