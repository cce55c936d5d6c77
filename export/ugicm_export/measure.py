"""What another set of engines of the same model costs: quality and rate against the fp32 engines, and speed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from ugicm_coder import EntropyModel

LEVELS = (5, 31, 60)
ROUNDS = 7


class Engines:
    """A pair of engines in ONNX Runtime on the CPU."""

    def __init__(self, encoder: bytes, decoder: bytes, threads: int = 0) -> None:
        """`threads` 0 leaves the choice to ONNX Runtime."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._encoder = ort.InferenceSession(encoder, options, providers=["CPUExecutionProvider"])
        self._decoder = ort.InferenceSession(decoder, options, providers=["CPUExecutionProvider"])

    def encode(self, picture: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        """(H,W,3) uint8 -> z (1,Z,..), r (1,M,..) int32."""
        z, r = self._encoder.run(["z", "r"], {"image": picture[None], "quality": np.array([level], np.float32)})
        return z, r

    def decode(self, z: np.ndarray, r: np.ndarray, level: float, preference: float) -> np.ndarray:
        """(H,W,3) uint8."""
        feeds = {"z": z, "r": r, "quality": np.array([level], np.float32), "preference": np.array([preference], np.float32)}
        return self._decoder.run(["image"], feeds)[0][0]


@dataclass(frozen=True)
class Loss:
    """Means over pictures and levels; the preference is 0 and 1 in turn."""

    psnr_loss: float  # dB to the original, fp32 encoder and decoder minus this encoder and decoder
    worst_psnr_loss: float  # the largest of them
    foreign_psnr_loss: float  # dB to the original, streams of the fp32 encoder read by this decoder
    psnr_to_fp32: float  # dB between the views of both decoders for the same symbols
    rate_change: float  # (bytes of this encoder) / (bytes of the fp32 encoder) - 1
    pictures: int

    def record(self) -> dict[str, Any]:
        """As JSON values, rounded to what means something."""
        return {key: round(value, 5) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Limits:
    """The largest loss a variant may have to be kept."""

    psnr_loss: float  # dB, mean
    rate_change: float  # share

    def broken_by(self, loss: Loss) -> str:
        """What is beyond the limit, empty if nothing is."""
        if not loss.psnr_loss <= self.psnr_loss:
            return f"it loses {loss.psnr_loss:.2f} dB PSNR, allowed {self.psnr_loss}"
        if not loss.foreign_psnr_loss <= self.psnr_loss:
            return f"it loses {loss.foreign_psnr_loss:.2f} dB PSNR on streams of the fp32 encoder, allowed {self.psnr_loss}"
        if not loss.rate_change <= self.rate_change:
            return f"its streams are {loss.rate_change:.2%} larger, allowed {self.rate_change:.2%}"
        return ""

    def share_used(self, loss: Loss) -> float:
        """1 at the limit."""
        worst = max(loss.psnr_loss, loss.foreign_psnr_loss)
        return max(worst / self.psnr_loss, loss.rate_change / self.rate_change)


def measure(
    fp32: Engines, other: Engines, entropy: EntropyModel, pictures: Sequence[np.ndarray], levels: Iterable[int] = LEVELS
) -> Loss:
    """Compare on pictures whose sides are multiples of 64."""
    rows, sizes = [], np.zeros(2)
    for level in levels:
        for number, picture in enumerate(pictures):
            preference = float(number % 2)
            ours, theirs = fp32.encode(picture, level), other.encode(picture, level)
            sizes += coded_size(entropy, *ours, level), coded_size(entropy, *theirs, level)
            reference = fp32.decode(*ours, level, preference)
            foreign = other.decode(*ours, level, preference)
            both = other.decode(*theirs, level, preference)
            wanted = psnr(reference, picture)
            rows.append((wanted - psnr(both, picture), wanted - psnr(foreign, picture), psnr(foreign, reference)))
    loss, foreign_loss, fidelity = np.array(rows).T
    return Loss(
        float(loss.mean()),
        float(loss.max()),
        float(foreign_loss.mean()),
        float(fidelity.mean()),
        float(sizes[1] / sizes[0] - 1),
        len(pictures),
    )


def coded_size(entropy: EntropyModel, z: np.ndarray, r: np.ndarray, level: float) -> int:
    """Bytes of the symbols of one picture (leading axis 1), without header."""
    narrow = z[0].astype(np.int16)
    indexes = entropy.scale_indexes(narrow, level)
    return len(entropy.encode_hyper(narrow, level)) + len(entropy.encode_residual(r[0].astype(np.int16), indexes))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """dB between two uint8 pictures, 100 if they are equal."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 100.0 if error == 0 else min(100.0, 10 * float(np.log10(255**2 / error)))


def speed_ratio(fp32: Engines, other: Engines, picture: np.ndarray) -> dict[str, float]:
    """How many times faster than the fp32 engines: best of several runs taken in turn, so that other load hurts both."""
    level = LEVELS[1]
    symbols = fp32.encode(picture, level)
    best = np.full((2, 2), np.inf)
    for _ in range(ROUNDS):
        for row, engines in enumerate((fp32, other)):
            start = time.perf_counter()
            engines.encode(picture, level)
            middle = time.perf_counter()
            engines.decode(*symbols, level, 0.0)
            best[row] = np.minimum(best[row], (middle - start, time.perf_counter() - middle))
    encoder, decoder = best[0] / best[1]
    return {"encoder": round(encoder, 2), "decoder": round(decoder, 2), "both": round(best[0].sum() / best[1].sum(), 2)}
