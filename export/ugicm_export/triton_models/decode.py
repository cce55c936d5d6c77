"""Triton Python model: a .ugic stream and a preference become a picture; the decoder engine runs as the model ugicm_decoder."""

from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from ugicm import Codec
from ugicm.bitstream import parse
from ugicm.errors import OptionError, UgicmError

MAX_PIXELS = 1 << 26


class TritonPythonModel:
    """One instance; requests are answered one by one."""

    def initialize(self, args):
        """Open the bundle beside this file; its engines are never loaded here."""
        self.codec = Codec.open(Path(__file__).parent / "bundle", threads=1, max_pixels=MAX_PIXELS)

    def execute(self, requests):
        """A response for each request, an error response where it cannot be served."""
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        try:
            stream = pb_utils.get_input_tensor_by_name(request, "stream").as_numpy().tobytes()
            preference = float(pb_utils.get_input_tensor_by_name(request, "preference").as_numpy()[0])
            picture = self._decode(stream, preference)
        except UgicmError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("image", picture)])

    def _decode(self, stream, preference):
        if not 0 <= preference <= 1:
            raise OptionError(f"preference is {preference}, expected 0..1")
        symbols = self.codec.decode_symbols(stream)
        header = parse(stream, MAX_PIXELS)
        call = pb_utils.InferenceRequest(
            model_name="ugicm_decoder",
            requested_output_names=["image"],
            inputs=[
                pb_utils.Tensor("z", symbols.z[None].astype(np.int32)),
                pb_utils.Tensor("r", symbols.r[None].astype(np.int32)),
                pb_utils.Tensor("quality", np.array([[symbols.level]], np.float32)),
                pb_utils.Tensor("preference", np.array([[preference]], np.float32)),
            ],
        )
        response = call.exec()
        if response.has_error():
            raise UgicmError(f"the decoder engine failed: {response.error().message()}")
        picture = pb_utils.get_output_tensor_by_name(response, "image").as_numpy()[0]
        return np.ascontiguousarray(picture[: header.height, : header.width])
