"""Frozen networks whose features say what a picture means: the machine objective without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ugicm_train import torchvision_schema


class Teacher(Protocol):
    """Differentiable distance between a view and its original."""

    def distance(self, view: Tensor, x: Tensor, scale: float = 1.0) -> Tensor:
        """(N,3,H,W) in [0,1] twice -> (N,), 0 for equal pictures and around 1 for unrelated ones.

        Both are first shrunk by `scale` (antialiased), at most 1.
        """
        ...


class MobileNetTeacher(nn.Module):
    """MobileNetV2 (timm `mobilenetv2_100`, TensorFlow padding) from a local safetensors file, seen at seven depths.

    Distance: mean over the depths of |a - b|^2 / |b|^2, a and b the features of the view and of the original.
    """

    DEPTHS = (1, 2, 3, 4, 5, 6)

    def __init__(self, weights: str | Path) -> None:
        super().__init__()
        torchvision_schema.declare()
        import timm
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(
                f"teacher weights {path} do not exist; give a safetensors file of timm mobilenetv2_100"
            )
        self.net: Any = timm.create_model("mobilenetv2_100", pretrained=False, pad_type="same", num_classes=1000)
        try:
            weights_of_file = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged or not a safetensors file: {error}") from None
        missing, unexpected = self.net.load_state_dict(weights_of_file, strict=False)
        wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + list(unexpected)
        if wrong:
            raise ValueError(f"{path} is not a timm mobilenetv2_100 file: unmatched tensors {wrong[:4]}")
        self.requires_grad_(False)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval()

    def train(self, mode: bool = True) -> MobileNetTeacher:
        """Always evaluation: the file holds no training statistics."""
        return super().train(False)

    def features(self, x: Tensor) -> list[Tensor]:
        """Feature maps of (N,3,H,W) in [0,1] after six block groups and the head."""
        x = x.contiguous(memory_format=torch.channels_last)
        h = self.net.bn1(self.net.conv_stem(x * 2 - 1))
        found = []
        for depth, block in enumerate(self.net.blocks):
            h = block(h)
            if depth in self.DEPTHS:
                found.append(h)
        return [*found, self.net.bn2(self.net.conv_head(h))]

    def distance(self, view: Tensor, x: Tensor, scale: float = 1.0) -> Tensor:
        if scale != 1.0:
            view, x = (F.interpolate(t, scale_factor=scale, mode="bilinear", antialias=True) for t in (view, x))
        with torch.no_grad():
            wanted = self.features(x)
        total = torch.zeros(len(x), device=x.device)
        for found, original in zip(self.features(view), wanted, strict=True):
            a, b = found.float(), original.float()
            total = total + (a - b).square().sum((1, 2, 3)) / b.square().sum((1, 2, 3)).clamp_min(1e-6)
        return total / len(wanted)
