"""The shipped checkpoint on Kodak photos: fp32 engines against torch, and what the int8 and fp16 engines lose."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ugicm_coder import EntropyModel
from ugicm_export.entropy import entropy_file
from ugicm_export.half import rounded_to_half
from ugicm_export.measure import Engines, coded_size, measure
from ugicm_export.onnx_export import decoder_onnx, encoder_onnx
from ugicm_export.pictures import picture_files, read_crop, spread

from ugicm_train.checkpoint import load_codec
from ugicm_train.model.codec import PATCH, Codec

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "nano"
DATA = ROOT.parent / "shared" / "data"
KODAK, TRAIN = DATA / "eval" / "kodak", DATA / "train" / "photos"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.weights,
    pytest.mark.skipif(not MODEL.exists(), reason="this tree has no models/nano"),
    pytest.mark.skipif(not KODAK.is_dir(), reason="the shared data is not beside the repository"),
    pytest.mark.skipif("UGICM_EXHAUSTIVE" not in os.environ, reason="takes a quarter of an hour: set UGICM_EXHAUSTIVE=1"),
]


@pytest.fixture(scope="module")
def codec() -> Codec:
    return rounded_to_half(load_codec(MODEL)[0])


@torch.no_grad()
def test_fp32_engines_compute_what_torch_computes(codec: Codec) -> None:
    """24 photos, 4 rates, 3 preferences: z and r equal but for rounding ties, pixels but for 1 in 10,000 by one step.

    A tie in z moves means, and with them some of r, so after one the r of that picture is not compared.
    """
    engines = Engines(encoder_onnx(codec), decoder_onnx(codec))
    entropy = EntropyModel(entropy_file(codec))
    counts = np.zeros(4, np.int64)  # symbols of r, differing ones, samples, differing ones
    sizes = np.zeros(2)
    hyper_ties = 0
    for path in picture_files(KODAK, 24):
        picture = read_crop(path)
        x = torch.tensor(picture).permute(2, 0, 1)[None].float() / 255
        for level in (0, 21, 42, 63):
            quality = torch.tensor([level])
            z, r = engines.encode(picture, level)
            wanted_z, wanted_r = (symbols.numpy().astype(np.int32) for symbols in codec.encode(x, quality))
            differing = z != wanted_z
            if differing.any():
                unrounded = codec.hyper_analysis(codec.analysis(F.pixel_unshuffle(x, PATCH), quality)).numpy()
                assert np.abs(unrounded[differing] % 1 - 0.5).max() < 1e-4
                hyper_ties += differing.sum()
            else:
                counts[:2] += r.size, (r != wanted_r).sum()
            sizes += coded_size(entropy, z, r, level), coded_size(entropy, wanted_z, wanted_r, level)
            for preference in (0.0, 0.5, 1.0):
                symbols = torch.from_numpy(z).float(), torch.from_numpy(r).float()
                view = codec.decode(*symbols, quality, torch.tensor([preference]))[0]
                wanted = (view * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()
                difference = np.abs(engines.decode(z, r, level, preference).astype(int) - wanted)
                assert difference.max() <= 1
                counts[2:] += difference.size, (difference > 0).sum()
    print("symbols of r, differing, samples, differing:", *counts, "ties in z:", hyper_ties, "rate:", sizes[0] / sizes[1])
    assert hyper_ties <= 3
    assert counts[1] <= 1e-5 * counts[0]
    assert counts[3] <= 1e-4 * counts[2]
    assert abs(sizes[0] / sizes[1] - 1) <= 1e-4


def test_what_int8_and_fp16_lose_on_kodak(codec: Codec) -> None:
    from ugicm_export import fp16, int8

    encoder, decoder, entropy = encoder_onnx(codec), decoder_onnx(codec), entropy_file(codec)
    fp32 = Engines(encoder, decoder)
    found = int8.quantise(codec, fp32, entropy, TRAIN, 17, print)
    pictures = [read_crop(path) for path in spread(picture_files(KODAK), 6)]
    for name, engines, limits in (
        ("int8", Engines(found.encoder, found.decoder), int8.LIMITS),
        ("fp16", Engines(fp16.half_precision(encoder), fp16.half_precision(decoder)), fp16.LIMITS),
    ):
        loss = measure(fp32, engines, EntropyModel(entropy), pictures)
        print(name, loss)
        assert limits.broken_by(loss) == ""
