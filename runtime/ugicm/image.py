"""Pictures in and out of files. Inside the codec a picture is a uint8 array (H, W, 3), sRGB; others become one so:

- 1 bit, grey, palette, RGB, YCbCr, HSV: converted without loss of meaning; 16-bit grey is rounded to 8 bits (v / 257),
  16-bit colour is cut to its upper 8 bits by Pillow; floating-point pictures are refused.
- Alpha: dropped if opaque everywhere, else the picture is laid on white, with a note.
- ICC profile: converted to sRGB, CMYK included; CMYK without a profile is converted by the plain formula, with a note.
- Exif orientation is applied. Animations and multi-page files are refused. Other metadata is not kept.
"""

import io
import os
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .bitstream import DEFAULT_MAX_PIXELS, check_size
from .errors import ImageError, OptionError, UgicmError

# Options of `Image.save`. WebP is written without loss; PNG level 2 is three times faster than the default, no larger.
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 2},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "quality": 20},
    "PPM": {},
}
FORMAT_OF_SUFFIX = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".ppm": "PPM"}
_PROFILE_SPACE = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}


def to_rgb(image: Image.Image) -> tuple[np.ndarray, list[str]]:
    """Turn any still Pillow image into a (H, W, 3) uint8 array by the rules above.

    Returns the array and notes, one sentence for each thing a user should know was changed. Raises `ImageError`.
    """
    try:
        # Cameras append previews to JPEG files, which Pillow then calls MPO; the first picture is the photo.
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            raise ImageError(
                f"the picture has {frames} frames or pages, only still ones can be encoded; extract one first"
            )
        image.load()
        colour, alpha = _split_alpha(_to_8_bits(ImageOps.exif_transpose(image)))
        rgb, notes = _to_srgb(colour, image.info.get("icc_profile"))
    except UgicmError:
        raise
    except Exception as error:  # Pillow's many readers raise anything from OSError to struct.error on a damaged file
        raise ImageError(
            f"the picture cannot be read ({error}); the file is damaged or of an unsupported kind"
        ) from error
    array = np.asarray(rgb)
    if alpha is not None:
        opacity = np.asarray(alpha)
        if opacity.min(initial=255) < 255:
            array = _over_white(array, opacity)
            notes.append("transparent parts were laid on white, for a stream holds no alpha")
    return array, notes


def read_image(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[np.ndarray, list[str]]:
    """Decode the bytes of a picture file; as `to_rgb`, with the size checked before any pixel is decoded."""
    with _open(data, max_pixels) as image:
        return to_rgb(image)


def picture_size(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[int, int]:
    """Width and height that the head of a picture file tells, before any Exif orientation; raises as `read_image`."""
    with _open(data, max_pixels) as image:
        return image.size


def format_for(path: str | os.PathLike[str]) -> str:
    """The format, a key of `SAVE_OPTIONS`, that the suffix of `path` asks for; raises `OptionError`."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in FORMAT_OF_SUFFIX:
        known = ", ".join(sorted(FORMAT_OF_SUFFIX))
        raise OptionError(f"'{os.fspath(path)}' does not say what kind of picture to write; use one of {known}")
    return FORMAT_OF_SUFFIX[suffix]


def encode_image(array: np.ndarray, image_format: str) -> bytes:
    """The bytes of a picture file for a (H, W, 3) uint8 array; `image_format` is a key of `SAVE_OPTIONS`."""
    buffer = io.BytesIO()
    try:
        Image.fromarray(array).save(buffer, image_format, **SAVE_OPTIONS[image_format])
    except (OSError, ValueError) as error:
        raise ImageError(
            f"cannot write a picture of {array.shape[1]}x{array.shape[0]} as {image_format}: {error}"
        ) from error
    return buffer.getvalue()


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Read the head of a picture file and check the size; raises `ImageError`, `TooLargeError`."""
    if not data:
        raise ImageError("the picture file is empty")
    try:
        image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise ImageError(f"Pillow refuses so large a picture: {error}") from error
    except Exception as error:  # as in `to_rgb`
        raise ImageError("this is not a picture file that Pillow can read; convert it to PNG first") from error
    check_size(image.width, image.height, max_pixels)
    return image


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Bring deep grey to 8 bits; other modes pass."""
    if image.mode == "F":
        raise ImageError("floating-point pictures are not supported; convert the file to 8 or 16 bits first")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.size and not 0 <= values.min() <= values.max() <= 0xFFFF:
        raise ImageError(
            f"grey values {values.min()}..{values.max()} exceed 16 bits; convert the file to 8 or 16 bits first"
        )
    return Image.fromarray(((values * 255 + 0x7FFF) // 0xFFFF).astype(np.uint8))


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colour part, in mode RGB, L or CMYK, and the alpha plane if there is one."""
    if image.mode in ("RGBa", "La"):
        image = image.convert(image.mode[:-1] + "A")
    if image.has_transparency_data:
        grey = image.mode in ("1", "L", "LA")
        with_alpha = image.convert("LA" if grey and "transparency" not in image.info else "RGBA")
        return with_alpha.convert("L" if with_alpha.mode == "LA" else "RGB"), with_alpha.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in _PROFILE_SPACE else image.convert("RGB")), None


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, list[str]]:
    """RGB, L or CMYK to sRGB, by way of the embedded profile if there is one that fits."""
    notes = []
    if profile:
        try:
            return _by_profile(image, profile), []
        except (OSError, ValueError, ImportError) as error:
            notes.append(f"the embedded colour profile was ignored ({error})")
    elif image.mode == "CMYK":
        notes.append("CMYK without a colour profile was converted by the plain formula; colours may be off")
    return image.convert("RGB"), notes


def _by_profile(image: Image.Image, data: bytes) -> Image.Image:
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(data))
        if source.profile.xcolor_space != _PROFILE_SPACE[image.mode]:
            raise ValueError(f"it is for {source.profile.xcolor_space.strip()} pictures, this one is {image.mode}")
        if image.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB"
        )
    except ImageCms.PyCMSError as error:
        raise ValueError(f"it cannot be used: {error}") from error
    assert converted is not None  # only an in-place conversion returns None
    return converted


def _over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    weight = alpha[..., None].astype(np.uint16)
    # 255 * 255 + 127 fits 16 bits, so no wider type is needed.
    return ((rgb * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)
