"""Triton Python model: a picture and a quality become a .ugic stream; the encoder engine runs as the model ugicm_encoder."""

from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
import ugicm_coder
from ugicm import entropy
from ugicm.bitstream import DEFAULT_BAND_HEIGHT, Stream, check_size, padded, serialise
from ugicm.bundle import Bundle
from ugicm.checks import quality_to_level
from ugicm.engines import cut
from ugicm.errors import UgicmError
from ugicm.manifest import ENTROPY
from ugicm.tiles import Rect

MAX_PIXELS = 1 << 26


class TritonPythonModel:
    """One instance; requests are answered one by one."""

    def initialize(self, args):
        """Open the bundle beside this file."""
        bundle = Bundle.open(Path(__file__).parent / "bundle")
        self.fingerprint = bundle.manifest.fingerprint
        self.model = ugicm_coder.EntropyModel(bundle.read(ENTROPY))

    def execute(self, requests):
        """A response for each request, an error response where it cannot be served."""
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        try:
            image = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
            quality = float(pb_utils.get_input_tensor_by_name(request, "quality").as_numpy()[0])
            stream = self._encode(image, quality)
        except UgicmError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        data = np.frombuffer(stream, np.uint8)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("stream", data)])

    def _encode(self, image, quality):
        height, width = image.shape[:2]
        check_size(width, height, MAX_PIXELS)
        level = quality_to_level(quality)
        call = pb_utils.InferenceRequest(
            model_name="ugicm_encoder",
            requested_output_names=["z", "r"],
            inputs=[
                pb_utils.Tensor("image", cut(image, Rect(0, 0, padded(height), padded(width)))[None]),
                pb_utils.Tensor("quality", np.array([[level]], np.float32)),
            ],
        )
        response = call.exec()
        if response.has_error():
            raise UgicmError(f"the encoder engine failed: {response.error().message()}")
        z, r = (pb_utils.get_output_tensor_by_name(response, name).as_numpy()[0] for name in ("z", "r"))
        symbols = entropy.Symbols(z.astype(np.int16), r.astype(np.int16), level)
        coded_z, bands = entropy.encode(self.model, symbols, DEFAULT_BAND_HEIGHT, 1, entropy.NoClock())
        return serialise(Stream(width, height, level, self.fingerprint, coded_z, bands, DEFAULT_BAND_HEIGHT, ()))
