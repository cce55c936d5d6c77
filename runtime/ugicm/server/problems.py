"""Errors as `application/problem+json` (RFC 9457): each carries a sentence fit to show a user.

Whatever a client sends ends in 4xx; 5xx is kept for what is the server's own fault or state.
"""

import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ..errors import (
    BundleError,
    EngineError,
    NotAStreamError,
    TooLargeError,
    UgicmError,
    WrongModelError,
)

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499  # nobody reads it; logs and metrics do
_STATUS: dict[type[UgicmError], int] = {
    NotAStreamError: 415,
    WrongModelError: 409,
    TooLargeError: 413,
    BundleError: 500,
    EngineError: 500,
}
_WRONG_MODEL = "the stream was made with another model than the one this server has open; compare GET /v1/info"


class Problem(Exception):
    """An answer other than the one that was asked for."""

    def __init__(self, status: int, detail: str, kind: str, retry_after: float | None = None) -> None:
        """`kind` names the error to programs; `retry_after` is in seconds."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.retry_after = retry_after

    def response(self) -> JSONResponse:
        """The answer to send."""
        headers = {} if self.retry_after is None else {"Retry-After": str(max(1, math.ceil(self.retry_after)))}
        content = {"type": "about:blank", "title": _title(self.status), "status": self.status}
        content |= {"detail": self.detail, "error": self.kind}
        return JSONResponse(content, self.status, headers, MEDIA_TYPE)


def of_error(error: Exception) -> Problem:
    """The problem that an error of the codec, or any other, amounts to."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, MemoryError):
        return Problem(503, "the server is short of memory; try again later", "MemoryError", retry_after=10)
    if not isinstance(error, UgicmError):
        return Problem(500, "the server failed; its log tells why", "InternalError")
    kind = type(error).__name__
    status = next((_STATUS[base] for base in type(error).__mro__ if base in _STATUS), 422)
    if status == 500:
        return Problem(500, "the model of this server failed; its log tells why", kind)
    return Problem(status, _WRONG_MODEL if isinstance(error, WrongModelError) else str(error), kind)


def add_handlers(app: FastAPI) -> None:
    """Make every error that reaches the framework a problem document."""

    def note(request: Request, problem: Problem, cause: Exception) -> JSONResponse:
        request.scope["ugicm.problem"] = problem
        if problem.status == 500:
            request.scope["ugicm.cause"] = cause
        return problem.response()

    @app.exception_handler(Problem)
    @app.exception_handler(UgicmError)
    @app.exception_handler(MemoryError)
    async def codec_error(request: Request, error: Exception) -> JSONResponse:
        return note(request, of_error(error), error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return note(request, Problem(422, "; ".join(map(_sentence, error.errors())), "OptionError"), error)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        response = note(request, Problem(error.status_code, _refusal(error, request), "HttpError"), error)
        response.headers.update(error.headers or {})
        return response


def _refusal(error: HTTPException, request: Request) -> str:
    what = {404: "there is nothing", 405: f"{request.method} is not possible"}.get(error.status_code, error.detail)
    return f"{what} at {request.url.path}; /docs lists what there is"


def _sentence(error: dict[str, Any]) -> str:
    """One finding of the parameter check, for people: "query parameter quality is 'x': input should be ..."."""
    place, *names = (str(part) for part in error["loc"])
    message = error["msg"][:1].lower() + error["msg"][1:]
    return f"{place} parameter {'.'.join(names)} is {_short(error.get('input'))}: {message}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _title(status: int) -> str:
    return "Client Closed Request" if status == CLIENT_GONE else HTTPStatus(status).phrase
