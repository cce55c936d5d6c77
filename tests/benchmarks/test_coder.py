"""The coder benchmark: its latents, its rows, and what it says when something is missing."""

import numpy as np
import pytest

from benchmarks import coder
from benchmarks.latents import load, synthetic


def test_synthetic_latents_have_the_rate_asked_for():
    for bpp in (0.1, 0.6):
        latents = synthetic(bpp)
        assert coder.empty_row(latents, "none").bpp == pytest.approx(bpp, rel=0.03)


def test_our_row_is_near_the_ideal():
    row = coder.run_own(synthetic(0.6), coder.standard_model(), budget=0)
    assert 0 <= row.excess < 0.5
    assert row.decode_rate > 0


def test_latents_of_a_file(tmp_path, capsys):
    latents = synthetic(0.1)
    np.savez(tmp_path / "some.npz", r=latents.r[:, :4, :4], scale_indexes=latents.scale_indexes[:, :4, :4])
    assert load(tmp_path / "some.npz").name == "some"
    np.savez(tmp_path / "bad.npz", r=latents.r)
    assert coder.main(["--latents", str(tmp_path / "bad.npz")]) == 1
    assert "lacks ['scale_indexes']" in capsys.readouterr().err
    data = (tmp_path / "some.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[:-40])
    np.save(tmp_path / "array.npy", latents.r)
    for name, words in (("cut.npz", "cannot be read"), ("array.npy", "no .npz"), ("none.npz", "cannot be read")):
        assert coder.main(["--latents", str(tmp_path / name)]) == 1
        assert words in capsys.readouterr().err


def test_photos_need_a_model(tmp_path, capsys):
    assert coder.main(["--photos", str(tmp_path / "a.png"), "--bundle", str(tmp_path / "none")]) == 1
    assert "no bundle at" in capsys.readouterr().err
