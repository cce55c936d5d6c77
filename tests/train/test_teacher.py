"""The MobileNetV2 teacher: a distance that is zero for equal pictures, grows with damage and trains."""

import pytest
import torch
from safetensors.torch import save_file

from ugicm_train import torchvision_schema
from ugicm_train.teacher import MobileNetTeacher


def test_schemas_are_declared_once():
    assert torchvision_schema.declare() is torchvision_schema.declare()
    assert hasattr(torch.ops.torchvision, "nms")


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="do not exist"):
        MobileNetTeacher(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="not a timm mobilenetv2_100 file"):
        MobileNetTeacher(tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("not tensors at all")
    with pytest.raises(ValueError, match="damaged or not a safetensors file"):
        MobileNetTeacher(tmp_path / "text.safetensors")


@pytest.mark.weights
def test_distance_measures_damage(teacher_file, photo):
    teacher = MobileNetTeacher(teacher_file).train()
    assert not teacher.training
    x = torch.tensor(photo[128:256, 128:256]).permute(2, 0, 1)[None].float() / 255
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(x.shape, generator=generator)
    distances = [teacher.distance((x + amount * noise).clamp(0, 1), x).item() for amount in (0, 0.02, 0.1, 0.4)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert 0.1 < distances[-1] < 3


@pytest.mark.weights
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_gradient_reaches_the_view_only(teacher_file, photo, scale):
    teacher = MobileNetTeacher(teacher_file)
    x = torch.tensor(photo[128:192, 128:192]).permute(2, 0, 1)[None].float() / 255
    view = (x * 0.9).requires_grad_()
    distance = teacher.distance(view, x, scale)
    assert distance.shape == (1,)
    distance.sum().backward()
    assert view.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())
