"""The body of a request, within its limits: raw, or the one file of a multipart form; and the size its head tells."""

import asyncio
from collections.abc import AsyncGenerator

import anyio.to_thread
from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from ..image import picture_size
from .problems import CLIENT_GONE, Problem
from .settings import Settings

_MAX_FIELDS = 8


async def read(request: Request, settings: Settings, what: str) -> bytes:
    """The bytes a client sent as the whole body, or as the field `file` of a form; `what` names them in messages.

    Raises `Problem`: 413 as soon as the body is known to be too long, 408 if it does not come in time, 422 if empty.
    """
    limit = settings.max_body
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_long(f"is {int(length):,} bytes long", limit)
    is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"
    try:
        chunks = _limited(request, limit)
        coming = _file_of_form(request, chunks) if is_form else _join(chunks)
        data = await asyncio.wait_for(coming, settings.body_timeout)
    except asyncio.TimeoutError as error:
        detail = f"the body did not come within {settings.body_timeout:g} s; send it again"
        raise Problem(408, detail, "BodyTimeout") from error
    except ClientDisconnect as error:
        raise Problem(CLIENT_GONE, "the client left while it was sending", "ClientGone") from error
    if not data:
        raise Problem(422, f"the body is empty, expected {what}", "BodyError")
    return data


async def file_size(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Width and height that the head of a picture file tells, within the limit; raises `ImageError`, `TooLargeError`."""
    return await anyio.to_thread.run_sync(picture_size, data, max_pixels)


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise _too_long("is longer", limit)
        yield chunk


async def _join(chunks: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def _file_of_form(request: Request, chunks: AsyncGenerator[bytes, None]) -> bytes:
    """The content of the field `file` of a form that has nothing else."""
    try:
        form = await MultiPartParser(request.headers, chunks, max_files=1, max_fields=_MAX_FIELDS).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        reason = getattr(error, "message", error)
        detail = f"the form cannot be read ({reason}); send the bytes as the body instead"
        raise Problem(422, detail, "BodyError") from error
    try:
        return await _only_file(form)
    finally:
        await form.close()


async def _only_file(form: FormData) -> bytes:
    others = sorted(name for name in form if name != "file")
    if others:
        detail = f"the form has fields {', '.join(others)}, expected only 'file'; options go into the URL"
        raise Problem(422, detail, "BodyError")
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Problem(422, "the form has no file named 'file'; in curl: -F file=@NAME", "BodyError")
    return await file.read()


def _too_long(is_what: str, limit: int) -> Problem:
    return Problem(413, f"the body {is_what}, over the limit of {limit:,} bytes of this server", "BodyTooLarge")
