"""Let torchvision be imported beside a torch build that lacks its compiled operators.

compressai, open_clip and timm import torchvision, whose wheel registers fake kernels for `torchvision::nms`; with a
CPU torch from another index the compiled library does not load and the import fails with "operator torchvision::nms does
not exist". Declaring the schemas first is enough, and harmless where the operators exist.
"""

from __future__ import annotations

import functools

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


@functools.cache
def declare() -> torch.library.Library:
    """Declare the schemas once per process; the returned library must stay alive, which the cache sees to."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    return library
