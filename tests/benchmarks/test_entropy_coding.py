import pytest

from benchmarks import coder, entropy_coding
from benchmarks.errors import BenchmarkError


def row(name, bytes_, rate):
    return coder.Row(name, "some", 0.5, 100.0, bytes_, 1.0, rate, 2 * rate)


def test_means_over_the_photos_of_each_quality():
    rows = [row("a q1", 101, 10.0), row("b q1", 101, 30.0), row("a q2", 101, 50.0), row("b q2", 101, 70.0)]
    columns = entropy_coding._columns(rows, qualities=2)
    assert columns == {"bpp": [0.5, 0.5], "excess": [1, 1], "encode_rate": [20, 60], "decode_rate": [40, 120]}


def test_a_coder_that_is_not_installed_is_an_error():
    missing = coder.Row("a q1", "some", 0.5, 100.0, note="not installed")
    with pytest.raises(BenchmarkError, match=r"coder 'some' could not be used \(not installed\)"):
        entropy_coding._columns([missing], qualities=1)


def test_what_goes_with_the_residual():
    extra = [{"scale_network_ms": ms, "hyper": {"bytes": 8 * ms, "decode_ms": 0.5}} for ms in (1.0, 3.0)]
    found = entropy_coding._extras(extra, qualities=1)
    assert found == {"scale_network_ms": [2], "hyper_bytes": [16], "hyper_decode_ms": [0.5]}
