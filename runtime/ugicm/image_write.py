"""Decoded pictures as files: which format a name asks for, and its bytes."""

import io
import os
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .errors import ImageError, OptionError
from .image import EXIF_PREFIX, PNG_XMP, over_white
from .metadata import Metadata

# Options of `Image.save`. WebP is written without loss; PNG level 2 is three times faster than the default, no larger.
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 2},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "quality": 20, "exact": True},
    "PPM": {},
    "NPY": {},
}
FORMAT_OF_SUFFIX = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".ppm": "PPM",
    ".npy": "NPY",
}
NO_METADATA = Metadata()
_WITH_ALPHA = {"PNG", "WEBP", "NPY"}



def format_for(path: str | os.PathLike[str]) -> str:
    """The format, a key of `SAVE_OPTIONS`, that the suffix of `path` asks for; raises `OptionError`."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in FORMAT_OF_SUFFIX:
        known = ", ".join(sorted(FORMAT_OF_SUFFIX))
        raise OptionError(f"'{os.fspath(path)}' does not say what kind of picture to write; use one of {known}")
    return FORMAT_OF_SUFFIX[suffix]


def encode_image(array: np.ndarray, image_format: str, metadata: Metadata = NO_METADATA) -> bytes:
    """The bytes of a picture file for a (H, W, 3) uint8 array; `image_format` is a key of `SAVE_OPTIONS`.

    Alpha goes into PNG, WebP and NPY, whose array then is (H, W, 4); the others get the picture laid on white. PNG, JPEG
    and WebP take the rest of the metadata, PPM and NPY have no room for it. Raises `ImageError`.
    """
    if metadata.alpha is not None:
        if image_format in _WITH_ALPHA:
            array = np.concatenate([array, metadata.alpha[..., None]], axis=2)
        else:
            array = over_white(array, metadata.alpha)
    buffer = io.BytesIO()
    if image_format == "NPY":
        np.save(buffer, array)
        return buffer.getvalue()
    options = SAVE_OPTIONS[image_format] | _metadata_options(image_format, metadata)
    try:
        Image.fromarray(array).save(buffer, image_format, **options)
    except (OSError, ValueError) as error:
        hint = "; write PNG or WebP, or leave Exif and XMP out with --strip" if metadata.exif or metadata.xmp else ""
        raise ImageError(
            f"cannot write a picture of {array.shape[1]}x{array.shape[0]} as {image_format}: {error}{hint}"
        ) from error
    return buffer.getvalue()


def _metadata_options(image_format: str, metadata: Metadata) -> dict[str, Any]:
    """Options of `Image.save` that make Pillow write the metadata."""
    if image_format == "PPM":
        return {}
    options: dict[str, Any] = {}
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if metadata.exif:
        options["exif"] = EXIF_PREFIX + metadata.exif
    if metadata.xmp and image_format == "PNG":
        text = PngInfo()
        text.add_itxt(PNG_XMP, metadata.xmp.decode("utf-8", "replace"))
        options["pnginfo"] = text
    elif metadata.xmp:
        options["xmp"] = metadata.xmp
    return options
