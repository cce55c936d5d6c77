"""Compare engines and entropy model with torch on pictures of several kinds, sizes, qualities and preferences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
import torch.nn.functional as F
from ugicm_coder import QUALITY_STEPS, EntropyModel

from ugicm_export.pictures import sample_pictures
from ugicm_train.config import NetworkConfig
from ugicm_train.model.codec import PATCH, Codec
from ugicm_train.model.entropy import index_to_scale
from ugicm_train.model.guide import Guide
from ugicm_train.model.refine import refine, schedule
from ugicm_train.model.structure import Structure

LEVELS = (5, 31.125, 60)
"""Whole ones and one between."""
PREFERENCES = (0.0, 0.5, 1.0)
SYMBOL_TOLERANCE = 1e-4
"""Largest share of symbols that may differ: a value within float rounding of a half rounds either way."""
PIXEL_TOLERANCE = 1e-4
"""Largest share of samples that may differ."""
REFINED_EFFORT = 3
GUIDANCES = (0.0, 0.5, 1.0)
REFINED_TOLERANCE = 1e-3
"""Largest share of symbols that may differ after `REFINED_EFFORT` steps: each rounds, and the next starts from the outcome."""
PIXEL_STEPS = 1
"""Largest difference of a sample, in steps of 1/255, unless another is asked for."""


class VerificationError(RuntimeError):
    """The exported files do not compute what the checkpoint computes."""


@dataclass
class Verification:
    """Counts over all comparisons; kept in the manifest."""

    pictures: int = 0
    symbols: int = 0
    differing_symbols: int = 0
    samples: int = 0
    differing_samples: int = 0
    largest_sample_difference: int = 0
    scale_indexes: int = 0
    differing_scale_indexes: int = 0
    changed_symbols: int = 0
    allowed_sample_difference: int = PIXEL_STEPS

    def check(self) -> None:
        """VerificationError naming the first limit that is broken."""
        if self.differing_scale_indexes:
            raise VerificationError(
                f"{self.differing_scale_indexes} of {self.scale_indexes} scale indexes of entropy.bin differ from the "
                "checkpoint's; streams would not decode, nothing was written"
            )
        if self.changed_symbols:
            raise VerificationError(
                f"{self.changed_symbols} symbols came back changed from the entropy coder; nothing was written"
            )
        if self.differing_symbols > SYMBOL_TOLERANCE * self.symbols:
            raise VerificationError(
                f"{self.differing_symbols} of {self.symbols} symbols of encoder.onnx differ from torch "
                f"(allowed share {SYMBOL_TOLERANCE}); nothing was written"
            )
        if self.largest_sample_difference > self.allowed_sample_difference or self.differing_samples > PIXEL_TOLERANCE * self.samples:
            raise VerificationError(
                f"{self.differing_samples} of {self.samples} samples of decoder.onnx differ from torch, by up to "
                f"{self.largest_sample_difference} steps (allowed: {self.allowed_sample_difference} steps, share {PIXEL_TOLERANCE}); "
                "nothing was written"
            )

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"onnxruntime": ort.__version__, "torch": torch.__version__}


def _session(model: bytes) -> Callable[..., list[np.ndarray]]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return lambda **inputs: session.run(None, inputs)


def _count(found: np.ndarray, expected: np.ndarray) -> tuple[int, int]:
    return found.size, int((found != expected).sum())


@torch.no_grad()
def verify(
    codec: Codec,
    encoder: bytes,
    decoder: bytes,
    entropy: bytes,
    progress: Callable[[str], None] = lambda text: None,
    pixel_steps: int = PIXEL_STEPS,
) -> Verification:
    """Run every comparison and return the counts; VerificationError if a limit is broken.

    The reference is `codec.encode` and `codec.decode` themselves, not the views that the engines were traced from.
    """
    found = Verification(allowed_sample_difference=pixel_steps)
    run_encoder, run_decoder = _session(encoder), _session(decoder)
    model = EntropyModel(entropy)
    for picture in sample_pictures():
        x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        for level, preference in zip(LEVELS, PREFERENCES):
            quality, beta = np.array([level], np.float32), np.array([preference], np.float32)
            levels = torch.from_numpy(quality)
            z, r = run_encoder(image=picture[None], quality=quality)
            for got, reference in zip((z, r), codec.encode(x, levels)):
                size, different = _count(got, reference.numpy())
                found.symbols += size
                found.differing_symbols += different
                if different:
                    break  # a rounding tie in z moves means, and with them hundreds of symbols of r
            (view,) = run_decoder(z=z, r=r, quality=quality, preference=beta)
            symbols = (torch.from_numpy(z).float(), torch.from_numpy(r).float())
            wanted = codec.decode(*symbols, levels, torch.from_numpy(beta))
            expected = (wanted * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy()
            difference = np.abs(view.astype(int) - expected)
            found.pictures += 1
            found.samples += view.size
            found.differing_samples += int((difference > 0).sum())
            found.largest_sample_difference = max(found.largest_sample_difference, int(difference.max()))
            _verify_entropy(found, codec, model, z[0].astype(np.int16), r[0].astype(np.int16), level)
            progress(f"verified {picture.shape[1]}x{picture.shape[0]} at level {level}, preference {preference}")
    found.check()
    return found


def _verify_entropy(
    found: Verification, codec: Codec, model: EntropyModel, z: np.ndarray, r: np.ndarray, level: float
) -> None:
    """Scale indexes of the residual against torch, and the symbols of both latents through the coder and back."""
    quality = torch.tensor([level])
    indexes = model.scale_indexes(z, level)
    expected = codec.scale_network(torch.from_numpy(z).float()[None], quality)[0].numpy()
    size, different = _count(indexes, expected)
    found.scale_indexes += size
    found.differing_scale_indexes += different
    coded_z, coded_r = model.encode_hyper(z, level), model.encode_residual(r, indexes)
    back = (model.decode_hyper(coded_z, z.shape[1], z.shape[2], level), model.decode_residual(coded_r, indexes))
    found.changed_symbols += int((back[0] != z).sum() + (back[1] != r).sum())


def verify_folded(decoder: bytes, folded: bytes, preference: float, config: NetworkConfig, pixel_steps: int) -> None:
    """VerificationError unless a folded decoder gives the view of the general one at its preference, for random symbols."""
    rng = np.random.default_rng(0)
    for level in LEVELS:
        symbols = {
            "z": rng.integers(-8, 9, (1, config.hyper, 2, 3), dtype=np.int32),
            "r": rng.integers(-3, 4, (1, config.latent, 8, 12), dtype=np.int32),
            "quality": np.array([level], np.float32),
        }
        (wanted,) = _session(decoder)(**symbols, preference=np.array([preference], np.float32))
        (view,) = _session(folded)(**symbols)
        difference = np.abs(view.astype(int) - wanted)
        if difference.max() > pixel_steps or (difference > 0).mean() > PIXEL_TOLERANCE:
            raise VerificationError(
                f"the decoder folded to preference {preference} differs from decoder.onnx in {int((difference > 0).sum())} "
                f"of {view.size} samples, by up to {int(difference.max())} steps; nothing was written"
            )


@torch.no_grad()
def verify_refiner(
    codec: Codec,
    weights: torch.Tensor,
    structure: Structure | None,
    guide: Guide | None,
    file: str,
    refiner: bytes,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Compare `REFINED_EFFORT` steps of the engine with `refine`; counts for the manifest, or VerificationError.

    With a guide the lowest of `LEVELS` has none of its guidance, the highest all of it.
    """
    run = _session(refiner)
    symbols = differing = 0
    for picture in sample_pictures():
        patches = F.pixel_unshuffle(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255, PATCH)
        for level, guidance in zip(LEVELS, GUIDANCES, strict=True):
            levels = torch.tensor([level])
            z, r = codec.encode_patches(patches, levels)
            index = codec.scale_network(z, levels)
            weight = weights[(levels * QUALITY_STEPS).long()]
            scale = index_to_scale(index)
            expected = refine(codec, patches, z, scale, levels, weight, REFINED_EFFORT, structure, guide, guidance)
            feeds = {
                "image": picture[None],
                "z": z.numpy().astype(np.int32),
                "index": index.numpy().astype(np.int32),
                "quality": np.array([level], np.float32),
                "offset": np.zeros(r.shape, np.float32),
            }
            if guide is not None:
                feeds["guidance"] = np.array([guidance], np.float32)
            for share, step in schedule(REFINED_EFFORT):
                steps = {"share": np.array([share], np.float32), "size": np.array([step], np.float32)}
                feeds["offset"], found = run(**feeds, **steps)
            size, different = _count(found, expected.numpy())
            symbols += size
            differing += different
    progress(f"verified {symbols} refined symbols, {differing} of them differ")
    if differing > REFINED_TOLERANCE * symbols:
        raise VerificationError(
            f"{differing} of {symbols} symbols of {file} differ from torch after {REFINED_EFFORT} steps "
            f"(allowed share {REFINED_TOLERANCE}); nothing was written"
        )
    share = 0.0 if structure is None else structure.share
    return {"effort": REFINED_EFFORT, "structure": share, "symbols": symbols, "differing_symbols": differing}
