"""Objectives: the human end sees pixels only, the machine end mostly the teacher, and no rate owns the loss."""

import dataclasses

import pytest
import pytorch_msssim
import torch
from tiny_train import TRAIN

from ugicm_train.config import MS_SSIM_UNIT, rate_lambda
from ugicm_train.losses import REFERENCE_LAMBDA, TEACHER_UNIT, squared_error, structure_error, training_loss
from ugicm_train.model.codec import Coded


class ConstantTeacher:
    """A distance of 0.2 for every picture."""

    def distance(self, view, x, scale=1.0):
        return torch.full((len(x),), 0.2)


def noisy_pair(count=2):
    """Pictures (N,3,192,192) that are noisy and smooth by turns, and the same with a little noise."""
    torch.manual_seed(5)
    x = 0.5 + torch.rand(count, 3, 192, 192) * torch.tensor([0.5, 0.02])[:count, None, None, None]
    return x, x + 0.02 * torch.randn_like(x)


def test_structure_keeps_its_precision_under_autocast():
    x, view = noisy_pair()
    expected = 1 - pytorch_msssim.ms_ssim(view, x, data_range=1.0, size_average=False)
    assert expected[1] > 5 * expected[0]  # the same noise is worse where nothing hides it
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(structure_error(view, x), expected)


@pytest.mark.parametrize("preference", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("share", [0.25, 1.0])
def test_structure_takes_its_share_of_the_pixels_along_the_whole_axis(preference, share):
    x, view = noisy_pair()
    silent = {"machine_teacher": 0.0, "machine_mse": 1.0, "machine_mse_growth": 0.0, "crop_balance": 0.0}
    config = dataclasses.replace(TRAIN, stage="semantic", crop=192, late_crop=192, human_ms_ssim=share, **silent)
    coded = Coded(view, torch.zeros(2), torch.zeros(2))
    found = training_loss(config, coded, x, torch.tensor([30, 30]), torch.full((2,), preference), ConstantTeacher())
    wanted = (1 - share) * squared_error(view, x) + share * MS_SSIM_UNIT * structure_error(view, x)
    scale = rate_lambda(30) / (rate_lambda(30) / REFERENCE_LAMBDA) ** 0.5
    assert found.total.item() == pytest.approx(scale * wanted.mean().item(), rel=1e-5)
    assert found.terms["ms-ssim"].item() == pytest.approx(1 - structure_error(view, x).mean().item())


def loss(preference, teacher=None, level=30, **changes):
    stage = "semantic" if teacher else "rate_distortion"
    config = dataclasses.replace(TRAIN, stage=stage, **({"crop_balance": 0.0} | changes))
    x = torch.zeros(1, 3, 64, 64)
    coded = Coded(x + 2 / 255, torch.tensor([4096.0]), torch.tensor([0.0]))
    return training_loss(config, coded, x, torch.tensor([level]), torch.tensor([preference]), teacher)


def test_squared_error_is_in_8_bit_steps():
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(squared_error(x + 3 / 255, x), torch.full((2,), 9.0), rtol=1e-4, atol=0)


def test_loss_is_rate_plus_weighted_distortion():
    weight = rate_lambda(30)
    expected = (1 + weight * 4) / (weight / REFERENCE_LAMBDA) ** 0.5
    found = loss(0.5)
    assert found.total.item() == pytest.approx(expected, rel=1e-4)
    assert {name: round(term.item(), 3) for name, term in found.terms.items() if name != "loss"} == {"bpp": 1, "mse": 4}


def test_the_rate_axis_is_that_of_the_settings():
    found = loss(0.0, level=63, lambda_min=0.001, lambda_max=0.02).total.item()
    assert found == pytest.approx((1 + 0.02 * 4) / (0.02 / REFERENCE_LAMBDA) ** 0.5, rel=1e-4)


def test_teacher_acts_at_the_machine_end_only():
    assert loss(0.0, ConstantTeacher()).total == loss(0.0).total
    weight = rate_lambda(30)
    pixels = TRAIN.machine_mse * (1 + TRAIN.machine_mse_growth * 30 / 63)
    distortion = pixels * 4 + TRAIN.machine_teacher * TEACHER_UNIT * 0.2
    expected = (1 + weight * distortion) / (weight / REFERENCE_LAMBDA) ** 0.5
    assert loss(1.0, ConstantTeacher()).total.item() == pytest.approx(expected, rel=1e-4)
    assert loss(1.0, ConstantTeacher()).terms["teacher"].item() == pytest.approx(0.2)


def test_pixels_can_weigh_more_at_high_rates():
    def machine_pixels(level, growth):
        silent = {"machine_teacher": 0.0, "machine_mse_growth": growth}
        total = loss(1.0, ConstantTeacher(), level, **silent).total.item()
        weight = rate_lambda(level)
        return (total * (weight / REFERENCE_LAMBDA) ** 0.5 - 1) / weight

    assert machine_pixels(0, 2.0) == pytest.approx(machine_pixels(0, 0.0), rel=1e-2)
    assert machine_pixels(63, 2.0) == pytest.approx(3 * machine_pixels(63, 0.0), rel=1e-3)


def test_easy_crops_count_more_by_a_weight_without_gradient():
    bits = torch.tensor([4096.0, 16 * 4096.0], requires_grad=True)
    x = torch.zeros(2, 3, 64, 64)
    same = torch.tensor([30, 30])
    config = dataclasses.replace(TRAIN, stage="rate_distortion", crop_balance=0.5)
    found = training_loss(config, Coded(x, bits, torch.zeros(2)), x, same, torch.zeros(2), None)
    found.total.backward()
    assert (bits.grad[0] / bits.grad[1]).item() == pytest.approx(4.0)
    norm = (rate_lambda(30) / REFERENCE_LAMBDA) ** 0.5
    assert found.terms["loss"].item() == pytest.approx((1 + 16) / 2 / norm)
    assert found.total.item() == pytest.approx((1 + 4) / 2 / norm**0.5)


def test_an_empty_crop_does_not_own_the_gradient():
    nothing = Coded(torch.zeros(1, 3, 64, 64), torch.zeros(1), torch.zeros(1))
    config = dataclasses.replace(TRAIN, stage="rate_distortion", crop_balance=1.0)
    found = training_loss(config, nothing, torch.zeros(1, 3, 64, 64), torch.tensor([30]), torch.zeros(1), None)
    assert found.total.item() == 0


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_parts_add_up_to_the_total(balance):
    found = loss(0.3, ConstantTeacher(), crop_balance=balance)
    parts = found.human_rate + found.machine_rate + found.human + found.machine
    assert parts.item() == pytest.approx(found.total.item(), rel=1e-6)


def test_crop_balance_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r"crop_balance must be in \[0, 1\], got 2"):
        dataclasses.replace(TRAIN, crop_balance=2.0)
