"""A short run of `fuzz_decode`; UGICM_FUZZ_SECONDS makes it longer."""

import os

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
import fuzz_decode


def test_decoding_survives_mutated_requests():
    found = fuzz_decode.run(float(os.environ.get("UGICM_FUZZ_SECONDS", "4")), seed=1, most=None)
    answers = found["answers"]
    assert found["requests"] > 20
    assert {"200", "422 CorruptStreamError", "422 TruncatedStreamError"} <= set(answers), answers


def test_cases_are_reproducible(codec):
    corpus = fuzz_decode.seeds(codec)
    assert [fuzz_decode.make(n, corpus) for n in range(50)] == [fuzz_decode.make(n, corpus) for n in range(50)]
