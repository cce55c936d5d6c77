"""The limits of a server, in one frozen dataclass."""

import math
from dataclasses import dataclass, fields

from ..checks import MAX_EFFORT
from ..errors import OptionError

_MOST = {"batch": 64, "batch_wait_ms": 1000.0, "max_effort": MAX_EFFORT}
_MAY_BE_ZERO = ("batch_wait_ms", "max_effort")


@dataclass(frozen=True)
class Settings:
    """How much work a server takes on at once; every field must be positive, `batch_wait_ms` and `max_effort` may be 0."""

    workers: int = 1
    """Threads that code pictures, each in engine calls of its own."""
    queue: int = 64
    """Requests that may wait for a worker; more are refused with 503 and Retry-After."""
    batch: int = 1
    """Pictures of equal size that one engine call may take; 1 turns batching off."""
    batch_wait_ms: float = 3.0
    """How long the first picture of a batch waits for others."""
    max_body: int = 64 << 20
    """Bytes of a request body."""
    max_effort: int = 2
    """Most steps that an encode request may ask for, each about as long as three decodings; 0 allows none."""
    max_requests: int = 256
    """Requests below /v1 in the house, from the first byte in to the last byte out; more are refused with 503."""
    body_timeout: float = 30.0
    """Seconds a client may take to send a body."""
    timeout: float = 60.0
    """Seconds a request may wait for its result."""
    shutdown_timeout: float = 30.0
    """Seconds that running requests are given when the server is told to stop."""

    def __post_init__(self) -> None:
        """Raise `OptionError` for a value out of range."""
        for field in fields(self):
            value = getattr(self, field.name)
            most = _MOST.get(field.name, math.inf)
            if not 0 <= value <= most or (value == 0 and field.name not in _MAY_BE_ZERO):
                least = "a number from 0" if field.name in _MAY_BE_ZERO else "a positive number"
                raise OptionError(f"{field.name} is {value}, expected {least}, at most {most:g}")
