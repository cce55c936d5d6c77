"""Mutated streams and requests against `POST /v1/decode`, in process: only 200 and 4xx may come back, and no worker may die.

    python tests/runtime/server/fuzz_decode.py --seconds 1800

Case n of a seed is always the same bytes, so `--case n` shows a finding again. The result is a line of JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import tiny_bundle
from server_helpers import Client
from ugicm import Codec
from ugicm.bitstream import MAGIC, Box, band_count, parse, serialise
from ugicm.errors import StreamError
from ugicm.metadata import Metadata
from ugicm.server import Settings, create_app
from ugicm_coder import crc32c

SIZES = ((1, 1), (64, 64), (70, 133), (130, 40), (600, 30))
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
FIELDS = ((8, 1), (9, 1), (10, 1), (11, 1), (12, 8), (20, 4), (24, 4), (28, 4), (32, 4), (36, 4), (40, 4))
TEXTS = ("", "0", "-1", "nan", "1e999", "0.5", "human", "machine", "png", "npy", "jpeg", "webp", "0,0,9,9", "9" * 99, "\0", "é", "%", "*/*")
NAMES = ("view", "preference", "region", "format", "other")


class Case(NamedTuple):
    """A request: body, query parameters, headers."""

    body: bytes
    query: dict[str, str]
    headers: dict[str, bytes]


def seeds(codec: Codec) -> list[bytes]:
    """Sound streams of several shapes, one with boxes."""
    random = np.random.default_rng(0)
    found = []
    for height, width in SIZES:
        y, x = np.mgrid[0:height, 0:width]
        smooth = np.stack([x, y, x + y], axis=2) % 256
        noisy = random.integers(0, 256, (height, width, 3))
        found += [codec.encode(kind.astype(np.uint8), int(random.integers(0, 101))) for kind in (smooth, noisy)]
    alpha = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
    found.append(codec.encode(np.zeros((20, 30, 3), np.uint8), boxes=Metadata(bytes(99), bytes(50), b"<x/>", alpha).to_boxes()))
    found.append(codec.encode(np.zeros((20, 30, 3), np.uint8), boxes=[Box("note", b"hello"), Box("xxxx", bytes(300))]))
    return found


def make(number: int, corpus: list[bytes], seed: int = 0) -> Case:
    """Case `number` of a seed."""
    random = np.random.default_rng([seed, number])
    body = bytearray(corpus[random.integers(len(corpus))])
    for _ in range(random.integers(0, 5)):
        body = _MUTATIONS[random.integers(len(_MUTATIONS))](body, random, corpus)
    if random.random() < 0.6:
        body = _repair(body)
    query: dict[str, str] = {"format": "npy"} if random.random() < 0.7 else {}
    headers: dict[str, bytes] = {}
    if random.random() < 0.3:
        query = {NAMES[random.integers(len(NAMES))]: TEXTS[random.integers(len(TEXTS))] for _ in range(random.integers(3))}
    if random.random() < 0.15:
        value = random.bytes(random.integers(1, 30)).translate(None, b"\r\n\0")
        headers[("accept", "content-type", "x-request-id")[random.integers(3)]] = value
    if random.random() < 0.1:
        body, headers["content-type"] = _form(body, random), b"multipart/form-data; boundary=b"
    return Case(bytes(body), query, headers)


def _flip(body, random, _):
    for _ in range(random.integers(1, 9)):
        if body:
            body[random.integers(len(body))] ^= 1 << random.integers(8)
    return body


def _overwrite(body, random, _):
    """Some bytes replaced by more, fewer or none."""
    start = random.integers(0, len(body) + 1)
    body[start : start + random.integers(1, 20)] = random.bytes(random.integers(0, 20))
    return body


def _header(body, random, _):
    """An edge value in one of the header's fields (see docs/bitstream.md)."""
    start, size = FIELDS[random.integers(len(FIELDS))]
    value = EDGES[random.integers(len(EDGES))] if random.random() < 0.5 else int(random.integers(0, 200))
    if len(body) >= start + size:
        body[start : start + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    return body


def _cut(body, random, _):
    return body[: random.integers(0, len(body) + 1)]


def _extend(body, random, _):
    return body + random.bytes(random.integers(1, 100))


def _repeat(body, random, _):
    start, end = sorted(random.integers(0, len(body) + 1, 2))
    return body[:end] + body[start:end] + body[end:]


def _splice(body, random, corpus):
    other = corpus[random.integers(len(corpus))]
    return body[: random.integers(0, len(body) + 1)] + bytearray(other[random.integers(0, len(other)) :])


def _forge(body, random, _):
    """Other symbols behind sound checksums, so that the entropy decoder meets garbage."""
    try:
        stream = parse(body)
    except StreamError:
        return body
    parts = [bytearray(part) for part in (stream.z, *stream.bands, *(box.payload for box in stream.boxes))]
    for _ in range(random.integers(1, 4)):
        part = parts[random.integers(len(parts))]
        if part:
            part[random.integers(len(part))] = random.integers(256)
        if random.random() < 0.3:
            del part[random.integers(0, len(part) + 1) :]
    level = int(random.integers(0, 64))
    count = 1 + len(stream.bands)
    z, *bands = map(bytes, parts[:count])
    boxes = tuple(Box(box.type, bytes(part)) for box, part in zip(stream.boxes, parts[count:], strict=True))
    return bytearray(serialise(replace(stream, level=level, z=z, bands=tuple(bands), boxes=boxes)))


_MUTATIONS = (_flip, _overwrite, _header, _header, _cut, _extend, _repeat, _splice, _forge, _forge)


def _repair(body):
    """Make the header's check right again where the band table can be found, so that later checks are reached."""
    if len(body) < 40 or not body.startswith(MAGIC):
        return body
    end = 36 + 8 * band_count(int.from_bytes(body[24:28], "little"), max(1, body[11]))
    if end + 4 <= len(body):
        body[end : end + 4] = crc32c(bytes(body[:end])).to_bytes(4, "little")
    return body


def _form(body, random):
    """The body as the file of a form, which may be damaged too."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    form = bytearray(head + bytes(body) + b"\r\n--b--\r\n")
    return _flip(form, random, None) if random.random() < 0.5 else form


def run(seconds: float, seed: int, first: int = 0, most: int | None = None) -> dict:
    """Ask until the time is up; raises `AssertionError` at the first finding."""
    with tempfile.TemporaryDirectory() as folder:
        codec = Codec.open(tiny_bundle.make(Path(folder) / "tiny"), threads=1, max_pixels=1 << 20)
        corpus = seeds(codec)
        client = Client(create_app(codec, Settings(workers=1, max_body=1 << 20)))
        counts: Counter[str] = Counter()
        number, start = first, time.monotonic()
        while time.monotonic() - start < seconds and (most is None or number - first < most):
            case = make(number, corpus, seed)
            answer = client.post("/v1/decode", case.body, params=case.query, headers=case.headers)
            key = f"{answer.status_code}" if answer.is_success else f"{answer.status_code} {answer.json()['error']}"
            assert answer.status_code == 200 or 400 <= answer.status_code < 500, f"case {number} of seed {seed}: {answer.text}"
            counts[key] += 1
            number += 1
        alive = client.get("/healthz").status_code == 200 and client.post("/v1/decode", corpus[0]).status_code == 200
        assert alive, f"the server no longer works after case {number - 1} of seed {seed}"
        client.close()
    taken = round(time.monotonic() - start, 1)
    return {"requests": number - first, "seconds": taken, "seed": seed, "answers": dict(sorted(counts.items()))}


def main() -> int:
    """Run as told and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run this case only")
    options = parser.parse_args()
    first, most = (0, None) if options.case is None else (options.case, 1)
    print(json.dumps(run(options.seconds, options.seed, first, most)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
