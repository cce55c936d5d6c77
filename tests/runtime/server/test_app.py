"""Routes, parameters and answers, in process."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("prometheus_client")
from server_helpers import Client, problem
from ugicm import Codec
from ugicm.bitstream import parse
from ugicm.errors import EngineError
from ugicm.server import Settings, create_app


def pixels(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_encode_gives_the_stream_of_the_codec(client, codec, picture, png):
    answer = client.post("/v1/encode?quality=70", png)
    assert answer.status_code == 200
    assert answer.content == codec.encode(picture, 70)
    assert answer.headers["content-type"] == "image/x-ugic"
    assert (answer.headers["x-ugicm-width"], answer.headers["x-ugicm-height"]) == ("133", "70")
    assert float(answer.headers["x-ugicm-bpp"]) == pytest.approx(8 * len(answer.content) / (133 * 70), abs=1e-4)
    assert {part.split(";")[0] for part in answer.headers["server-timing"].split(", ")} >= {"queue", "engine", "other"}


def test_form_and_raw_body_mean_the_same(client, png, stream, codec, picture):
    form = client.post("/v1/encode", files={"file": ("a.png", png, "image/png")})
    assert form.content == codec.encode(picture, 50) == client.post("/v1/encode", png).content
    assert client.post("/v1/decode", files={"file": stream}).content == client.post("/v1/decode", stream).content


@pytest.mark.parametrize(
    ("query", "options"),
    [("", {}), ("?view=human", {}), ("?view=machine", {"view": "machine"}), ("?preference=0.25", {"preference": 0.25})],
)
def test_decode_gives_the_view_of_the_codec(client, codec, stream, query, options):
    assert np.array_equal(pixels(client.post("/v1/decode" + query, stream)), codec.decode(stream, **options))


def test_region_is_the_crop(client, codec, stream):
    part = pixels(client.post("/v1/decode?region=10,20,64,33", stream))
    assert part.shape == (33, 64, 3)
    whole = codec.decode(stream)[20:53, 10:74]
    assert np.abs(part.astype(int) - whole).max() <= 1


@pytest.mark.parametrize("region", ["0,0,0,5", "100,0,34,5", "0,0,133,71", "1,2,3", "a,b,c,d", "-1,0,5,5", "1.5,0,5,5"])
def test_region_outside_is_refused(client, stream, region):
    assert "region" in problem(client.post("/v1/decode", stream, params={"region": region}), 422, "OptionError")


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "image/png"),
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("image/webp", "image/webp"),
        ("image/png;q=0.2, image/jpeg", "image/jpeg"),
        ("text/html, application/x-npy;q=0.1", "application/x-npy"),
        ("image/png;q=0, image/*", "image/jpeg"),
    ],
)
def test_accept_is_honoured(client, stream, accept, media):
    answer = client.post("/v1/decode", stream, headers={} if accept is None else {"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)


def test_format_wins_over_accept(client, codec, stream):
    answer = client.post("/v1/decode?format=npy", stream, headers={"Accept": "image/png"})
    assert np.array_equal(np.load(io.BytesIO(answer.content)), codec.decode(stream))
    problem(client.post("/v1/decode", stream, headers={"Accept": "text/*"}), 406, "NotAcceptable")


def test_lossless_formats_agree(client, codec, stream):
    for name in ("png", "webp"):
        assert np.array_equal(pixels(client.post(f"/v1/decode?format={name}", stream)), codec.decode(stream))


def test_targets(client, png, codec, picture):
    limit = (len(codec.encode(picture, 0)) + len(codec.encode(picture, 100))) // 2
    answer = client.post("/v1/encode", png, headers={"X-Target-Bytes": str(limit)})
    assert answer.status_code == 200
    assert 0.9 * limit < len(answer.content) <= limit
    assert parse(answer.content).level < 63
    bpp = 8 * limit / (133 * 70)
    assert client.post("/v1/encode", png, headers={"X-Target-Bpp": str(bpp)}).content == answer.content
    problem(client.post("/v1/encode", png, headers={"X-Target-Bytes": "5"}), 422, "OptionError")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/encode?quality=101", {}),
        ("/v1/encode?quality=nan", {}),
        ("/v1/encode?quality=good", {}),
        ("/v1/encode?quality=5", {"X-Target-Bpp": "1"}),
        ("/v1/encode", {"X-Target-Bpp": "-1"}),
        ("/v1/encode", {"X-Target-Bytes": "many"}),
        ("/v1/encode", {"X-Target-Bytes": "9" * 400}),
        ("/v1/encode", {"X-Target-Bpp": "inf"}),
    ],
)
def test_wrong_options_of_encode(client, png, path, headers):
    problem(client.post(path, png, headers=headers), 422, "OptionError")


@pytest.mark.parametrize("query", ["view=both", "preference=2", "preference=nan", "preference=0&view=human", "format=bmp"])
def test_wrong_options_of_decode(client, stream, query):
    problem(client.post("/v1/decode?" + query, stream), 422, "OptionError")


def test_bad_bodies(client, png, stream, other_bundle_path):
    from ugicm import Codec

    problem(client.post("/v1/decode", b""), 422, "BodyError")
    problem(client.post("/v1/decode", png), 415, "NotAStreamError")
    problem(client.post("/v1/decode", stream[:100]), 422, "TruncatedStreamError")
    problem(client.post("/v1/decode", stream[:-1] + b"x"), 422, "CorruptStreamError")
    problem(client.post("/v1/encode", b"no picture"), 422, "ImageError")
    problem(client.post("/v1/encode", png[:200]), 422, "ImageError")
    foreign = Codec.open(other_bundle_path, threads=1).encode(np.zeros((9, 9, 3), np.uint8))
    sentence = problem(client.post("/v1/decode", foreign), 409, "WrongModelError")
    assert "bundle" not in sentence  # the folders of a server are nobody's business


def test_bad_forms(client, png):
    problem(client.post("/v1/encode", files={"picture": png}), 422, "BodyError")
    problem(client.post("/v1/encode", files={"file": png}, data={"quality": "5"}), 422, "BodyError")
    problem(client.post("/v1/encode", files=[("file", png), ("file", png)]), 422, "BodyError")
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; boundary=\xe9"):
        problem(client.post("/v1/encode", b"\r\n--y", headers={"Content-Type": kind.encode("latin-1")}), 422, "BodyError")


def test_unknown_places_and_methods(client):
    problem(client.get("/nowhere"), 404, "HttpError")
    answer = client.get("/v1/encode")
    problem(answer, 405, "HttpError")
    assert answer.headers["allow"] == "POST"


def rgba_png():
    y, x = np.mgrid[0:70, 0:133]
    pixels = np.stack([x, y, x + y, np.minimum(2 * x, 255)], axis=2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    return pixels, buffer.getvalue()


@pytest.mark.parametrize("batch", [1, 2])
def test_alpha_and_metadata_travel(serving, batch):
    client = serving(workers=1, batch=batch, batch_wait_ms=500)
    source, png = rgba_png()
    posts = [client.start_post("/v1/encode", png) for _ in range(batch)]
    stream = [post.result(30).content for post in posts][-1]
    whole = client.post("/v1/decode", stream)
    assert np.array_equal(pixels(whole)[..., 3], source[..., 3])
    assert Image.open(io.BytesIO(whole.content)).getexif()[0x010F] == "a camera"
    part = client.post("/v1/decode?region=3,4,50,60&format=webp&strip=true", stream)
    assert np.array_equal(pixels(part)[..., 3], source[4:64, 3:53, 3])
    assert 0x010F not in Image.open(io.BytesIO(part.content)).getexif()
    bare = client.post("/v1/encode?strip=true", png).content
    assert len(bare) < len(stream)
    assert 0x010F not in Image.open(io.BytesIO(client.post("/v1/decode", bare).content)).getexif()


def test_notes_reach_the_client(client):
    buffer = io.BytesIO()
    Image.new("CMYK", (20, 10)).save(buffer, "JPEG")
    assert "CMYK" in client.post("/v1/encode", buffer.getvalue()).headers["x-ugicm-notes"]


def test_info_tells_model_and_limits(serving, codec):
    facts = serving(queue=7).get("/v1/info").json()
    assert facts["model"]["fingerprint"] == codec.info["fingerprint"]
    assert facts["limits"]["queue"] == 7
    assert "path" not in facts["model"]


def test_openapi_describes_bodies_and_answers(client):
    api = client.get("/openapi.json").json()
    decode = api["paths"]["/v1/decode"]["post"]
    assert set(decode["requestBody"]["content"]) == {"image/x-ugic", "multipart/form-data"}
    assert set(decode["responses"]["200"]["content"]) >= {"image/png", "application/x-npy"}
    assert {one["name"] for one in decode["parameters"]} == {"view", "preference", "region", "format", "strip"}


def test_request_id_is_kept_or_made(client):
    assert client.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = client.get("/healthz", headers={"X-Request-Id": "a\tb"}).headers["x-request-id"]
    assert len(made) == 32


@pytest.mark.parametrize(("max_pixels", "size"), [(1 << 20, (512, 768)), (1 << 14, (64, 64))])
def test_engines_have_run_before_the_server_is_ready(serving, bundle_path, monkeypatch, max_pixels, size):
    codec, seen = Codec.open(bundle_path, threads=1, max_pixels=max_pixels), []
    load = codec._engines.load

    def watched(name):
        engine = load(name)

        def run(feeds, **options):
            seen.append((name, app.state.service.ready))
            return engine.run(feeds, **options)

        return SimpleNamespace(run=run)

    monkeypatch.setattr(codec._engines, "load", watched)
    coded = []
    monkeypatch.setattr(codec, "encode", lambda image: coded.append(image.shape[:2]) or Codec.encode(codec, image))
    app = create_app(codec, Settings())
    client = Client(app)
    try:
        assert client.get("/readyz").status_code == 200
    finally:
        client.close()
    assert seen == [("encoder.onnx", False), ("decoder.onnx", False)]
    assert coded == [size]


def test_a_server_whose_engines_do_not_run_does_not_start(codec):
    class Broken:
        info = codec.info

        def warm_up(self, *size):
            raise EngineError("decoder.onnx failed: no such device")

    with pytest.raises(EngineError, match="no such device"):
        Client(create_app(Broken(), Settings()))
