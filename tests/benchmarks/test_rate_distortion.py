import numpy as np
import pytest
from fake_codec import FakeCodec
from PIL import Image

from benchmarks import datasets, rate_distortion
from benchmarks.config import Config
from benchmarks.errors import BenchmarkError
from benchmarks.metrics import psnr
from benchmarks.store import Store

pytest.importorskip("pytorch_msssim")
pytest.importorskip("ssimulacra2")


@pytest.fixture
def folder(tmp_path, picture):
    place = tmp_path / "pictures"
    place.mkdir()
    for number, image in enumerate((picture, picture[::-1])):
        Image.fromarray(np.ascontiguousarray(image)).save(place / f"{number}.png")
    return place


def test_means_over_the_pictures_of_what_the_bytes_hold(folder, picture):
    codec = FakeCodec()
    results = rate_distortion.measure(codec, datasets.folder(folder), (2, 8))
    assert results["bpp"] == pytest.approx([24 + 96 / picture[..., 0].size] * 2, rel=1e-5)
    assert [data for data, _ in codec.decoded] == codec.encoded
    expected = np.mean([psnr(image, (image // 32) * 32 + 16) for image in (picture, picture[::-1])])
    assert results["psnr-rgb"][1] == pytest.approx(expected, rel=1e-5)
    assert results["quality"] == [2, 8]
    assert results["ssimulacra2"][0] < results["ssimulacra2"][1]


def test_measured_codecs_are_skipped_until_their_settings_change(folder, tmp_path, monkeypatch):
    codec = FakeCodec()
    monkeypatch.setattr(rate_distortion, "contestants", lambda config, suite: [codec])
    config, store = Config(images=folder, out=tmp_path / "out"), Store(tmp_path / "out")
    rate_distortion.run(config, store)
    assert len(codec.encoded) == 6
    rate_distortion.run(config, store)
    assert len(codec.encoded) == 6
    codec.padding = 1
    rate_distortion.run(config, store)
    assert len(codec.encoded) == 12


def test_a_run_that_was_broken_off_goes_on_where_it_stopped(folder, tmp_path, monkeypatch):
    first, second = FakeCodec(), FakeCodec()
    first.name, second.name = "first", "second"
    monkeypatch.setattr(rate_distortion, "contestants", lambda config, suite: [first, second])
    config, store = Config(images=folder, out=tmp_path / "out"), Store(tmp_path / "out")

    def stop(image, quality):
        raise KeyboardInterrupt

    whole, second.encode = second.encode, stop
    with pytest.raises(KeyboardInterrupt):
        rate_distortion.run(config, store)
    assert [result["name"] for result in store.load("rd").values()] == ["first"]
    second.encode = whole
    rate_distortion.run(config, store)
    assert [result["name"] for result in store.load("rd").values()] == ["first", "second"]
    assert (len(first.encoded), len(second.encoded)) == (6, 6)


def test_the_perceptual_score_is_a_mean_over_every_third_picture(folder, picture, monkeypatch):
    for number in (2, 3):
        Image.fromarray(picture).save(folder / f"{number}.png")
    seen = []
    monkeypatch.setattr(rate_distortion.metrics, "ssimulacra2", lambda original, decoded: seen.append(original) or 40.0 * len(seen))
    results = rate_distortion.measure(FakeCodec(), datasets.folder(folder), (8,))
    assert len(seen) == 2
    assert results["ssimulacra2"] == [60]


def test_changed_pictures_are_measured_again(folder, tmp_path, monkeypatch, picture):
    before = datasets.folder(folder).identity()
    Image.fromarray(picture).save(folder / "1.png")
    assert datasets.folder(folder).identity() != before


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(BenchmarkError, match="there is no folder"):
        datasets.folder(tmp_path / "nowhere")


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(BenchmarkError, match=r"a\.png' cannot be read as a picture"):
        datasets.read_rgb(tmp_path / "a.png")
