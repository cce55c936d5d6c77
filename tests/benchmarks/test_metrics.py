import numpy as np
import pytest

from benchmarks.codecs import pillow_codec
from benchmarks.datasets import kodak, read_rgb
from benchmarks.errors import BenchmarkError
from benchmarks.metrics import PSNR_LIMIT, bits_per_pixel, ms_ssim, psnr, ssimulacra2


def test_psnr_of_a_known_error(picture):
    low = picture.clip(0, 250)
    assert psnr(low, low + np.uint8(5)) == pytest.approx(10 * np.log10(255**2 / 25))


def test_psnr_of_equal_pictures_is_finite(picture):
    assert psnr(picture, picture) == PSNR_LIMIT


def test_ms_ssim_is_one_for_equal_pictures_and_less_for_others(picture):
    pytest.importorskip("pytorch_msssim")
    noisy = (picture + np.random.default_rng(0).integers(0, 30, picture.shape)).clip(0, 255).astype(np.uint8)
    assert ms_ssim(picture, picture) == pytest.approx(1)
    assert 0.5 < ms_ssim(picture, noisy) < 0.99


def test_ms_ssim_refuses_small_pictures(picture):
    pytest.importorskip("pytorch_msssim")
    with pytest.raises(BenchmarkError, match="208x160"):
        ms_ssim(picture[:160], picture[:160])


def test_another_size_is_an_error(picture):
    with pytest.raises(BenchmarkError, match="broken"):
        psnr(picture, picture[1:])


def test_bits_per_pixel_counts_the_whole_file():
    assert bits_per_pixel(bytes(100), np.zeros((10, 20, 3), np.uint8)) == 4


def test_ssimulacra2_is_100_for_equal_pictures_and_falls_with_the_damage(picture):
    pytest.importorskip("ssimulacra2")
    jpeg = pillow_codec("jpeg")
    scores = [ssimulacra2(picture, jpeg.decode(jpeg.encode(picture, quality), "jpeg")) for quality in (10, 50, 95)]
    assert ssimulacra2(picture, picture) == 100
    assert scores == sorted(scores)
    assert scores[-1] > 70 > scores[0]


def test_ssimulacra2_of_a_photo_agrees_with_what_its_author_says(data):
    # "70: the typical output of libjpeg-turbo 4:2:0 quality 70; 50: quality 35" (github.com/cloudinary/ssimulacra2)
    pytest.importorskip("ssimulacra2")
    images = [read_rgb(file) for file in kodak(data, 6).files]
    jpeg = pillow_codec("jpeg")
    for quality, said in ((70, 70), (35, 50)):
        found = [ssimulacra2(image, jpeg.decode(jpeg.encode(image, quality), "jpeg")) for image in images]
        assert np.mean(found) == pytest.approx(said, abs=6)
