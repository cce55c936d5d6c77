"""What an answer may be written as, and which of these a client accepts."""

from .problems import Problem

STREAM_TYPE = "image/x-ugic"
MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "npy": "application/x-npy"}


def choose(wanted: str | None, accept: str | None) -> str:
    """A key of `MEDIA_TYPES`: the `format` parameter if given, else the best that `Accept` allows (RFC 9110, 12.5.1).

    Among equals the earlier in `MEDIA_TYPES` wins, so no header, or */*, means PNG. Raises `Problem` (406).
    """
    if wanted is not None:
        return wanted
    ranges = _ranges(accept or "*/*")
    weights = {name: _weight(media, ranges) for name, media in MEDIA_TYPES.items()}
    best = max(weights, key=lambda name: weights[name])
    if weights[best] <= 0:
        known = ", ".join(MEDIA_TYPES.values())
        raise Problem(406, f"Accept is {accept!r}, but a view can only be had as {known}", "NotAcceptable")
    return best


def _ranges(accept: str) -> dict[str, float]:
    """Media ranges of an Accept header with their weights; what cannot be read counts as absent."""
    ranges = {}
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            ranges[media] = float(weight)
        except ValueError:
            continue
    return ranges


def _weight(media: str, ranges: dict[str, float]) -> float:
    """The weight of the most specific range that covers `media`, 0 if none does."""
    for name in (media, media.partition("/")[0] + "/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0
