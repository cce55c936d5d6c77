"""Run the application with uvicorn on a socket of our own, until a signal ends it."""

import logging.config
import socket

import uvicorn

from ..codec import Codec
from ..errors import OptionError
from ..signals import ending_signals_raise
from . import logs
from .app import create_app, warm_up
from .settings import Settings

_BACKLOG = 2048


def serve(codec: Codec, settings: Settings, host: str = "127.0.0.1", port: int = 8000, *, quiet: bool = False) -> int:
    """Listen until SIGTERM or SIGINT, let running requests finish, and return the exit code 0.

    port: 0 takes a free one, which the log tells. quiet: no log line per request.
    Raises `OptionError` if the address cannot be had, `EngineError` if the engines do not run, and
    `TooLargeError` if the codec's limit on pixels admits no picture.
    """
    warm_up(codec)  # the application does this too, but what uvicorn tells of an error there is a traceback
    listener = _listen(host, port)
    log_config = logs.config(quiet)
    logging.config.dictConfig(log_config)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(codec, settings),
            log_config=log_config,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=round(settings.shutdown_timeout),
        )
    )
    address, bound = listener.getsockname()[:2]
    logs.event("listening", url=f"http://{f'[{address}]' if ':' in address else address}:{bound}/", workers=settings.workers)
    try:
        with ending_signals_raise("SIGTERM"):
            server.run(sockets=[listener])
    except (KeyboardInterrupt, SystemExit):
        # uvicorn raises the signal that stopped it once more when all is done; to be told to stop is no failure.
        if not server.started:
            raise
    finally:
        listener.close()
    logs.event("stopped")
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"cannot listen on {host}:{port} ({reason}); choose another --host or --port") from error
