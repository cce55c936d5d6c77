"""What a picture file carries beside its colours, and the boxes of a stream that keep it.

    iccp   ICC profile that says what the colours of the picture mean; without it they are sRGB
    exif   Exif data: a TIFF structure, without the "Exif" prefix of JPEG; its orientation has been applied
    xmpd   XMP packet, UTF-8
    alph   alpha plane: a PNG file of 8-bit grey, as wide and high as the picture, 0 transparent .. 255 opaque
"""

import io
from dataclasses import dataclass

import numpy as np

from .bitstream import Box, Stream
from .errors import CorruptStreamError
from .tiles import Rect

ICC, EXIF, XMP, ALPHA = "iccp", "exif", "xmpd", "alph"


@dataclass(frozen=True)
class Metadata:
    """Everything is optional. icc, exif, xmp: bytes as in their boxes; alpha: (H, W) uint8."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    alpha: np.ndarray | None = None

    def to_boxes(self) -> tuple[Box, ...]:
        """The boxes of a stream that carry this."""
        kept = {ICC: self.icc, EXIF: self.exif, XMP: self.xmp}
        boxes = [Box(kind, data) for kind, data in kept.items() if data]
        if self.alpha is not None:
            boxes.append(Box(ALPHA, _pack_plane(self.alpha)))
        return tuple(boxes)

    def cropped(self, pixels: Rect) -> "Metadata":
        """The metadata of a part of the picture."""
        if self.alpha is None:
            return self
        part = self.alpha[pixels.top : pixels.bottom, pixels.left : pixels.right]
        return Metadata(self.icc, self.exif, self.xmp, part)

    def stripped(self) -> "Metadata":
        """Only what belongs to the picture itself, its alpha and the meaning of its colours."""
        return Metadata(icc=self.icc, alpha=self.alpha)


def of_stream(stream: Stream) -> Metadata:
    """The metadata in the boxes of a stream; raises `CorruptStreamError` for one that appears twice or an unusable alpha."""
    found: dict[str, bytes] = {}
    for box in stream.boxes:
        if box.type in (ICC, EXIF, XMP, ALPHA):
            if box.type in found:
                raise CorruptStreamError(f"box '{box.type}' appears twice, expected at most once")
            found[box.type] = box.payload
    alpha = _unpack_plane(found[ALPHA], stream.width, stream.height) if ALPHA in found else None
    return Metadata(found.get(ICC), found.get(EXIF), found.get(XMP), alpha)


def _pack_plane(alpha: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(alpha).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _unpack_plane(payload: bytes, width: int, height: int) -> np.ndarray:
    """The size is checked on the PNG header, before anything is allocated, so that the limit of `Image.open` would only be in the way."""
    from PIL.PngImagePlugin import PngImageFile

    try:
        with PngImageFile(io.BytesIO(payload)) as image:
            if (image.size, image.mode) != ((width, height), "L"):
                raise CorruptStreamError(
                    f"the alpha box holds a plane of {image.width}x{image.height} in mode {image.mode}, "
                    f"expected {width}x{height} in mode L"
                )
            return np.asarray(image)
    except CorruptStreamError:
        raise
    except Exception as error:  # Pillow raises anything from OSError to struct.error on a damaged file
        raise CorruptStreamError(f"the alpha box cannot be read ({error})") from error
