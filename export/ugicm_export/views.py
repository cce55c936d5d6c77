"""The two halves of a codec as the engines see them: 8-bit pixels and integer symbols in and out."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ugicm_train.model.codec import PATCH, Codec
from ugicm_train.model.layers import QualityTable


class _StoredTable(nn.Module):
    """A quality table with all its levels written out: level (N,) -> (N, width)."""

    values: Tensor

    def __init__(self, table: QualityTable) -> None:
        super().__init__()
        self.register_buffer("values", table.table().detach().clone())

    def forward(self, level: Tensor) -> Tensor:
        return self.values[level]


def frozen(codec: Codec) -> Codec:
    """A copy in evaluation mode whose quality tables are stored, so that no engine interpolates at run time."""
    copied = copy.deepcopy(codec).eval().requires_grad_(False)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if isinstance(child, QualityTable):
                setattr(module, name, _StoredTable(child))
    return copied


class EncoderView(nn.Module):
    """image uint8 (N,H,W,3), quality int64 (N,) -> z int32 (N,Z,H/64,W/64), r int32 (N,M,H/16,W/16)."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, image: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        z, r = self.codec.encode(image.permute(0, 3, 1, 2).float() / 255, quality)
        return z.to(torch.int32), r.to(torch.int32)


class DecoderView(nn.Module):
    """z, r int32, quality int64 (N,), preference float32 (N,) -> image uint8 (N,H,W,3)."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, z: Tensor, r: Tensor, quality: Tensor, preference: Tensor) -> Tensor:
        patches = self.codec.decode_patches(z.float(), r.float(), quality, preference)
        pixels = (patches.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
        batch, _, height, width = pixels.shape
        pixels = pixels.reshape(batch, 3, PATCH, PATCH, height, width).permute(0, 4, 2, 5, 3, 1)
        return pixels.reshape(batch, height * PATCH, width * PATCH, 3)
