"""What requests ask of the codec, and how a worker does it: file in, codec, file out, each stage timed."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import image, metadata
from ..bitstream import Stream, parse, serialise
from ..codec import Codec
from ..errors import UgicmError
from ..image_write import encode_image
from ..tiles import Region, check_region
from . import media
from .metrics import Metrics
from .pool import Job


@dataclass(frozen=True)
class Decode:
    """A view of a stream; `preference` is checked, `output` is a key of `media.MEDIA_TYPES`."""

    stream: bytes
    preference: float
    region: Region | None
    output: str
    strip: bool = False


@dataclass(frozen=True)
class Encode:
    """A stream of a picture file; with a target the best quality that fits is sought instead of `quality`.

    effort, guidance: checked, as for `Codec.encode`; with an effort the job runs alone.
    """

    picture: bytes
    quality: float
    target_bytes: int | None = None
    target_bpp: float | None = None
    strip: bool = False
    effort: int = 0
    guidance: float = 0


@dataclass
class Answer:
    """A result: `body` as `media_type`, the pixel size, the seconds of each stage; of a stream its level and notes."""

    body: bytes
    media_type: str
    width: int
    height: int
    stages: dict[str, float]
    level: float = 0
    notes: list[str] = field(default_factory=list)


class Stages:
    """A clock (see `entropy.Clock`) that adds up the seconds of each stage, and what is left over as "other"."""

    def __init__(self, waited: float) -> None:
        self.seconds: dict[str, float] = defaultdict(float, queue=waited)
        self._start = time.perf_counter() - waited

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to stage `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start

    def finish(self) -> dict[str, float]:
        """Seconds by stage; they sum up to the time since the job was queued."""
        total = time.perf_counter() - self._start
        return {**self.seconds, "other": max(0.0, total - sum(self.seconds.values()))}


class Worker:
    """Does batches of jobs on one codec; called from many threads."""

    def __init__(self, codec: Codec, metrics: Metrics) -> None:
        self._codec = codec
        self._metrics = metrics
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Give up what is being done, at the next tile or step of an effort."""
        self._stopping.set()

    def _go_on(self, _done: int = 0, _total: int = 0) -> None:
        if self._stopping.is_set():
            raise UgicmError("the server is stopping")

    def __call__(self, jobs: Sequence[Job]) -> list[Any]:
        """An `Answer` or an exception per job. All jobs of one batch are of one kind."""
        if len(jobs) == 1:
            return [self._alone(jobs[0])]
        try:
            return self._decode_together(jobs) if isinstance(jobs[0].item, Decode) else self._encode_together(jobs)
        except UgicmError:  # one of them is to blame, which must not hurt the others
            return [self._alone(job) for job in jobs]

    def _alone(self, job: Job) -> Answer | Exception:
        clock = Stages(job.waited)
        try:
            self._go_on()
            answer = (self._decode if isinstance(job.item, Decode) else self._encode)(job.item, clock)
        except Exception as error:
            return error
        self._note(answer, 1)
        return answer

    def _decode(self, item: Decode, clock: Stages) -> Answer:
        picture = self._codec.decode_timed(item.stream, item.preference, clock, item.region, self._go_on)
        return self._picture_answer(picture, item, clock)

    def _encode(self, item: Encode, clock: Stages) -> Answer:
        with clock.stage("picture_file"):
            picture = self._read(item)
            array, boxes = image.visible(picture), picture.metadata.to_boxes()
        if item.target_bytes is None and item.target_bpp is None:
            stream = self._codec.encode_timed(
                array, item.quality, clock, boxes, self._go_on, effort=item.effort, guidance=item.guidance
            )
        else:
            with clock.stage("rate_search"):
                stream = self._codec.encode_to_size(
                    array,
                    item.target_bytes,
                    target_bpp=item.target_bpp,
                    effort=item.effort,
                    guidance=item.guidance,
                    boxes=boxes,
                    progress=self._go_on,
                )
        return self._stream_answer(stream, picture.notes, clock)

    def _decode_together(self, jobs: Sequence[Job]) -> list[Answer]:
        clock = Stages(max(job.waited for job in jobs))
        with clock.stage("codec"):
            preferences = [job.item.preference for job in jobs]
            pictures = self._codec.decode_batch([job.item.stream for job in jobs], preference=preferences)
        answers = [self._picture_answer(picture, job.item, clock) for picture, job in zip(pictures, jobs, strict=True)]
        return self._share(answers, clock)

    def _encode_together(self, jobs: Sequence[Job]) -> list[Answer]:
        clock = Stages(max(job.waited for job in jobs))
        with clock.stage("picture_file"):
            pictures = [self._read(job.item) for job in jobs]
        with clock.stage("codec"):
            streams = self._codec.encode_batch([image.visible(one) for one in pictures], [job.item.quality for job in jobs])
        answers = []
        for plain, picture in zip(streams, pictures, strict=True):
            stream = serialise(replace(self._parse(plain), boxes=picture.metadata.to_boxes()))
            answers.append(self._stream_answer(stream, picture.notes, clock))
        return self._share(answers, clock)

    def _share(self, answers: list[Answer], clock: Stages) -> list[Answer]:
        """Each answer of a batch tells the times of the whole batch: that is what its client waited for."""
        stages = clock.finish()
        for answer in answers:
            answer.stages = stages
            self._note(answer, len(answers))
        return answers

    def _note(self, answer: Answer, batch: int) -> None:
        operation = "encode" if answer.media_type == media.STREAM_TYPE else "decode"
        self._metrics.work(operation, answer.stages, batch)

    def _read(self, item: Encode) -> image.Picture:
        return image.read_picture(item.picture, self._codec.info["max_pixels"], strip=item.strip)

    def _parse(self, stream: bytes) -> Stream:
        return parse(stream, self._codec.info["max_pixels"])

    def _picture_answer(self, picture: np.ndarray, item: Decode, clock: Stages) -> Answer:
        height, width = picture.shape[:2]
        with clock.stage("picture_file"):
            stream = self._parse(item.stream)
            found = metadata.of_stream(stream)
            if item.region is not None:
                found = found.cropped(check_region(item.region, stream.width, stream.height))
            body = encode_image(picture, item.output.upper(), found.stripped() if item.strip else found)
        return Answer(body, media.MEDIA_TYPES[item.output], width, height, clock.finish())

    def _stream_answer(self, stream: bytes, notes: list[str], clock: Stages) -> Answer:
        head = self._parse(stream)
        return Answer(stream, media.STREAM_TYPE, head.width, head.height, clock.finish(), head.level, notes)
