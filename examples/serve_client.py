"""Send a photo to a running `ugicm serve`, keep the stream, and fetch both views of a region. Needs nothing but Python.

    ugicm serve &
    python examples/serve_client.py examples/kodim23.png --region 300,100,256,256
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

TRIES = 5


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, Message]:
    """Body and headers of the answer; waits and tries again when the server is too busy. Raises `RuntimeError`."""
    for _ in range(TRIES):
        request = urllib.request.Request(url, body, {"Content-Type": "application/octet-stream", **headers})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            if error.code != 503:
                raise RuntimeError(problem["detail"]) from error
            time.sleep(float(error.headers["Retry-After"]))
        except urllib.error.URLError as error:
            raise RuntimeError(f"{url} cannot be reached ({error.reason}); is `ugicm serve` running?") from error
    raise RuntimeError(f"the server was too busy {TRIES} times in a row")


def run(server: str, photo: Path, out: Path, max_bytes: int, region: str | None) -> None:
    """Encode `photo` into at most `max_bytes`, then write the stream and two views of `region` below `out`."""
    out.mkdir(parents=True, exist_ok=True)
    stream, facts = post(f"{server}/v1/encode", photo.read_bytes(), {"X-Target-Bytes": str(max_bytes)})
    (out / f"{photo.stem}.ugic").write_bytes(stream)
    size = f"{facts['X-Ugicm-Width']}x{facts['X-Ugicm-Height']}"
    print(f"{photo.name}: {size}, {len(stream):,} bytes, {facts['X-Ugicm-Bpp']} bpp at quality {facts['X-Ugicm-Quality']}")
    for view in ("human", "machine"):
        query = f"view={view}" + (f"&region={region}" if region else "")
        picture, facts = post(f"{server}/v1/decode?{query}", stream, {"Accept": "image/png"})
        target = out / f"{photo.stem}-{view}.png"
        target.write_bytes(picture)
        print(f"{target}: {facts['X-Ugicm-Width']}x{facts['X-Ugicm-Height']}, times in ms: {facts['Server-Timing']}")


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, help="any picture file that Pillow reads")
    parser.add_argument("--server", default="http://127.0.0.1:8000", help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("serve_output"), help="folder to write to")
    parser.add_argument("--max-bytes", type=int, default=20_000, help="largest stream (default: %(default)s)")
    parser.add_argument("--region", metavar="X,Y,WIDTH,HEIGHT", help="decode only this part")
    options = parser.parse_args()
    try:
        run(options.server.rstrip("/"), options.photo, options.out, options.max_bytes, options.region)
    except (RuntimeError, OSError) as error:
        print(f"serve_client: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
