import re
import shutil

import numpy as np

from benchmarks import effort
from benchmarks.config import ROOT, Effort
from benchmarks.datasets import read_rgb
from benchmarks.markdown import in_order, label


def test_an_effort_saves_bytes_and_takes_time(bundle):
    photo = read_rgb(ROOT / "examples" / "kodim23.png")[:192, 256:448]
    (none, two) = effort.measure(bundle, [Effort(), Effort(2)], [np.ascontiguousarray(photo)])
    assert none[:5] == ["0", "+0.0 %", "+0.0 %", "+0.00 dB", "1.0"]
    assert two[0] == "2"
    assert re.fullmatch(r"-\d+\.\d %", two[1])
    assert re.fullmatch(r"[+-]\d+\.\d %", two[2])
    assert float(two[3].split()[0]) > 0.02
    assert float(two[4]) > 2
    assert float(two[5]) > 2


def test_names_of_efforts_are_read_and_sorted():
    names = ["avif", "ugicm-machine-effort2", "ugicm-human-effort2", "ugicm-machine", "ugicm-0.5", "ugicm-human"]
    found = [one["name"] for one in in_order({name: {"name": name} for name in names})]
    assert found == ["ugicm-human", "ugicm-human-effort2", "ugicm-0.5", "ugicm-machine", "ugicm-machine-effort2", "avif"]
    assert label("ugicm-effort8") == "UG-ICM, effort 8"
    assert label("ugicm-machine-effort2") == "UG-ICM, machine view, effort 2"
    guided = Effort.parse("3:1")
    assert guided == Effort(3, 1)
    assert str(guided) == "3, guidance 1"
    assert label(f"ugicm-machine{guided.suffix}") == f"UG-ICM, machine view, effort {guided}"


def test_what_cannot_be_measured_is_said(capsys, tmp_path, bundle):
    pictures = tmp_path / "eval" / "kodak"
    pictures.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "kodim23.png", pictures)
    here = ["--data", str(tmp_path)]
    for words, reason in (
        (["--data", str(tmp_path / "none")], "none"),
        ([*here, "--bundle", "nowhere"], "nowhere"),
        ([*here, "--efforts", "40"], "effort is 40, expected 0..16"),
    ):
        assert effort.main(words) == 1
        assert reason in capsys.readouterr().err
