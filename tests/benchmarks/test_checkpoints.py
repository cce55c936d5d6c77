from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("bjontegaard")

from benchmarks import agreement, checkpoints

MODELS = Path(__file__).parents[2] / "models"


class Segmenter:
    """Stands for a net of task "segment": two classes, told apart by how bright a pixel is."""

    name, task = "segmenter", "segment"

    def run(self, image):
        bright = image.mean(axis=2) / 64 - 2
        return {"logits": np.stack([bright, -bright])[None]}, None


def test_a_divergence_is_zero_for_equal_answers_and_that_of_two_coins_otherwise():
    even, odd = (agreement.log_probabilities(np.log([[chance, 1 - chance]])) for chance in (0.5, 0.9))
    assert agreement.divergence(even, even) == 0
    assert agreement.divergence(even, odd) == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))


def test_a_net_is_further_from_its_answers_the_more_a_view_is_changed(picture):
    apart = checkpoints.net_difference(Segmenter(), [picture])
    near, far = (np.clip(picture.astype(int) + change, 0, 255).astype(np.uint8) for change in (2, 20))
    assert apart(picture, 0) == 0 < apart(near, 0) < apart(far, 0)


def test_curves_rise_and_count_every_view(picture):
    views = []
    judges = checkpoints.differences([picture], [Segmenter()], structure=True)
    found = checkpoints.curves(MODELS / "nano", [picture], judges, (10, 40), (0.0, 1.0), lambda: views.append(1))
    assert len(views) == 4
    for lines in found.values():
        assert list(lines) == ["PSNR", "MS-SSIM", "segmenter"]
        for title in ("PSNR", "MS-SSIM"):
            rates, scores = lines[title]
            assert rates[0] < rates[1] and scores[0] < scores[1]
    assert found[0.0]["PSNR"][0] == found[1.0]["PSNR"][0]  # one stream
    assert found[0.0]["PSNR"][1] > found[1.0]["PSNR"][1]  # the human view is nearer in pixels


def test_the_table_compares_with_the_first(tmp_path, capsys):
    with Image.open(MODELS.parent / "examples" / "kodim23.png") as photo:
        photo.crop((0, 0, 320, 256)).save(tmp_path / "one.png")
    words = [str(MODELS / "plain"), str(MODELS / "nano"), "--pictures", str(tmp_path), "--stride", "1", "--threads", "1"]
    assert checkpoints.main(words) == 0
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines() if "human |" in line]
    assert rows[0][1:] == ["human", "+0.0 %", "+0.0 %"]
    assert rows[1][1] == "human" and float(rows[1][3].rstrip(" %")) < -5  # the default model minds structure


def test_what_cannot_be_compared_is_said(tmp_path, capsys):
    assert checkpoints.main([str(MODELS / "plain"), "--pictures", str(tmp_path / "none")]) == 1
    assert "there is no folder" in capsys.readouterr().err
    assert checkpoints.main([str(tmp_path), "--pictures", str(MODELS.parent / "examples")]) == 1
    assert str(tmp_path) in capsys.readouterr().err

@pytest.mark.parametrize(
    ("words", "sentence"), [(["--between", "1.2", "0.15"], "lower rate first"), (["--between", "0.1", "1"], "too small for MS-SSIM")]
)
def test_what_cannot_be_compared_is_a_sentence(tmp_path, capsys, words, sentence):
    Image.new("RGB", (200, 150)).save(tmp_path / "small.png")
    assert checkpoints.main([str(MODELS / "plain"), "--pictures", str(tmp_path), "--stride", "1", *words]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
