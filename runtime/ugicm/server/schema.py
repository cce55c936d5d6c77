"""What FastAPI cannot read off the routes: raw bodies, binary answers and problem documents, for the OpenAPI page."""

from typing import Any

from . import media
from .problems import MEDIA_TYPE

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}},
    }
}
_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "a sentence fit to show a user"},
        "error": {"type": "string", "description": "the name of the error, for programs"},
    },
}
_REASONS = {
    408: "the body did not come in time",
    413: "body or picture over the limit",
    422: "a parameter, the picture or the stream is not sound",
    503: "too busy; Retry-After says when to come back",
}


def _problems(**more: str) -> dict[int | str, dict[str, Any]]:
    reasons = _REASONS | {int(status[1:]): reason for status, reason in more.items()}
    content = {MEDIA_TYPE: {"schema": _PROBLEM}}
    return {status: {"description": reason, "content": content} for status, reason in sorted(reasons.items())}


def _takes(*types: str) -> dict[str, Any]:
    content = {name: _BINARY for name in types} | {"multipart/form-data": _FORM}
    return {"requestBody": {"required": True, "content": content}}


ENCODE: dict[str, Any] = {
    "tags": ["pictures"],
    "openapi_extra": _takes("image/*"),
    "responses": {200: {"description": "the stream", "content": {media.STREAM_TYPE: _BINARY}}, **_problems()},
}
DECODE: dict[str, Any] = {
    "tags": ["pictures"],
    "openapi_extra": _takes(media.STREAM_TYPE),
    "responses": {
        200: {"description": "the picture", "content": {name: _BINARY for name in media.MEDIA_TYPES.values()}},
        **_problems(
            _406="none of the formats is acceptable",
            _409="the stream belongs to another model",
            _415="the body is no .ugic stream",
        ),
    },
}
HEALTH: dict[str, Any] = {"responses": {503: {"description": "no", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}}}
METRICS: dict[str, Any] = {"responses": {200: {"description": "metrics", "content": {"text/plain": {}}}}}
