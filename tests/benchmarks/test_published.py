"""The published curves: sound, with their source, and used only for the pictures they are of."""

import numpy as np
import pytest

from benchmarks import published

CURVES = published.curves("kodak", 24)


def test_they_belong_to_the_whole_of_kodak():
    assert [curve["name"] for curve in CURVES] == ["bmshj2018-hyperprior", "cheng2020-anchor", "mbt2018-mean", "vtm"]
    assert published.curves("kodak", 4) == []
    assert published.curves("photos", 24) == []


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve["name"])
def test_every_curve_rises_and_names_its_source(curve):
    results = curve["results"]
    assert {"bpp", "psnr-rgb", "ms-ssim-rgb"} == set(results)
    assert len({len(values) for values in results.values()}) == 1
    assert all((np.diff(values) > 0).all() for values in results.values())
    assert all(0 < value < 1 for value in results["ms-ssim-rgb"])
    assert len(curve["source"]["commit"]) == 40
    assert curve["source"]["path"].startswith("results/image/")
