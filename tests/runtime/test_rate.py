"""Rate control: the search, and the size of real streams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ugicm import rate
from ugicm.bitstream import LEVELS, parse
from ugicm.errors import OptionError

growth = st.lists(st.integers(1, 400), min_size=LEVELS, max_size=LEVELS)


@given(steps=growth, share=st.floats(0, 1.2))
def test_the_longest_stream_that_fits_is_found_in_time(steps, share):
    sizes = np.cumsum(steps).tolist()
    target = max(1, int(sizes[-1] * share))
    calls = []

    def encode(level):
        calls.append(level)
        return bytes(sizes[level])

    fitting = [size for size in sizes if size <= target]
    if fitting:
        assert len(rate.search(encode, target)) == fitting[-1]
    else:
        with pytest.raises(OptionError, match=f"lowest quality takes {sizes[0]}"):
            rate.search(encode, target)
    assert len(calls) == len(set(calls)) <= rate.MAX_CALLS


def test_exponential_sizes_take_few_calls():
    sizes = [round(1000 * 1.045**level) for level in range(LEVELS)]
    for target in range(1000, sizes[-1], 700):
        calls = []
        rate.search(lambda level, calls=calls: calls.append(level) or bytes(sizes[level]), target)
        assert len(calls) <= rate.MAX_CALLS


def test_targets_are_checked():
    assert rate.check_target(None, 0.5, 1600) == 100
    assert rate.check_target(77, None, 1600) == 77
    for given_values in ((None, None), (1, 1.0), (0, None), (None, float("nan")), (None, float("inf"))):
        with pytest.raises(OptionError):
            rate.check_target(*given_values, 1600)


def test_streams_keep_the_target(codec, picture):
    sizes = [len(codec.encode(picture, 100 * level / 63)) for level in range(64)]
    for target in (sizes[5], sizes[40] + 1, max(sizes) + 1000):
        stream = codec.encode_to_size(picture, target)
        assert len(stream) <= target
        level = parse(stream).level
        assert level == 63 or sizes[level + 1] > target
    assert len(codec.encode_to_size(picture, target_bpp=1.04)) <= picture.shape[0] * picture.shape[1] * 1.04 / 8
    with pytest.raises(OptionError, match="lowest quality"):
        codec.encode_to_size(picture, 10)


def test_command_line(run, picture_file, tmp_path):
    out = tmp_path / "x.ugic"
    code, _, error = run("encode", picture_file, out, "--target-size", "1.2kB")
    assert code == 0
    size = out.stat().st_size
    assert size <= 1200
    assert ("below the target" in error) == (size < 1188)
    assert run("encode", picture_file, out, "--target-size", "1MB")[2].rstrip().endswith("the best quality there is")
    assert run("encode", picture_file, out, "--target-bpp", "1.04")[0] == 0
    assert out.stat().st_size <= 1.04 * 70 * 133 / 8
    for wrong in ("", "0", "40 kilo", "-5", "kB", "1e3"):
        code, _, error = run("encode", picture_file, out, f"--target-size={wrong}")
        assert code == 2
        assert "write it like" in error
    assert run("encode", picture_file, out, "-q", "5", "--target-size", "5kB")[0] == 2
