"""Encoding with an effort over HTTP: the stream of the codec, and what is refused before any work."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("prometheus_client")
from server_helpers import problem
from shipped import EXAMPLE, needs_model
from ugicm import Codec, OptionError
from ugicm.bundle import DEFAULT_PATH
from ugicm.server import Settings


@pytest.fixture(scope="module")
def shipped():
    return Codec.open(DEFAULT_PATH, threads=1)


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.open(EXAMPLE).convert("RGB"))[:128, 200:392]


@pytest.fixture(scope="module")
def photo_png(photo):
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    return buffer.getvalue()


@needs_model
def test_a_request_takes_an_effort(serving, shipped, photo, photo_png):
    client = serving(shipped, batch=4)
    for options in ({"effort": 1}, {"effort": 2, "guidance": 0.5}):
        answer = client.post("/v1/encode", photo_png, params={"quality": 60, **options})
        assert answer.status_code == 200, answer.text
        assert answer.content == shipped.encode(photo, 60, **options)
    assert answer.content != client.post("/v1/encode?quality=60", photo_png).content
    target = client.post("/v1/encode?effort=1", photo_png, headers={"X-Target-Bytes": "2000"})
    assert target.content == shipped.encode_to_size(photo, 2000, effort=1)


@needs_model
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"effort": 3}, "effort is 3, this server takes 0..2"),
        ({"effort": -1}, "effort"),
        ({"effort": "much"}, "effort"),
        ({"guidance": 0.5}, "give an effort too"),
        ({"effort": 1, "guidance": 2}, "guidance"),
        ({"effort": 1, "guidance": "nan"}, "guidance"),
    ],
)
def test_what_makes_no_sense_is_refused(serving, shipped, photo_png, options, words):
    assert words in problem(serving(shipped).post("/v1/encode", photo_png, params=options), 422, "OptionError")


@needs_model
def test_the_operator_sets_the_most(serving, shipped, photo, photo_png):
    client = serving(shipped, max_effort=4)
    assert client.post("/v1/encode?effort=4", photo_png).content == shipped.encode(photo, effort=4)
    assert client.get("/v1/info").json()["limits"]["max_effort"] == 4
    none = serving(shipped, max_effort=0)
    assert "this server or its model takes none" in problem(none.post("/v1/encode?effort=1", photo_png), 422, "OptionError")
    with pytest.raises(OptionError, match="max_effort is 17, expected a number from 0, at most 16"):
        Settings(max_effort=17)


def test_a_model_without_refiner_takes_none(client, png):
    assert "this server or its model takes none" in problem(client.post("/v1/encode?effort=1", png), 422, "OptionError")
