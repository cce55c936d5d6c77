"""The application: routes, their parameters and answers. No engine work happens on the event loop."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from .. import __version__
from ..bitstream import LEVELS, MULTIPLE, picture_size
from ..checks import QUALITY_MAX
from ..codec import VIEWS, WARM_UP_SIZE, Codec
from ..errors import OptionError
from ..tiles import Region, check_region
from . import body, media, pages, schema
from .metrics import Metrics
from .middleware import House, Watch
from .pool import Job, Pool
from .problems import CLIENT_GONE, Problem, add_handlers
from .settings import Settings
from .work import Answer, Decode, Encode, Worker

DEFAULT_QUALITY = 50.0
_NOT_IN_HEADERS = re.compile(r"[^ -~]")
LAST_MOMENT = 30.0
"""Seconds that jobs have to notice that the application has ended."""
_REGION = re.compile(r"[0-9]{1,9}(,[0-9]{1,9}){3}")

Output = Literal["png", "jpeg", "webp", "npy"]
Quality = Annotated[float | None, Query(ge=0, le=QUALITY_MAX, description="0 smallest .. 100 best; 50 by default")]
TargetBytes = Annotated[int | None, Header(ge=1, le=1 << 40, description="best quality of at most so many bytes; no `quality` then")]
TargetBpp = Annotated[float | None, Header(gt=0, le=1e6, description="the same in bits per pixel")]
View = Annotated[Literal["human", "machine"] | None, Query(description="who will look; human if nothing is said")]
Preference = Annotated[float | None, Query(description="a point between, 0 human .. 1 machine; no `view` then")]
RegionText = Annotated[str | None, Query(alias="region", description="x,y,width,height in pixels; else all of it")]
Effort = Annotated[int, Query(ge=0, description="steps spent on a better stream for eyes, each about three decodings long")]
Guidance = Annotated[float, Query(ge=0, le=1, description="how far the effort goes to what networks see, 0..1")]
Strip = Annotated[bool, Query(description="drop Exif, XMP and the like; alpha stays")]
OutputName = Annotated[Output | None, Query(alias="format", description="else `Accept` decides; PNG by default")]


class Service:
    """One open codec with its workers and counters."""

    def __init__(self, codec: Codec, settings: Settings) -> None:
        """Start the workers; `close` ends them."""
        self.codec = codec
        self.settings = settings
        self.house = House(settings.max_requests)
        self.metrics = Metrics(lambda: self.pool.depth, lambda: self.house.inside)
        self._begin()
        self.ready = False

    def _begin(self) -> None:
        settings = self.settings
        self._worker = Worker(self.codec, self.metrics)
        self.pool = Pool(self._worker, settings.workers, settings.queue, settings.batch, settings.batch_wait_ms / 1000)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Between start and stop of the application, of which there may be several."""
        if not self.pool.alive:
            self._begin()
        try:
            await asyncio.to_thread(warm_up, self.codec)
            self.ready = True
            yield
        finally:
            self.ready = False
            # Whoever runs the application has given requests their time to end, so a job that still runs is nobody's any more.
            self._worker.stop()
            await asyncio.to_thread(self.pool.close, LAST_MOMENT)

    async def run(self, request: Request, job: Job) -> Answer:
        """The answer of a worker; the job is dropped when its client leaves or its time is up. Raises `Problem`."""
        coming = self.pool.enter(job)
        coming.add_done_callback(lambda late: late.cancelled() or late.exception())  # one that nobody waits for any more is no news
        leaving = asyncio.create_task(_client_leaves(request))
        try:
            await asyncio.wait({coming, leaving}, timeout=self.settings.timeout, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return coming.result()
            if leaving.done():
                raise Problem(CLIENT_GONE, "the client left before its answer was ready", "ClientGone")
            detail = f"the server is too busy to answer within {self.settings.timeout:g} s; try again later"
            raise Problem(503, detail, "Timeout", retry_after=self.settings.timeout / 2)
        except asyncio.CancelledError:  # the time that a server gives requests when it stops is up
            raise Problem(503, "the server is stopping; try again later", "Stopping", retry_after=5) from None
        finally:
            leaving.cancel()
            self.pool.leave(job)


def create_app(codec: Codec, settings: Settings | None = None) -> FastAPI:
    """The ASGI application over an open codec, which may be shared; its workers end with the lifespan of the app."""
    service = Service(codec, settings or Settings())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.working():
            yield

    app = FastAPI(
        title="UG-ICM", version=__version__, summary="One image stream, two readers.", lifespan=lifespan,
        docs_url=None, redoc_url=None, openapi_url="/openapi.json",
    )  # fmt: skip
    app.state.service = service
    app.add_middleware(Watch, house=service.house, metrics=service.metrics)
    add_handlers(app)
    _add_work(app, service)
    _add_status(app, service)
    pages.add(app)
    return app


def warm_up(codec: Codec) -> None:
    """Load both engines and run them on one picture, the smallest there is if the usual one is over the limit.

    Raises `EngineError`, and `TooLargeError` where the limit on pixels admits no picture at all.
    """
    fits = codec.info["max_pixels"] >= WARM_UP_SIZE[0] * WARM_UP_SIZE[1]
    codec.warm_up(*(WARM_UP_SIZE if fits else (MULTIPLE, MULTIPLE)))


def _add_work(app: FastAPI, service: Service) -> None:
    """The two routes that make workers work."""
    settings, info = service.settings, service.codec.info

    @app.post("/v1/encode", response_class=Response, **schema.ENCODE)
    async def encode(
        request: Request,
        quality: Quality = None,
        x_target_bytes: TargetBytes = None,
        x_target_bpp: TargetBpp = None,
        effort: Effort = 0,
        guidance: Guidance = 0,
        strip: Strip = False,
    ) -> Response:
        """A picture file, in any format that Pillow reads, becomes a .ugic stream."""
        if sum(value is not None for value in (quality, x_target_bytes, x_target_bpp)) > 1:
            raise OptionError("give one of quality, X-Target-Bytes and X-Target-Bpp, not several")
        _check_effort(effort, guidance, min(settings.max_effort, info["effort"][1]), info["guidance"][1])
        data = await body.read(request, settings, "a picture file")
        width, height = await body.file_size(data, info["max_pixels"])
        wanted = DEFAULT_QUALITY if quality is None else quality
        item = Encode(data, wanted, x_target_bytes, x_target_bpp, strip, effort, guidance)
        key = None if x_target_bytes or x_target_bpp or effort else ("encode", width, height)
        answer = await service.run(request, Job(item, key))
        bits = 8 * len(answer.body) / (answer.width * answer.height)
        extra = {"X-Ugicm-Quality": f"{answer.level * QUALITY_MAX / (LEVELS - 1):.4g}", "X-Ugicm-Bpp": f"{bits:.4f}"}
        if answer.notes:
            extra["X-Ugicm-Notes"] = _NOT_IN_HEADERS.sub("?", "; ".join(answer.notes))
        return _response(request, answer, extra)

    @app.post("/v1/decode", response_class=Response, **schema.DECODE)
    async def decode(
        request: Request,
        view: View = None,
        preference: Preference = None,
        region_text: RegionText = None,
        output: OutputName = None,
        strip: Strip = False,
    ) -> Response:
        """A .ugic stream becomes a picture: the view for people, the one for networks, or any point between."""
        wanted = _preference(view, preference, info["preference"])
        chosen = media.choose(output, request.headers.get("accept"))
        data = await body.read(request, settings, "a .ugic stream")
        width, height = picture_size(data, info["max_pixels"])
        region = None if region_text is None else _region(region_text, width, height)
        key = ("decode", width, height) if region is None else None
        answer = await service.run(request, Job(Decode(data, wanted, region, chosen, strip), key))
        return _response(request, answer, {"Vary": "Accept"})


def _add_status(app: FastAPI, service: Service) -> None:
    """What the people and programs around a server ask."""

    @app.get("/v1/info", tags=["status"])
    async def info() -> dict[str, Any]:
        """The open model and the limits in force."""
        hidden = {"path"}  # a folder of the server is nobody's business
        model = {name: value for name, value in service.codec.info.items() if name not in hidden}
        formats = {"encode": media.STREAM_TYPE, "decode": media.MEDIA_TYPES}
        return {"ugicm": __version__, "model": model, "limits": asdict(service.settings), "media_types": formats}

    @app.get("/healthz", tags=["status"], **schema.HEALTH)
    async def healthz() -> Response:
        """200 while the workers live; else the process should be restarted."""
        return _state(service.pool.alive, "ok", "a worker has died; restart the server")

    @app.get("/readyz", tags=["status"], **schema.HEALTH)
    async def readyz() -> Response:
        """200 while requests are welcome: engines loaded and run once, not stopping, room in the queue."""
        room = service.pool.depth < service.settings.queue
        return _state(service.ready and room, "ready", "not ready: starting, stopping, or the queue is full")

    @app.get("/metrics", tags=["status"], response_class=Response, **schema.METRICS)
    async def metrics() -> Response:
        """Counters and histograms in Prometheus' text format."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _preference(view: str | None, preference: float | None, limits: list[float]) -> float:
    if view is not None and preference is not None:
        raise OptionError("give either view or preference, not both")
    wanted = VIEWS[view or "human"] if preference is None else preference
    if not limits[0] <= wanted <= limits[1]:  # NaN fails too
        raise OptionError(f"preference is {wanted}, this model takes {limits[0]}..{limits[1]}")
    return wanted


def _check_effort(effort: int, guidance: float, most_effort: int, most_guidance: int) -> None:
    """Refuse what this server or its model does not do, before any work."""
    if effort > most_effort:
        allowed = f"takes 0..{most_effort}" if most_effort else "or its model takes none"
        raise OptionError(f"effort is {effort}, this server {allowed}")
    if guidance > most_guidance:
        raise OptionError(f"guidance is {guidance:g}, but the model of this server has no guide; leave it out")
    if guidance and not effort:
        raise OptionError("guidance guides an effort; give an effort too")


def _region(text: str, width: int, height: int) -> Region:
    """Four whole numbers that lie inside the picture; checked here so that no worker is bothered with others."""
    if not _REGION.fullmatch(text):
        raise OptionError(f"region is {text[:60]!r}, expected x,y,width,height in whole pixels, as in 0,0,256,256")
    left, top, across, down = map(int, text.split(","))
    check_region((left, top, across, down), width, height)
    return left, top, across, down


def _response(request: Request, answer: Answer, extra: dict[str, str]) -> Response:
    milliseconds = {name: round(seconds * 1000, 2) for name, seconds in answer.stages.items()}
    request.scope["ugicm.facts"] = {"width": answer.width, "height": answer.height, "stages_ms": milliseconds}
    headers = {
        "X-Ugicm-Width": str(answer.width),
        "X-Ugicm-Height": str(answer.height),
        "Server-Timing": ", ".join(f"{name};dur={value}" for name, value in milliseconds.items()),
    }
    return Response(answer.body, media_type=answer.media_type, headers=headers | extra)


def _state(good: bool, word: str, problem: str) -> Response:
    if good:
        return JSONResponse({"status": word})
    raise Problem(503, problem, "NotReady", retry_after=2)


async def _client_leaves(request: Request) -> None:
    """Return when the connection is closed; the body has been read, so nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
