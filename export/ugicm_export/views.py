"""The two halves of a codec as the engines see them: 8-bit pixels and integer symbols in and out."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from ugicm_coder import QUALITY_STEPS

from ugicm_train.model.codec import PATCH, PIXELS, Codec
from ugicm_train.model.condition import PreferenceCondition
from ugicm_train.model.entropy import index_to_scale
from ugicm_train.model.guide import Guide
from ugicm_train.model.refine import refine_step, residual
from ugicm_train.model.structure import Structure


def pixel_order() -> Tensor:
    """Permutation (192,) of patch channels from colour, row, column (pixel_shuffle) to row, column, colour (memory).

    With the stem and the head in this order a picture becomes patches by moving runs of 24 bytes instead of
    single samples, which engines do faster.
    """
    return torch.arange(PIXELS).reshape(3, PATCH, PATCH).permute(1, 2, 0).flatten()


def frozen(codec: Codec) -> Codec:
    """A copy in evaluation mode with patch channels in `pixel_order` in stem and head."""
    copied = copy.deepcopy(codec).eval().requires_grad_(False)
    order = pixel_order()
    stem, head = copied.analysis.stem, copied.synthesis.head
    stem.weight.copy_(stem.weight[:, order].clone())
    head.weight.copy_(head.weight[order].clone())
    head.bias.copy_(head.bias[order].clone())
    return copied


def frozen_guide(guide: Guide) -> Guide:
    """A copy of a guide in evaluation mode with patch channels in `pixel_order`."""
    copied = copy.deepcopy(guide).eval().requires_grad_(False)
    copied.stem.weight.copy_(copied.stem.weight[:, pixel_order()].clone())
    return copied


def frozen_structure(structure: Structure) -> Structure:
    """A copy of a structure error with patch channels in `pixel_order`."""
    copied = copy.deepcopy(structure)
    copied.pool.copy_(copied.pool[:, pixel_order()].clone())
    return copied


class EncoderView(nn.Module):
    """image uint8 (N,H,W,3), quality float32 (N,) -> z int32 (N,Z,H/64,W/64), r int32 (N,M,H/16,W/16)."""

    def __init__(self, codec: Codec) -> None:
        """`codec` must be `frozen`."""
        super().__init__()
        self.codec = codec

    def forward(self, image: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        z, r = self.codec.encode_patches(_patches(image), quality)
        return z.to(torch.int32), r.to(torch.int32)


class RefinerView(nn.Module):
    """One refinement step and the symbols after it: (image, z, index, quality, offset, share, size[, guidance]) -> (moved, r).

    image uint8 (N,H,W,3); z and index int32, (N,Z,H/64,W/64) and (N,M,H/16,W/16), as they will be coded; quality float32 (N,);
    offset float32 (N,M,H/16,W/16) of the latent from what the analysis gives, zeros at first; share and size float32 (1,), and with
    a guide guidance float32 (1,), see `refine_step`. moved is the offset after the step; r int32 (N,M,H/16,W/16).
    """

    weights: Tensor

    def __init__(
        self, codec: Codec, weights: Tensor, structure: Structure | None = None, guide: Guide | None = None
    ) -> None:
        """`codec`, `structure` and `guide` must be `frozen`; weights (505,) as `level_weights` gives them."""
        super().__init__()
        self.codec, self.structure, self.guide = codec, structure, guide
        self.register_buffer("weights", weights)

    def forward(
        self,
        image: Tensor,
        z: Tensor,
        index: Tensor,
        quality: Tensor,
        offset: Tensor,
        share: Tensor,
        size: Tensor,
        guidance: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        patches, z = _patches(image), z.float()
        start = self.codec.analysis(patches, quality)
        weight = self.weights[(quality * QUALITY_STEPS).long()]
        scale = index_to_scale(index.float())
        y = start + offset
        y = refine_step(self.codec, patches, y, z, scale, quality, weight, share, size, self.structure, self.guide, guidance)
        return y - start, residual(self.codec, y, z, quality).to(torch.int32)


class DecoderView(nn.Module):
    """z, r int32, quality float32 (N,), preference float32 (V,) -> image uint8 (V,H,W,3), where N is V or 1.

    Several preferences of one picture share what comes before the first layer they act on.
    """

    def __init__(self, codec: Codec) -> None:
        """`codec` must be `frozen`."""
        super().__init__()
        self.codec = codec

    def forward(self, z: Tensor, r: Tensor, quality: Tensor, preference: Tensor) -> Tensor:
        return _pixels(self.codec.decode_patches(z.float(), r.float(), quality, preference))


class FoldedDecoderView(nn.Module):
    """z, r int32, quality float32 (N,) -> image uint8 (N,H,W,3), at one preference for the whole batch.

    What depends on the preference alone is a constant of the graph; at 0, where it acts on nothing, it is left out.
    """

    def __init__(self, codec: Codec, preference: float) -> None:
        """`codec` must be `frozen`; this view changes it."""
        super().__init__()
        self.codec = codec
        synthesis = codec.synthesis
        synthesis.preference = _Fixed(synthesis.preference, preference)  # type: ignore[assignment]
        for block in [*synthesis.blocks16, *synthesis.blocks8]:
            if preference == 0:
                block.preference_modulation = None

    def forward(self, z: Tensor, r: Tensor, quality: Tensor) -> Tensor:
        return _pixels(self.codec.decode_patches(z.float(), r.float(), quality, torch.zeros_like(quality)))


def _patches(image: Tensor) -> Tensor:
    """uint8 (N,8h,8w,3) -> patches (N,192,h,w) in [0,1], channels in `pixel_order`."""
    batch, height, width, _ = image.shape
    rows = image.reshape(batch, height // PATCH, PATCH, width // PATCH, 3 * PATCH).permute(0, 1, 3, 2, 4)
    return rows.reshape(batch, height // PATCH, width // PATCH, PIXELS).permute(0, 3, 1, 2).float() / 255


def _pixels(patches: Tensor) -> Tensor:
    """Patches (N,192,h,w), channels in `pixel_order` -> uint8 (N,8h,8w,3)."""
    pixels = (patches.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1)
    batch, height, width, _ = pixels.shape
    rows = pixels.reshape(batch, height, width, PATCH, 3 * PATCH).permute(0, 1, 3, 2, 4)
    return rows.reshape(batch, height * PATCH, width * PATCH, 3)


class _Fixed(nn.Module):
    """The vector of one preference, whichever is asked for; None for 0, which acts on nothing."""

    value: Tensor

    def __init__(self, condition: PreferenceCondition, preference: float) -> None:
        super().__init__()
        self.condition = condition if preference else None
        self.register_buffer("value", torch.tensor([preference]))

    def forward(self, level: Tensor, preference: Tensor) -> Tensor | None:
        return None if self.condition is None else self.condition(level, self.value)
