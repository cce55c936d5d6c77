"""The two pages of the server. Each is one file that loads nothing from elsewhere, which its policy also forbids."""

import base64
import hashlib
import re
from pathlib import Path

from fastapi import FastAPI, Response

_FOLDER = Path(__file__).parent
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def add(app: FastAPI) -> None:
    """Serve `page.html` at / and `reference.html`, which shows /openapi.json, at /docs."""
    for path, name in (("/", "page.html"), ("/docs", "reference.html")):
        app.add_api_route(path, _page(name), include_in_schema=False)


def _page(name: str):
    text = (_FOLDER / name).read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _policy(text), "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}

    async def show() -> Response:
        return Response(text, media_type="text/html; charset=utf-8", headers=headers)

    return show


def _policy(text: str) -> str:
    """Only the styles and scripts of this very file, requests to this server, and pictures the page made itself."""
    digests: dict[str, list[str]] = {"script": [], "style": []}
    for kind, content in _INLINE.findall(text):
        digests[kind].append(f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'")
    sources = {kind: " ".join(values) for kind, values in digests.items()}
    return (
        f"default-src 'none'; script-src {sources['script']}; style-src {sources['style']}; connect-src 'self'; "
        "img-src blob: data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    )
