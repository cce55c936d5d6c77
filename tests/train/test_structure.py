"""The structure error of an effort: against MS-SSIM's own library, its gradient against autograd, and what it wins."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pytorch_msssim.ssim import _fspecial_gauss_1d, _ssim
from torch import Tensor

from ugicm_train.checkpoint import load_codec
from ugicm_train.data import read_image
from ugicm_train.losses import structure_error
from ugicm_train.model.entropy import index_to_scale, symbol_bits
from ugicm_train.model.refine import level_weights, refine, structure_share
from ugicm_train.model.structure import SCALE_WEIGHTS, Structure

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "models" / "nano"


def pair(height: int = 128, width: int = 64) -> tuple[Tensor, Tensor]:
    """A view and a picture (2,3,height,width) that share most of their structure."""
    generator = torch.Generator().manual_seed(3)
    picture = F.interpolate(torch.rand(2, 3, height // 8, width // 8, generator=generator, dtype=torch.float64), (height, width))
    return picture + 0.1 * torch.randn(picture.shape, generator=generator, dtype=torch.float64), picture


def patches(picture: Tensor) -> Tensor:
    return F.pixel_unshuffle(picture, 8)


def test_it_is_the_contrast_and_structure_of_ms_ssim() -> None:
    window = _fspecial_gauss_1d(11, 1.5).double().repeat(3, 1, 1, 1)
    view, picture = pair()
    wanted = torch.zeros(2, dtype=torch.float64)
    for number, (x, y) in enumerate([(F.avg_pool2d(view, 2), F.avg_pool2d(picture, 2)), (F.avg_pool2d(view, 4), F.avg_pool2d(picture, 4))]):
        _, cs = _ssim(x, y, data_range=1.0, win=window, size_average=False)
        windows = (x.shape[2] - 10) * (x.shape[3] - 10)
        wanted += SCALE_WEIGHTS[number] * 4 ** (number + 1) * windows * (1 - cs).sum(1)
    found = Structure(1.0).double()(patches(view), patches(picture))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)
    assert (found > 100).all()


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_gradient_is_that_of_autograd(share: float) -> None:
    structure = Structure(share).double()
    view, picture = (patches(x) for x in pair())
    view.requires_grad_(True)
    (expected,) = torch.autograd.grad(structure.mixed(view, picture).sum(), view)
    assert expected.abs().max() > 1e-2
    torch.testing.assert_close(structure.mixed_gradient(view, picture), expected)


def test_a_perfect_view_has_no_error_and_no_gradient() -> None:
    _, picture = pair()
    picture[:, :, :, :32] = 0.5
    structure, x = Structure(0.5).double(), patches(picture)
    assert structure.mixed(x, x).abs().max() < 1e-9
    assert structure.mixed_gradient(x, x).abs().max() < 1e-9


def test_the_share_is_that_of_the_last_stage_that_trained_the_human_view() -> None:
    assert structure_share([]) == 0
    assert structure_share([{"stage": "rate_distortion"}, {"stage": "prune"}]) == 0
    history = [{"stage": "semantic", "human_ms_ssim": 0.4}, {"stage": "blend"}, {"stage": "preference", "human_ms_ssim": 0.3}]
    assert structure_share([*history, {"stage": "integer", "human_ms_ssim": 0.0}, {"stage": "reach"}]) == 0.4
    assert structure_share([*history, {"stage": "rate_distortion", "human_ms_ssim": 0.0}]) == 0


def test_the_share_of_a_mixture_is_the_mean_of_its_members() -> None:
    plain = {"stage": "rate_distortion", "human_ms_ssim": 0.0}
    taught = [{"stage": "semantic", "human_ms_ssim": 0.4}, {"stage": "preference", "human_ms_ssim": 0.9}]
    mixed = [plain, {"stage": "blend", "share": 0.25, "other": taught}]
    assert structure_share(mixed) == pytest.approx(0.1)
    assert structure_share([*mixed, {"stage": "blend", "share": 1.0, "other": [{"stage": "integer"}]}]) == pytest.approx(0.1)
    assert structure_share([plain, {"stage": "rebase", "other": taught}]) == pytest.approx(0.4)


@pytest.mark.skipif(not SHIPPED.exists(), reason="this checkout has no trained model")
@pytest.mark.parametrize(("level", "slope"), [(14, 3.5), (34, 4), (54, 5)])
@torch.no_grad()
def test_steps_for_structure_win_ms_ssim_where_steps_without_do_not(level: int, slope: float) -> None:
    """MS-SSIM in dB above the curve of no effort; slope: what e times the bits bring along it at this level."""
    codec, history = load_codec(SHIPPED)
    photo = read_image(ROOT / "examples" / "kodim23.png")[:256, 256:512]
    picture, levels = torch.tensor(photo).permute(2, 0, 1)[None].float() / 255, torch.tensor([level])
    weight = level_weights(history, codec.config.quality_knots)[8 * levels]
    z, _ = codec.encode(picture, levels)
    scale = index_to_scale(codec.scale_network(z, levels))

    def score(effort: int, structure: Structure | None) -> float:
        r = refine(codec, patches(picture), z, scale, levels, weight, effort, structure)
        error = structure_error(codec.decode(z, r, levels, torch.zeros(1)), picture)
        return float(-10 * error.log10() - slope * symbol_bits(r, scale).sum().log())

    none, without, wanted = score(0, None), score(2, None), score(2, Structure(0.3))
    assert wanted > none + 0.1, (none, without, wanted)
    assert wanted > without + 0.02, (none, without, wanted)
