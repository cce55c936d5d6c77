"""Networks of timm as teachers, with weights from a local file."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import torch
from torch import Tensor

from ugicm_train import torchvision_schema
from ugicm_train.teachers.base import FeatureTeacher, Seen, resized


def read_weights(path: Path, wanted: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file or of a torch file with nothing but tensors; `wanted` names what should be in it."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise FileNotFoundError(f"teacher weights {path} do not exist; give a file of {wanted}")
    try:
        if path.suffix in (".pt", ".pth", ".bin"):
            found = torch.load(path, map_location="cpu", weights_only=True)
            return found.get("state_dict", found)
        return load_file(path)
    except (SafetensorError, RuntimeError, EOFError, AttributeError) as error:
        raise ValueError(f"{path} is damaged or not a safetensors file: {error}") from None
    except Exception as error:  # what torch.load raises for foreign bytes is not one class
        raise ValueError(f"{path} cannot be read as torch weights: {type(error).__name__} {error}") from None


def create(arch: str, weights: str | Path, **options: Any) -> Any:
    """A timm network with the weights of a file; ValueError if they do not fit it."""
    torchvision_schema.declare()
    import timm

    if not timm.is_model(arch):
        raise ValueError(f"timm has no network {arch!r}; timm.list_models() names them")
    path = Path(weights)
    tensors = read_weights(path, f"timm {arch}")
    head = next((tensors[name] for name in ("classifier.weight", "head.weight", "fc.weight") if name in tensors), None)
    classes = 1000 if head is None else len(head)
    net = timm.create_model(arch, pretrained=False, num_classes=classes, **options)
    missing, unexpected = net.load_state_dict(tensors, strict=False)
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + list(unexpected)
    if wrong:
        raise ValueError(f"{path} is not a timm {arch} file: unmatched tensors {wrong[:4]}")
    return net


class MobileNetTeacher(FeatureTeacher):
    """MobileNetV2 (timm `mobilenetv2_100`, TensorFlow padding) from a local safetensors file, seen at seven depths."""

    DEPTHS = (1, 2, 3, 4, 5, 6)

    def __init__(self, weights: str | Path) -> None:
        super().__init__()
        self.net: Any = create("mobilenetv2_100", weights, pad_type="same")
        self.freeze()

    def look(self, x: Tensor) -> Seen:
        """Feature maps after six block groups and the head, at the picture's own size; the embedding is the head's mean."""
        x = x.contiguous(memory_format=torch.channels_last)
        h = self.net.bn1(self.net.conv_stem(x * 2 - 1))
        found = []
        for depth, block in enumerate(self.net.blocks):
            h = block(h)
            if depth in self.DEPTHS:
                found.append(h)
        head = self.net.bn2(self.net.conv_head(h))
        return Seen([*found, head], head.mean((2, 3)))


class TimmTeacher(FeatureTeacher):
    """Any network of timm with `forward_intermediates`: its feature maps and its pooled embedding.

    `mean` and `std` replace timm's own normalisation of the architecture. Pictures are resized (antialiased) where the
    architecture has a fixed input size, and looked at as they are otherwise.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, arch: str, weights: str | Path, mean: float | None = None, std: float | None = None, **options: Any
    ) -> None:
        super().__init__()
        self.net: Any = create(arch, weights, **options)
        settings = self.net.pretrained_cfg
        for name, given in (("mean", mean), ("std", std)):
            value = settings[name] if given is None else (given,) * 3
            self.register_buffer(name, torch.tensor(value).reshape(1, 3, 1, 1), persistent=False)
        self.size = tuple(settings["input_size"][1:]) if settings.get("fixed_input_size") else None
        self.freeze()

    def look(self, x: Tensor) -> Seen:
        if self.size:
            x = resized(x, *self.size)
        final, maps = self.net.forward_intermediates((x - self.mean) / self.std)
        return Seen(maps, self.net.forward_head(final, pre_logits=True).flatten(1))


def open_timm(spec: str, rest: str) -> TimmTeacher:
    """The teacher of `ARCH:FILE` or `ARCH:FILE?mean=..&std=..&pad_type=..`; `spec` is what a message shows."""
    arch, _, place = rest.partition(":")
    file, _, query = place.partition("?")
    if not arch or not file:
        raise ValueError(f"teacher {spec!r} is not timm:ARCH:FILE")
    options: dict[str, Any] = dict(parse_qsl(query))
    unknown = sorted(options.keys() - {"mean", "std", "pad_type"})
    if unknown:
        raise ValueError(f"teacher {spec!r} has unknown options {unknown}; known: mean, std, pad_type")
    for name in ("mean", "std"):
        if name in options:
            options[name] = float(options[name])
    return TimmTeacher(arch, file, **options)
