"""Logs as JSON, one object per line on standard error; the loggers of uvicorn write the same way."""

import json
import logging
from datetime import datetime, timezone
from typing import Any

_logger = logging.getLogger("ugicm.server")
_request_logger = logging.getLogger("ugicm.server.request")
_FACTS = "ugicm_facts"


class JsonFormatter(logging.Formatter):
    """A record as one line: time (UTC), level, event, and the facts that came with it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, _FACTS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def config(quiet: bool) -> dict[str, Any]:
    """For `logging.config.dictConfig`. quiet: no line for a request, unless the server failed.

    The access log of uvicorn stays silent, `request` writes a richer line.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "loggers": {
            "ugicm.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "ugicm.server.request": {"level": "WARNING" if quiet else "INFO"},
            "python_multipart": {"level": "ERROR"},  # a damaged form is told to its client, once
            "uvicorn.error": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        },
    }


def event(name: str, **facts: Any) -> None:
    """Something that happened to the server."""
    _logger.info(name, extra={_FACTS: facts})


def request(cause: Exception | None, **facts: Any) -> None:
    """One answered request: an error if the server failed (with the traceback of `cause`), else information."""
    level = logging.ERROR if facts["status"] == 500 or cause else logging.INFO
    _request_logger.log(level, "request", exc_info=cause, extra={_FACTS: facts})
