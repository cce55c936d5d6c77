import numpy as np
import pytest
from PIL import Image

from benchmarks import agreement


def test_ten_crops_are_corners_centre_and_their_mirror_images():
    image = np.arange(8 * 10 * 3).reshape(8, 10, 3)
    crops = agreement.ten_crops(image, 4)
    assert len(crops) == 10
    assert all(crop.shape == (4, 4, 3) for crop in crops)
    np.testing.assert_array_equal(crops[0], image[:4, :4])
    np.testing.assert_array_equal(crops[3], image[4:, 6:])
    np.testing.assert_array_equal(crops[4], image[2:6, 3:7])
    for crop, mirrored in zip(crops[:5], crops[5:]):
        np.testing.assert_array_equal(mirrored, crop[:, ::-1])


def test_agreement_and_divergence_of_known_answers():
    reference = np.log([[0.5, 0.5 - 1e-9, 1e-9], [0.25, 0.25, 0.5]])
    found = np.log([[0.25, 0.75 - 1e-9, 1e-9], [0.25, 0.25, 0.5]])
    agree, divergence = agreement.compare(reference, found)
    assert agree == 0.5
    assert divergence == pytest.approx(0.5 * (0.5 * np.log(2) + 0.5 * np.log(2 / 3)), abs=1e-6)


class Choice:
    """Stands for a net of task "classify"."""

    name = "choice"


def result(name, rates, **scores):
    points = [
        {"bpp": [rate] * 4, **{metric: [values[at]] * 4 for metric, values in scores.items()}}
        for at, rate in enumerate(rates)
    ]
    return {"name": name, "results": {"bpp": rates, **scores}, "replicates": points, "streams_sha256": ["a"]}


def rows(lines):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]


def test_the_tables_have_scores_differences_and_rates():
    human = result("ugicm-human", [0.5, 1.0], psnr=[30.0, 36.0])
    machine = result("ugicm-machine", [0.5, 1.0], psnr=[29.0, 35.0])
    plain = result("plain", [1.0, 2.0], psnr=[30.0, 36.0])
    found = rows(agreement.lines({"pixels": [human, machine, plain]}, 7))
    assert ["UG-ICM, machine view", "0.500 → 29.00, 1.000 → 35.00"] in found
    assert ["0.500", "30.000", "29.000", "-1.000 [-1.000, -1.000]"] in found
    assert ["UG-ICM, human view", "", "-50.0 % [-50.0, -50.0]"] in found


def test_closeness_rises_as_divergence_falls():
    task = agreement.TenCrops(Choice(), [])
    far, near = (task.scorer([(0.5, divergence)] * 3)(np.arange(3)) for divergence in (0.5, 0.25))
    assert near["closeness"] - far["closeness"] == pytest.approx(np.log(2))
    assert task.scorer([(1.0, 0.0)])(np.arange(1))["closeness"] < 100


def test_fidelity_is_the_mean_psnr_of_the_pictures_chosen(tmp_path):
    for name, value in (("a.png", 100), ("b.png", 50)):
        Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / name)
    task = agreement.Fidelity(sorted(tmp_path.iterdir()))
    seen = [task.observe(0, np.full((8, 8, 3), 101, np.uint8)), task.observe(1, np.full((8, 8, 3), 60, np.uint8))]
    assert seen == pytest.approx([20 * np.log10(255), 20 * np.log10(25.5)])
    assert task.scorer(seen)(np.array([0, 0, 1]))["psnr"] == pytest.approx((2 * seen[0] + seen[1]) / 3)


def test_the_command_on_some_pictures(data, bundle, capsys):
    assert (
        agreement.main(
            ["--data", str(data), "--stride", "100", "--plain-bundle", str(bundle), "--codecs", "ugicm,jpeg"]
        )
        == 0
    )
    text = capsys.readouterr().out
    for net in ("squeezenet_classifier", "yolox_nano_detector", "espnetv2_segmenter", "pixels"):
        assert f"### {net}, 3 pictures" in text
    assert "plain UG-ICM (no teacher)" in text
    assert "against JPEG" in text


def test_missing_data_is_said(tmp_path, capsys):
    assert agreement.main(["--data", str(tmp_path)]) == 1
    assert "fetch the data" in capsys.readouterr().err


def test_data_without_a_net_is_said(data, monkeypatch, capsys):
    monkeypatch.setattr(agreement, "load_nets", lambda place: [])
    assert agreement.main(["--data", str(data), "--stride", "200"]) == 1
    assert "describes no net" in capsys.readouterr().err


def test_a_bundle_that_is_none_is_said(data, tmp_path, capsys):
    assert agreement.main(["--data", str(data), "--stride", "200", "--bundle", str(tmp_path / "none")]) == 1
    assert "cannot be measured" in capsys.readouterr().err
