"""`ugicm serve`: `Codec` behind HTTP. `create_app(codec, settings)` is the ASGI application, `serve` runs it.

A request passes these modules in order:

    middleware  request id, count of requests in the house, metrics, one log line
    body        the body or the form, within its limits
    app         routes, their parameters and answers
    work        what a request asks of the codec, and how a worker does it
    pool        bounded queue, micro-batches, worker threads
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import create_app as create_app
    from .run import serve as serve
    from .settings import Settings as Settings

__all__ = ["Settings", "create_app", "serve"]

_HOMES = {"Settings": ".settings", "create_app": ".app", "serve": ".run"}


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command line can read `Settings` without FastAPI."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ugicm.server' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
