"""The `ugicm-train` command: what it prints, and that whatever a user can mend is one sentence."""

import subprocess
import sys

import pytest
import torch
from tiny_train import NETWORK, tiny_codec

from ugicm_train.checkpoint import load_codec, save_weights
from ugicm_train.cli import main
from ugicm_train.config import TrainConfig, field_sentences, network_preset
from ugicm_train.describe import describe

QUICK = [
    "--steps",
    "2",
    "--batch",
    "2",
    "--crop",
    "64",
    "--late-crop",
    "64",
    "--late-batch",
    "1",
    "--precision",
    "fp32",
]


@pytest.fixture
def start(tmp_path):
    folder = tmp_path / "start"
    save_weights(folder, NETWORK, tiny_codec().state_dict(), [])
    return folder


def sentence(capsys, *arguments):
    """The error that a failing command prints; asserts that it is one line of our own."""
    assert main([str(argument) for argument in arguments]) == 1
    text = capsys.readouterr().err
    assert text.startswith("ugicm-train: ")
    assert text.count("\n") == 1
    return text


def test_describe_prints_the_counts(capsys):
    assert main(["describe", "--preset", "nano"]) == 0
    text = capsys.readouterr().out
    found = describe(network_preset("nano"))
    assert f"{found.parameters:,}" in text
    assert f"{found.decoder_kmac:.1f} kMAC/pixel" in text


def test_fit_resume_and_evaluate(start, pictures, tmp_path, capsys):
    out = tmp_path / "run"
    common = ["fit", "--data", str(pictures), "--out", str(out), "--init", str(start), *QUICK]
    assert main(common) == 0
    assert load_codec(out)[1][-1]["finished_steps"] == 2
    before = (out / "weights.safetensors").read_bytes()
    assert main([*common, "--resume"]) == 0
    assert (out / "weights.safetensors").read_bytes() == before
    capsys.readouterr()
    arguments = ["evaluate", str(out), "--data", str(pictures), "--levels", "0", "63", "--images", "1"]
    assert main([*arguments, "--preferences", "0", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_fit_help_explains_every_setting(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # no sentence is wrapped
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, sentence in field_sentences(TrainConfig).items():
        assert f"--{name.replace('_', '-')} " in text
        assert " ".join(sentence.split()) in text


def test_pack_halves_the_weights(start, tmp_path):
    assert main(["pack", str(start), "--out", str(tmp_path / "packed")]) == 0
    sizes = [(folder / "weights.safetensors").stat().st_size for folder in (tmp_path / "packed", start)]
    assert sizes[0] < 0.7 * sizes[1]
    packed, _ = load_codec(tmp_path / "packed")
    for name, value in tiny_codec().state_dict().items():
        assert torch.equal(packed.state_dict()[name], value.half().float()), name


def test_missing_data_is_one_sentence(tmp_path, capsys):
    text = sentence(capsys, "fit", "--data", tmp_path / "none", "--out", tmp_path / "run")
    assert "does not exist" in text


def test_bad_setting_is_one_sentence(pictures, tmp_path, capsys):
    assert "multiple of 64" in sentence(capsys, "fit", "--data", pictures, "--out", tmp_path / "run", "--crop", "100")


def test_missing_checkpoint_is_one_sentence(pictures, tmp_path, capsys):
    assert "not a checkpoint" in sentence(capsys, "evaluate", tmp_path, "--data", pictures)
    fit = ["fit", "--data", pictures, "--out", tmp_path / "run"]
    assert "not a checkpoint" in sentence(capsys, *fit, "--init", tmp_path / "none")


def test_nothing_to_resume_is_one_sentence(start, pictures, tmp_path, capsys):
    fit = ["fit", "--data", pictures, "--out", tmp_path / "run", "--init", start, *QUICK, "--resume"]
    assert "nothing to resume" in sentence(capsys, *fit)


def test_semantic_stage_without_teacher_is_one_sentence(start, pictures, tmp_path, capsys):
    fit = ["fit", "--data", pictures, "--out", tmp_path / "run", "--init", start, *QUICK, "--stage", "semantic"]
    assert "--teacher" in sentence(capsys, *fit)
    assert "do not exist" in sentence(capsys, *fit, "--teacher", tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--levels", "64"],
        ["--levels", "-1"],
        ["--preferences", "1.5"],
        ["--images", "0"],
    ],
)
def test_values_off_the_axes_are_usage_errors(arguments, start, pictures, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", str(start), "--data", str(pictures), *arguments])
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--processes", "--threads", "--validate-every"])
def test_counts_must_be_positive(option, pictures, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--data", str(pictures), "--out", str(tmp_path), option, "0"])
    assert caught.value.code == 2
    assert option in capsys.readouterr().err


def test_unknown_device_is_one_sentence(start, pictures, tmp_path, capsys):
    fit = ["fit", "--data", pictures, "--out", tmp_path / "run", "--init", start, *QUICK]
    sentence(capsys, *fit, "--device", "abacus")


def test_help_loads_no_torch():
    code = "import sys, ugicm_train.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
