"""CompressAI models as codecs, for timing: the weights are random, so rate and quality mean nothing."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from .errors import BenchmarkError

PREFIX = "compressai-"
_MULTIPLE = 64
_HEADER = "<6I"  # width, height, hyper rows, hyper columns, bytes of the latent stream, bytes of the hyper stream


class CompressAiCodec:
    """One model of CompressAI's zoo, pixels to bytes and back, with the number of threads torch is set to."""

    def __init__(self, model: str = "mbt2018_mean", quality: int = 4) -> None:
        """Raises `BenchmarkError` if CompressAI or torch is not installed."""
        try:
            from ugicm_train.torchvision_schema import declare

            declare()
            import compressai
            import compressai.zoo
        except ImportError as error:
            raise BenchmarkError(f"speed needs CompressAI ({error}); install the bench extra") from error
        import torch

        torch.manual_seed(0)
        self.model = model
        self.name = PREFIX + model.replace("_", "-")
        self.views = (self.name,)
        self._settings = {
            "codec": f"CompressAI {model}, quality {quality}, random weights",
            "versions": {"compressai": compressai.__version__, "torch": torch.__version__},
        }
        self._net = getattr(compressai.zoo, model)(quality, pretrained=False).eval()
        self._net.update()

    def settings(self) -> dict[str, Any]:
        """See `codecs.ImageCodec`."""
        return self._settings

    def qualities(self, suite: str) -> tuple[int, ...]:
        """None: the model has one rate, and without trained weights no quality."""
        return ()

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        """See `codecs.ImageCodec`; `quality` is ignored."""
        import torch

        height, width = image.shape[:2]
        padded = np.pad(image, ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0)), mode="edge")
        with torch.inference_mode():
            x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
            out = self._net.compress(x)
        (latent,), (hyper,) = out["strings"]
        return struct.pack(_HEADER, width, height, *out["shape"], len(latent), len(hyper)) + latent + hyper

    def decode(self, data: bytes, view: str) -> np.ndarray:
        """See `codecs.ImageCodec`."""
        import torch

        start = struct.calcsize(_HEADER)
        width, height, rows, columns, latent, hyper = struct.unpack(_HEADER, data[:start])
        strings = [[data[start : start + latent]], [data[start + latent : start + latent + hyper]]]
        with torch.inference_mode():
            x = self._net.decompress(strings, (rows, columns))["x_hat"]
            pixels = (x[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
        return np.ascontiguousarray(pixels.numpy()[:height, :width])
