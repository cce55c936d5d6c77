"""The guide: what it is asked to predict, that training comes nearer to it, its file, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_train import NETWORK
from torch import Tensor, nn

from ugicm_train import torchvision_schema
from ugicm_train.checkpoint import save_weights
from ugicm_train.cli import main
from ugicm_train.config import Distillation
from ugicm_train.data import CropSource
from ugicm_train.distil import distil, distillation_loss, wanted_maps
from ugicm_train.guide_file import FILE, GuideError, load_guide, save_guide
from ugicm_train.model.codec import Codec
from ugicm_train.model.guide import Guide, GuideConfig, guide_distance
from ugicm_train.teachers.base import FeatureTeacher, Seen, normalised_distance

CONFIG = GuideConfig(channels=(6, 8), widths=(12, 16), blocks=(1, 1))


class Pyramid(FeatureTeacher):
    """Fixed random convolutions of stride 2, whose maps have 5, 6 and 8 channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, 2, padding=1) for a, b in ((3, 5), (5, 6), (6, 8)))
        self.freeze()

    def look(self, x: Tensor) -> Seen:
        maps = []
        for layer in self.layers:
            x = torch.tanh(2 * layer(x))
            maps.append(x)
        return Seen(maps)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(3)
    for number in range(4):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8))
        coarse.resize((192, 192), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


def test_maps_start_at_an_eighth_and_their_distance_is_that_of_directions() -> None:
    teacher, x = Pyramid(), torch.rand(2, 3, 128, 128)
    y = (x + 0.1 * torch.randn_like(x)).clamp(0, 1)
    a, b = wanted_maps(teacher, x, 2), wanted_maps(teacher, y, 2)
    assert [tuple(m.shape[1:]) for m in a] == [(6, 16, 16), (8, 8, 8)]
    assert len(wanted_maps(teacher, x, 1)) == 1
    for value in a:
        assert value.square().sum(1).mean().item() == pytest.approx(1, abs=1e-3)
    seen = [teacher.look(torch.nn.functional.interpolate(t, (64, 64), mode="bilinear", antialias=True)).maps for t in (y, x)]
    expected = torch.stack([normalised_distance(*pair) for pair in zip(seen[0][1:], seen[1][1:], strict=True)]).mean(0)
    torch.testing.assert_close(guide_distance(b, a), expected, rtol=0.25, atol=0)


def test_the_loss_counts_what_is_missed_of_the_difference() -> None:
    original, view = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    wanted = [torch.cat([original, view])]
    loss, (missed,) = distillation_loss(wanted, wanted)
    assert loss.item() == missed.item() == 0
    _, (missed,) = distillation_loss([torch.cat([original, original])], wanted)
    assert missed.item() == pytest.approx(1)
    _, (missed,) = distillation_loss([torch.cat([original, (original + view) / 2])], wanted)
    assert missed.item() == pytest.approx(0.25)


def test_training_comes_nearer_and_is_reproducible(photos: Path) -> None:
    torch.manual_seed(0)
    codec = Codec(NETWORK).eval().requires_grad_(False)
    settings = Distillation(steps=200, batch=2, crop=128)

    def run(steps: int) -> tuple[Guide, list[list[float]]]:
        shares: list[list[float]] = []
        short = Distillation(steps=steps, batch=2, crop=128)
        guide = distil(short, CONFIG, Pyramid(), codec, CropSource(photos, smallest=128), lambda _, missed: shares.append(missed))
        return guide, shares

    guide, shares = run(settings.steps)
    assert len(shares) == 2
    assert not guide.training
    assert all(last < 0.9 * first for first, last in zip(*shares, strict=True)), shares
    one, other = run(3)[0], run(3)[0]
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_teacher_with_other_maps_is_refused(photos: Path) -> None:
    with pytest.raises(GuideError, match=r"have \(channels, side\) \[\(6, 16\), \(8, 8\)\]; the guide predicts \[\(6, 16\), \(9, 8\)\]"):
        distil(
            Distillation(steps=1, batch=2, crop=128),
            GuideConfig(channels=(6, 9), widths=(12, 16), blocks=(1, 1)),
            Pyramid(),
            Codec(NETWORK).eval(),
            CropSource(photos, smallest=128),
        )


def test_a_file_gives_the_guide_back(tmp_path: Path) -> None:
    torch.manual_seed(1)
    guide, patches = Guide(CONFIG).eval(), torch.rand(1, 192, 8, 8)
    save_guide(tmp_path, guide)
    again = load_guide(tmp_path)
    assert again.config == CONFIG
    for a, b in zip(guide(patches), again(patches), strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02)


def test_damage_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(GuideError, match=r"has no guide\.safetensors; `ugicm-train distil` makes one"):
        load_guide(tmp_path)
    save_guide(tmp_path, Guide(CONFIG))
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GuideError, match="is damaged or no guide"):
        load_guide(tmp_path)


def test_layouts_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="as many channels as widths"):
        GuideConfig(channels=(4,), widths=(4, 4), blocks=(1, 1))
    with pytest.raises(ValueError, match="at least 1"):
        GuideConfig(channels=(4,), widths=(0,), blocks=(1,))
    with pytest.raises(ValueError, match="multiple of 64"):
        Distillation(crop=100)


def test_the_command_keeps_a_guide_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_guide(tmp_path, Guide(CONFIG))
    assert main(["distil", str(tmp_path), "--data", str(tmp_path), "--teacher", "x"]) == 1
    assert "exists; remove it or give --force" in capsys.readouterr().err


def test_the_command_makes_a_guide_that_pack_takes_along(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torchvision_schema.declare()
    import timm

    teacher = tmp_path / "teacher.safetensors"
    save_file(timm.create_model("mobilenetv2_100", pretrained=False).state_dict(), teacher)
    checkpoint = tmp_path / "checkpoint"
    save_weights(checkpoint, NETWORK, Codec(NETWORK).state_dict(), [{"stage": "none"}])
    words = ["distil", str(checkpoint), "--data", str(photos), "--steps", "2", "--batch", "2", "--crop", "128"]
    assert main([*words, "--teacher", f"{teacher},{teacher}"]) == 1
    assert "is a panel; a guide is distilled from one network" in capsys.readouterr().err
    assert main([*words, "--teacher", str(teacher)]) == 0
    assert "step 2/2 missed" in capsys.readouterr().out
    assert main(["pack", str(checkpoint), "--out", str(tmp_path / "packed")]) == 0
    assert load_guide(tmp_path / "packed").config == GuideConfig()
    assert (tmp_path / "packed" / FILE).read_bytes() == (checkpoint / FILE).read_bytes()
