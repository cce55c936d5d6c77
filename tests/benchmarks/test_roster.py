from dataclasses import replace

import numpy as np
import pytest

from benchmarks.config import Config, Effort
from benchmarks.errors import BenchmarkError
from benchmarks.ours import view_name
from benchmarks.roster import contestants
from benchmarks.run import parser

pytest.importorskip("onnxruntime")


def test_the_tasks_see_five_views_and_the_rest_one(bundle):
    config = Config(bundle=bundle, codecs=("ugicm",))
    (ours,) = contestants(config, "tasks")
    assert ours.views == ("ugicm-human", "ugicm-0.25", "ugicm-0.5", "ugicm-0.75", "ugicm-machine")
    assert contestants(config, "rd")[0].views == ("ugicm-human",)


def test_a_quick_run_keeps_both_ends():
    assert [view_name(one) for one in Config(quick=True).views()] == ["ugicm-human", "ugicm-0.5", "ugicm-machine"]


def test_a_plain_bundle_takes_part_under_its_own_name(bundle):
    codecs = contestants(Config(bundle=bundle, plain_bundle=bundle, codecs=("ugicm", "jpeg")), "tasks")
    assert [codec.name for codec in codecs] == ["ugicm", "jpeg", "plain"]
    assert codecs[-1].views == ("plain",)


def test_avif_brings_its_whole_colour_to_rate_distortion_alone():
    pytest.importorskip("pillow_jxl")
    config = Config(codecs=("jpeg", "avif", "jxl"))
    assert [codec.name for codec in contestants(config, "rd")] == ["jpeg", "avif", "avif444", "jxl"]
    assert [codec.name for codec in contestants(config, "tasks")] == ["jpeg", "avif", "jxl"]


def test_a_plain_bundle_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BenchmarkError, match="nowhere"):
        contestants(Config(plain_bundle=tmp_path / "nowhere", codecs=("jpeg",)), "rd")


def test_an_effort_takes_part_behind_none(bundle):
    config = Config(bundle=bundle, codecs=("ugicm", "jpeg"), preferences=(0.0, 1.0), efforts=(Effort(2),))
    ours, refined, _ = contestants(config, "tasks")
    assert ours.views == ("ugicm-human", "ugicm-machine")
    assert refined.views == ("ugicm-human-effort2", "ugicm-machine-effort2")
    assert refined.settings()["codec"] == f"{ours.settings()['codec']}, effort 2"
    assert [one.name for one in contestants(config, "rd")] == ["ugicm", "ugicm-effort2", "jpeg"]
    assert contestants(config, "rd")[1].views == ("ugicm-human-effort2",)
    assert [one.name for one in contestants(replace(config, efforts=()), "rd")] == ["ugicm", "ugicm-effort8", "jpeg"]
    assert [one.name for one in contestants(replace(config, efforts=(Effort(0),)), "rd")] == ["ugicm", "jpeg"]
    assert [one.name for one in contestants(replace(config, efforts=()), "tasks")] == ["ugicm", "jpeg"]
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = refined.encode(picture, 50)
    assert data == ours.codec.encode(picture, 50, effort=2)
    assert refined.decode(data, "ugicm-machine-effort2").shape == picture.shape


def test_the_command_line_asks_for_efforts():
    assert parser().parse_args(["--efforts", "1", "3:1"]).efforts == [Effort(1), Effort(3, 1)]
    assert parser().parse_args([]).efforts == []
