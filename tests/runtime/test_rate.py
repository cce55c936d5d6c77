"""Rate control: the search, and the size of real streams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ugicm import rate
from ugicm.bitstream import MAX_STEP, parse
from ugicm.errors import OptionError
from ugicm_coder import QUALITY_STEPS

growth = st.lists(st.integers(1, 400), min_size=MAX_STEP + 1, max_size=MAX_STEP + 1)


def searched(sizes, target):
    """(size found or None, steps tried) where step k has sizes[k] bytes."""
    calls = []

    def encode(step):
        calls.append(step)
        return bytes(sizes[step])

    try:
        found = len(rate.search(encode, target))
    except OptionError as error:
        assert f"lowest quality takes {sizes[0]};" in str(error)
        found = None
    assert len(calls) == len(set(calls)) <= rate.MAX_CALLS
    return found, calls


@given(steps=growth, share=st.floats(0, 1.2))
def test_however_sizes_grow_the_target_is_kept_within_four_levels(steps, share):
    sizes = np.cumsum(steps).tolist()
    target = max(1, int(sizes[-1] * share))
    found, _ = searched(sizes, target)
    fitting = [size for size in sizes if size <= target]
    if fitting:
        assert sizes[max(len(fitting) - 1 - 4 * QUALITY_STEPS, 0)] <= found <= target
    else:
        assert found is None


@given(
    smallest=st.floats(200, 50_000),
    growths=st.tuples(st.floats(1.03, 1.07), st.floats(1.03, 1.07)),
    seed=st.integers(0, 1000),
    share=st.floats(0, 1),
)
def test_sizes_like_those_of_pictures_are_matched_exactly(smallest, growths, seed, share):
    """Growth per level drifts from one end to the other, and sizes scatter by a few bytes."""
    per_step = np.log(np.linspace(*growths, MAX_STEP + 1)) / QUALITY_STEPS
    curve = smallest * np.exp(np.cumsum(per_step))
    sizes = (48 + curve * (1 + np.random.default_rng(seed).normal(0, 2e-4, curve.shape))).astype(int).tolist()
    target = int(sizes[0] + share * (max(sizes) - sizes[0]))
    found, _ = searched(sizes, target)
    assert found >= 0.99 * min(target, sizes[-1])
    assert found >= 0.999 * max(size for size in sizes if size <= target)


def test_the_lowest_level_is_tried_before_giving_up():
    sizes = [1000 + step for step in range(MAX_STEP + 1)]
    assert searched(sizes, 999)[0] is None
    assert searched(sizes, 1000)[0] == 1000


@pytest.mark.parametrize("last", [1, 31, 33, 58, 63, 200])
def test_a_plateau_just_above_the_target_hides_at_most_four_levels(last):
    """Sizes that creep above the target lead the guesses astray; one call is still left for the lowest level."""
    sizes = [900 + step if step <= last else 1500 + step // 100 for step in range(MAX_STEP + 1)]
    found, _ = searched(sizes, 1499)
    assert found >= sizes[max(last - 4 * QUALITY_STEPS, 0)]


def test_of_streams_of_one_size_that_of_the_highest_level_is_kept():
    tried = {}

    def encode(step):
        tried[step] = bytes([step % 256]) + bytes(99 + step // 100)
        return tried[step]

    found = rate.search(encode, 102)
    assert found == tried[max(step for step, stream in tried.items() if len(stream) <= 102)]


def test_targets_are_checked():
    assert rate.check_target(None, 0.5, 1600) == 100
    assert rate.check_target(77, None, 1600) == 77
    for given_values in ((None, None), (1, 1.0), (0, None), (None, 0.004), (None, float("nan")), (None, float("inf"))):
        with pytest.raises(OptionError):
            rate.check_target(*given_values, 1600)


def test_streams_keep_the_target(codec, picture):
    sizes = [len(codec.encode(picture, 100 * step / MAX_STEP)) for step in range(MAX_STEP + 1)]
    for target in (sizes[45], sizes[321] + 1, max(sizes) + 1000):
        stream = codec.encode_to_size(picture, target)
        # The sizes of an untrained model hardly grow and not steadily, so that the search may end below the best level.
        assert 0.96 * min(target, sizes[-1]) < len(stream) <= target
        assert len(stream) == sizes[round(parse(stream).level * QUALITY_STEPS)]
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
