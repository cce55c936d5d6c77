"""The `ugicm-train` command: what it prints, and that whatever a user can mend is one sentence."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny_train import NETWORK, draw_pictures, tiny_codec

from ugicm_train.checkpoint import load_codec, read_config, save_weights
from ugicm_train.cli import main
from ugicm_train.config import TrainConfig, field_sentences, network_preset
from ugicm_train.describe import describe
from ugicm_train.stages import STAGES

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


def test_evaluate_prints_ms_ssim_where_pictures_are_large_enough(start, pictures, tmp_path, capsys):
    larger = draw_pictures(tmp_path / "larger", count=1, side=192)
    arguments = ["evaluate", str(start), "--levels", "63", "--ms-ssim", "--data"]
    assert main([*arguments, str(larger)]) == 0
    assert "ms-ssim" in capsys.readouterr().out.splitlines()[0]
    assert "MS-SSIM needs sides of 161 pixels" in sentence(capsys, *arguments, pictures)


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


def test_pack_tells_no_folders(start, tmp_path):
    network, history = read_config(start)
    stages = [*history, {"stage": "semantic", "teacher": "open_clip:ViT-B-32:/home/me/clip.pt,/home/me/b.pt", "instances": ""}]
    save_weights(tmp_path / "own", network, load_codec(start)[0].state_dict(), stages)
    assert main(["pack", str(tmp_path / "own"), "--out", str(tmp_path / "packed")]) == 0
    _, packed = read_config(tmp_path / "packed")
    assert packed == [*history, {"stage": "semantic", "teacher": "open_clip:ViT-B-32:clip.pt,b.pt", "instances": ""}]


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


def test_recipe_runs_every_stage_and_goes_on(pictures, tmp_path, timm_spec, capsys, monkeypatch):
    monkeypatch.setattr("ugicm_train.loop.KLT_PATCHES", 800)
    monkeypatch.setattr("ugicm_train.config.PRESETS", {"nano": dataclasses.asdict(NETWORK)})
    recipe = tmp_path / "small.toml"
    settings = "batch = 2\ncrop = 64\nlate_batch = 2\nlate_crop = 64\nprecision = 'fp32'\nwarmup = 1\nsteps = 2\n"
    stages = "".join(f"[[stage]]\nstage = '{name}'\n" for name in STAGES)
    recipe.write_text(f"description = 'all'\npreset = 'nano'\n[all]\n{settings}{stages}")
    command = ["recipe", str(recipe), "--data", str(pictures), "--out", str(tmp_path / "run"), "--teacher", timm_spec]
    assert main(command) == 0
    history = load_codec(tmp_path / "run" / "4-integer")[1]
    assert [entry["stage"] for entry in history] == list(STAGES)
    assert [entry["teacher"] for entry in history] == ["", timm_spec, timm_spec, ""]
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out.count("finished before") == 4


def test_recipes_are_listed_and_wrong_use_is_one_sentence(tmp_path, capsys):
    assert main(["recipe", "list"]) == 0
    assert "nano" in capsys.readouterr().out
    assert "known: " in sentence(capsys, "recipe", "cake")
    assert "--data DIR and --out RUN" in sentence(capsys, "recipe", "nano")
    assert "give --teacher" in sentence(capsys, "recipe", "nano", "--data", tmp_path, "--out", tmp_path)


def test_evaluate_with_a_clip_prints_zero_shot_columns(start, pictures, tmp_path, clip_spec, capsys):
    np.save(tmp_path / "text.npy", np.random.default_rng(0).normal(size=(5, 16)).astype(np.float16))
    names = sorted(path.name for path in pictures.iterdir())
    labels = {
        "categories": [{"id": n} for n in range(5)],
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "annotations": [{"image_id": n, "category_id": c} for n in range(len(names)) for c in range(5)],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    words = ["evaluate", str(start), "--data", str(pictures), "--levels", "63", "--teacher", clip_spec]
    words += ["--text", str(tmp_path / "text.npy"), "--labels", str(tmp_path / "labels.json")]
    assert main(words) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[4:] == ["teacher", "agree", "top-1"]
    assert line.split()[-1] == "1.0000"
    assert "need --teacher" in sentence(capsys, *words[:6], "--text", tmp_path / "text.npy")


def test_compare_prints_a_row_per_balance(start, pictures, tmp_path, timm_spec, capsys):
    common = ["compare", "--data", str(pictures), "--init", str(start), "--out", str(tmp_path / "table"), *QUICK]
    assert "--validation for the table" in sentence(capsys, *common)
    words = [*common, "--teacher", timm_spec, "--validation", str(pictures), "--balances", "fixed", "mgda"]
    assert main([*words, "--compare-levels", "10", "60"]) == 0
    rows = json.loads((tmp_path / "table" / "compare.json").read_text())["rows"]
    assert [row["balance"] for row in rows] == ["fixed", "mgda"]
    assert len(rows[0]["points"]) == 4
    printed = capsys.readouterr().out
    assert all(row["balance"] in printed for row in rows)


def test_a_checkpoint_is_not_trained_over(start, pictures, tmp_path, capsys):
    words = ["fit", "--data", pictures, "--init", start, "--out", tmp_path / "run", *QUICK]
    assert main([str(word) for word in words]) == 0
    before = (tmp_path / "run" / "weights.safetensors").read_bytes()
    capsys.readouterr()
    assert "--resume" in sentence(capsys, *words)
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == before


def test_a_damaged_picture_is_named(start, pictures, tmp_path, capsys):
    data = bytearray((sorted(pictures.rglob("*.png"))[0]).read_bytes())
    data[40] ^= 255
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(data[:60])
    assert "a.png cannot be read as a picture" in sentence(capsys, "evaluate", start, "--data", tmp_path / "broken")


def test_crops_may_be_larger_than_pictures_are_usually_read(start, tmp_path):
    draw_pictures(tmp_path / "large", 1, 900)
    words = ["fit", "--data", tmp_path / "large", "--init", start, "--out", tmp_path / "run", *QUICK, "--crop", "832", "--late-crop", "832"]
    assert main([str(word) for word in words]) == 0


def test_a_recipe_with_single_brackets_is_told_so(pictures, tmp_path, capsys):
    (tmp_path / "my.toml").write_text('description = "d"\npreset = "nano"\n[stage]\nstage = "rate_distortion"\n')
    words = ["recipe", tmp_path / "my.toml", "--data", pictures, "--out", tmp_path / "run"]
    assert "[[stage]]" in sentence(capsys, *words)
