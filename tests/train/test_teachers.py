"""Teachers: distances that are zero for equal pictures, grow with damage and train, and specs that are read or refused."""

import pytest
import torch
from safetensors.torch import save_file
from tiny_train import CLIP_CONFIG

from ugicm_train import torchvision_schema
from ugicm_train.teachers import open_teacher
from ugicm_train.teachers.base import (
    EMBEDDING_SHARE,
    LENGTH_CAP,
    LENGTH_SHARE,
    FeatureTeacher,
    Panel,
    Seen,
    cosine_distance,
    normalised_distance,
)
from ugicm_train.teachers.clip import ClipTeacher
from ugicm_train.teachers.timm_net import MobileNetTeacher, TimmTeacher

torchvision_schema.declare()
import open_clip  # noqa: E402


def picture(seed=0, side=64):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 8, 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


def is_a_distance(teacher, side=64):
    """Zero for equal pictures, growing with noise, with gradients for the view alone."""
    x, noise = picture(side=side), torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    distances = [teacher.distance((x + amount * noise).clamp(0, 1), x) for amount in (0, 0.01, 0.05, 0.3)]
    assert all(d.shape == (2,) for d in distances)
    assert distances[0].abs().max() < 1e-6
    means = [d.mean().item() for d in distances]
    assert means == sorted(means)
    view = (x * 0.9).requires_grad_()
    teacher.train().distance(view, x, 0.5).sum().backward()
    assert not teacher.training
    assert view.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_schemas_are_declared_once():
    assert torchvision_schema.declare() is torchvision_schema.declare()
    assert hasattr(torch.ops.torchvision, "nms")


def test_distances():
    a, b = torch.tensor([[1.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 1.0], [6.0, 8.0]])
    torch.testing.assert_close(cosine_distance(a, b), torch.tensor([1.0, 0.0]))
    maps = a[:, :, None, None], b[:, :, None, None]
    # orthogonal directions of equal length; equal directions, half the length
    torch.testing.assert_close(normalised_distance(*maps), torch.tensor([2.0, LENGTH_SHARE * 0.25]))
    far = torch.full((1, 1, 1, 1), 1e6)
    assert normalised_distance(far, torch.ones_like(far)).item() == pytest.approx(LENGTH_SHARE * LENGTH_CAP)
    empty = torch.cat([torch.ones(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)], dim=3)
    damaged = empty.clone()
    damaged[..., 1] = 0.5  # counts little where the original holds nothing
    assert normalised_distance(damaged, empty).item() < 0.01


def test_embedding_and_depths_share_the_distance():
    class Half(FeatureTeacher):
        def look(self, x):
            return Seen([x, 2 * x], x.flatten(1))

    x = torch.ones(1, 3, 4, 4)
    assert Half().distance(2 * x, x).item() == pytest.approx((1 - EMBEDDING_SHARE) * LENGTH_SHARE, rel=1e-4)


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="do not exist"):
        MobileNetTeacher(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="not a timm mobilenetv2_100 file"):
        MobileNetTeacher(tmp_path / "other.safetensors")
    for name in ("text.safetensors", "text.pth"):
        (tmp_path / name).write_text("not tensors at all")
        with pytest.raises(ValueError, match=name):
            open_teacher(str(tmp_path / name))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("open_clip:ViT-B-32", "open_clip:ARCH:TAG"),
        ("open_clip:Perceptron:openai", "no architecture 'Perceptron'"),
        ("open_clip:ViT-B-32:closedai", "neither a file nor a tag of ViT-B-32"),
        ("timm:mobilenetv2_100", "timm:ARCH:FILE"),
        ("timm:perceptron:a.safetensors", "no network 'perceptron'"),
        ("timm:mobilenetv2_100:a.safetensors?wings=2", "unknown options"),
        ("nowhere.safetensors", "do not exist"),
        ("export:nowhere.pt2", "nowhere.pt2 does not exist"),
    ],
)
def test_bad_specs_say_what_is_wrong(spec, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        open_teacher(spec)


def test_timm_teacher(timm_spec):
    teacher = open_teacher(timm_spec)
    assert isinstance(teacher, TimmTeacher)
    seen = teacher.look(picture())
    assert len(seen.maps) == 5
    assert seen.embedding.shape == (2, 1280)
    is_a_distance(teacher)


def test_timm_normalisation_is_timms_or_the_given_one(timm_spec):
    own = open_teacher(timm_spec)
    given = open_teacher(f"{timm_spec}?mean=0.5&std=0.25&pad_type=same")
    torch.testing.assert_close(own.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    assert given.mean.flatten().tolist() == [0.5] * 3
    assert given.std.flatten().tolist() == [0.25] * 3


class TwoDepths(torch.nn.Module):
    def __init__(self, kinds=tuple):
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 4, 4, 4), torch.nn.Conv2d(4, 6, 2, 2)
        self.kinds = kinds

    def forward(self, x):
        shallow = self.first(x * 2 - 1)
        return self.kinds([shallow, self.second(shallow.relu())])


def save_program(path, net, dynamic=True):
    dim = torch.export.Dim
    sizes = {0: dim("n", min=1), 2: 32 * dim("rows", min=2), 3: 32 * dim("columns", min=2)}
    example = torch.rand(2, 3, 96, 128)
    torch.export.save(torch.export.export(net.eval(), (example,), dynamic_shapes=[sizes] if dynamic else None), path)
    return f"export:{path}"


def test_an_exported_program_is_a_teacher(tmp_path):
    torch.manual_seed(0)
    net = TwoDepths()
    teacher = open_teacher(save_program(tmp_path / "net.pt2", net))
    x = torch.rand(1, 3, 64, 96)
    for found, wanted in zip(teacher.look(x).maps, net(x), strict=True):
        torch.testing.assert_close(found, wanted)
    assert [tuple(one.shape) for one in teacher.look(torch.rand(3, 3, 70, 120)).maps] == [(3, 4, 16, 32), (3, 6, 8, 16)]
    is_a_distance(teacher)
    is_a_distance(open_teacher(f"export:{tmp_path / 'net.pt2'},export:{tmp_path / 'net.pt2'}").members[1], side=80)


class Positions(torch.nn.Module):
    """Makes tensors on its way, on the device that it was exported on."""

    def forward(self, x):
        across = torch.arange(x.shape[3], device=x.device) / 64
        return ((x - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) * across,)


@pytest.mark.parametrize("count", [1, 2])
def test_an_exported_program_moves_to_another_device_with_all_that_it_makes(tmp_path, count):
    teacher = open_teacher(",".join([save_program(tmp_path / "net.pt2", Positions())] * count)).to("meta")
    for member in teacher.members if count > 1 else [teacher]:
        (found,) = member.look(torch.zeros(1, 3, 64, 64, device="meta")).maps
        assert found.device.type == "meta"
        assert found.shape == (1, 3, 64, 64)


def test_a_program_that_is_no_teacher_is_refused(tmp_path):
    (tmp_path / "text.pt2").write_text("no program at all")
    with pytest.raises(ValueError, match=r"cannot be read as a program of torch.export"):
        open_teacher(f"export:{tmp_path / 'text.pt2'}")
    with pytest.raises(ValueError, match="does not take two pictures of 96x64 pixels"):
        open_teacher(save_program(tmp_path / "fixed.pt2", TwoDepths(), dynamic=False))
    with pytest.raises(ValueError, match="something else than a tuple of feature maps"):
        open_teacher(save_program(tmp_path / "one.pt2", TwoDepths(lambda maps: maps[0])))


def test_clip_teacher(clip_spec):
    teacher = open_teacher(clip_spec)
    assert isinstance(teacher, ClipTeacher)
    seen = teacher.look(picture())
    assert [m.shape for m in seen.maps] == [(2, 32, 4, 4)] * 4
    assert seen.embedding.shape == (2, CLIP_CONFIG["embed_dim"])
    is_a_distance(teacher)


def test_clip_teacher_sees_what_the_model_sees(clip_spec):
    """Normalisation and resize: at the tower's own size the embedding is that of open_clip's own preprocessing."""
    _, arch, file = clip_spec.split(":", 2)
    model, _, preprocess = open_clip.create_model_and_transforms(arch, pretrained=file)
    normalise = preprocess.transforms[-1]
    x = picture(side=32)
    with torch.no_grad():
        expected = model.eval().encode_image(normalise(x))
        found = open_teacher(clip_spec).look(x).embedding
    torch.testing.assert_close(found, expected)


def test_a_clip_file_of_another_architecture_is_one_error(clip_spec, tmp_path):
    _, arch, _ = clip_spec.split(":", 2)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(RuntimeError, match="could not be loaded"):
        open_teacher(f"open_clip:{arch}:{tmp_path / 'other.pt'}")


@pytest.mark.weights
def test_mobilenet_measures_damage(teacher_file, photo):
    teacher = open_teacher(str(teacher_file))
    x = torch.tensor(photo[128:256, 128:256]).permute(2, 0, 1)[None].float() / 255
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(x.shape, generator=generator)
    distances = [teacher.distance((x + amount * noise).clamp(0, 1), x).item() for amount in (0, 0.02, 0.1, 0.4)]
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert distances == sorted(distances)
    assert 0.1 < distances[-1] < 3
    is_a_distance(teacher)


def test_panel_is_the_mean_of_its_members(teacher_file, timm_spec):
    panel = open_teacher(f"{teacher_file},{timm_spec}")
    assert isinstance(panel, Panel)
    is_a_distance(panel)
    x, damaged = picture(), picture(1)
    each = torch.stack([open_teacher(spec).distance(damaged, x) for spec in (str(teacher_file), timm_spec)])
    torch.testing.assert_close(panel.distance(damaged, x), each.mean(0))
    assert not torch.allclose(each[0], each[1])
    torch.manual_seed(0)
    assert {id(panel.drawn()) for _ in range(30)} == {id(member) for member in panel.members}


@pytest.mark.parametrize("spec", [",", "{0},", "{0},,{0}"])
def test_panel_without_a_member_is_refused(spec, teacher_file):
    with pytest.raises(ValueError, match="empty part"):
        open_teacher(spec.format(teacher_file))
