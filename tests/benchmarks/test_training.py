import pytest

from benchmarks import training
from benchmarks.errors import BenchmarkError
from ugicm_train.config import network_preset
from ugicm_train.describe import describe

OUTPUT = """step 100/300 loss 1.4 lr 4.0e-04 10.4 images/s, 0:00:27 left
step 200/300 loss 1.4 lr 4.0e-04 18.8 images/s, 0:00:13 left
validation q8 0.1 bpp 27.0 dB
step 300/300 loss 1.4 lr 4.0e-04 19.2 images/s, 0:00:00 left
"""


def test_the_first_line_does_not_count():
    assert training.speeds(OUTPUT) == [18.8, 19.2]


def test_the_arithmetic_is_that_of_three_passes():
    base, nano = (training.multiplications(preset) for preset in ("base", "nano"))
    description = describe(network_preset("nano"))
    engines = 1000 * (description.encoder_kmac + description.decoder_kmac) * training.SIDE**2
    assert 0.8 * 3 * engines < nano < 3 * engines  # both engines run the mean network, a training pass runs it once
    assert base > 2 * nano


def test_too_few_steps_are_said():
    with pytest.raises(BenchmarkError, match="give more --steps"):
        training.speeds(OUTPUT.splitlines()[0])


def test_a_training_that_fails_is_said(tmp_path, capsys):
    assert training.main(["--data", str(tmp_path / "nowhere")]) == 1
    text = capsys.readouterr().err
    assert text.startswith("benchmarks.training: training failed: ugicm-train: ")
    assert "nowhere" in text
