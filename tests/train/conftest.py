"""Fixtures of the training tests, which are left out where torch is not installed."""

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# The helper module of this folder is imported by its plain name under every import mode of pytest.
sys.path.insert(0, str(HERE))

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def pictures(tmp_path):
    """A folder with three small pictures."""
    from tiny_train import draw_pictures

    return draw_pictures(tmp_path / "pictures")


@pytest.fixture
def codec():
    """A random tiny codec in evaluation mode."""
    from tiny_train import tiny_codec

    return tiny_codec().eval()


@pytest.fixture(scope="session")
def photo():
    """The sample photo, (512, 768, 3) uint8."""
    from ugicm_train.data import read_image

    return read_image(ROOT / "examples" / "kodim23.png")


@pytest.fixture
def teacher_file():
    """The weights of the MobileNetV2 teacher, where the shared data is there."""
    path = ROOT.parent / "shared" / "data" / "nets" / "teacher_mobilenetv2.safetensors"
    if not path.is_file():
        pytest.skip("the shared data with the teacher's weights is not beside the repository")
    return path


@pytest.fixture(scope="session")
def clip_spec(tmp_path_factory):
    """The spec of a tiny CLIP with random weights, which open_clip knows by its name and finds in a file."""
    import json

    import torch
    from tiny_train import CLIP_CONFIG

    from ugicm_train import torchvision_schema

    torchvision_schema.declare()
    import open_clip

    folder = tmp_path_factory.mktemp("clip")
    (folder / "tiny-clip.json").write_text(json.dumps(CLIP_CONFIG))
    open_clip.add_model_config(folder / "tiny-clip.json")
    torch.manual_seed(0)
    model = open_clip.create_model("tiny-clip", pretrained=None, load_weights=False)
    torch.save(model.state_dict(), folder / "weights.pt")
    return f"open_clip:tiny-clip:{folder / 'weights.pt'}"


@pytest.fixture(scope="session")
def timm_spec(tmp_path_factory):
    """The spec of a small network of timm with random weights in a file."""
    import torch
    from safetensors.torch import save_file

    from ugicm_train import torchvision_schema

    torchvision_schema.declare()
    import timm

    torch.manual_seed(0)
    net = timm.create_model("mobilenetv2_035", pretrained=False, num_classes=5)
    path = tmp_path_factory.mktemp("timm") / "net.safetensors"
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)
    return f"timm:mobilenetv2_035:{path}"
