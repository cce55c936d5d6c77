"""A short run of `fuzz_decode`; UGICM_FUZZ_SECONDS makes it longer."""

import io
import os

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
import fuzz_decode
import numpy as np
from PIL import Image


def test_decoding_survives_mutated_requests():
    found = fuzz_decode.run(float(os.environ.get("UGICM_FUZZ_SECONDS", "4")), seed=1, most=None)
    answers = found["answers"]
    assert found["requests"] > 20
    assert {"200", "422 CorruptStreamError", "422 TruncatedStreamError"} <= set(answers), answers


def test_cases_are_reproducible(codec):
    corpus = fuzz_decode.seeds(codec)
    assert [fuzz_decode.make(n, corpus) for n in range(50)] == [fuzz_decode.make(n, corpus) for n in range(50)]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "TGA", "PPM"])
def test_encoding_survives_damaged_files(client, picture, kind):
    buffer = io.BytesIO()
    Image.fromarray(picture[:40, :50]).save(buffer, kind)
    sound = buffer.getvalue()
    assert client.post("/v1/encode", sound).status_code == 200
    random = np.random.default_rng(len(sound))
    for _ in range(25):
        damaged = bytearray(sound[: random.integers(1, len(sound) + 1)] if random.random() < 0.3 else sound)
        for position in random.integers(0, min(len(damaged), 400), random.integers(1, 6)):
            damaged[position] = random.integers(256)
        answer = client.post("/v1/encode", bytes(damaged))
        assert answer.status_code in (200, 413, 422), answer.text
