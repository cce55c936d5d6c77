import numpy as np
import pytest

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


def test_the_tables_have_rates_means_and_what_the_last_view_changes():
    human, between, machine = [0.5, 0.4, 30, 800, 1000], [0.6, 0.35, 29.5, 800, 1000], [0.75, 0.3, 29, 800, 1000]
    found = np.array([[[human, between, machine]]] * 4)
    lines = agreement.report(found, [0, 0.5, 1])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| 0")]
    assert rows == [
        ["0.800", "0.500", "0.600", "0.750", "+0.250 [+0.250, +0.250]"],
        ["0.800", "0.400", "0.350", "0.300", "-25.0 % [-25.0, -25.0]"],
        ["0.800", "30.00", "29.50", "29.00", "-1.000 [-1.000, -1.000]"],
    ]


def test_the_command_on_some_pictures(data, capsys):
    assert agreement.main(["--data", str(data), "--stride", "120"]) == 0
    text = capsys.readouterr().out
    assert "squeezenet_classifier, ten crops of 2 pictures" in text
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 3 * (1 + len(agreement.LADDERS["tasks"]))


def test_missing_data_is_said(tmp_path, capsys):
    assert agreement.main(["--data", str(tmp_path)]) == 1
    assert "fetch the data" in capsys.readouterr().err


def test_data_without_a_classifier_is_said(data, monkeypatch, capsys):
    monkeypatch.setattr(agreement, "load_nets", lambda place: [])
    assert agreement.main(["--data", str(data)]) == 1
    assert "describes no classifier" in capsys.readouterr().err
