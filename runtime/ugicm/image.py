"""Pictures in and out of files. Inside the codec a picture is a uint8 array (H, W, 3); every other kind becomes one so:

- 1 bit, grey, palette, RGB, YCbCr, HSV: converted without loss of meaning; 16-bit grey is rounded to 8 bits (v / 257),
  16-bit colour is cut to its upper 8 bits by Pillow; floating-point pictures are refused.
- Exif orientation is applied; Exif that cannot be read is dropped, with a note. Animations and multi-page files are refused, and
  a few kinds of file whose size only shows when what they wrap is unpacked, or a program in them is run (`REFUSED`).
- `read_picture` keeps metadata: an ICC profile of an RGB picture stays with its colours, Exif and XMP are kept, alpha is
  kept beside the colours, which are white where nothing of them can be seen.
- `to_rgb` and `read_image` give colours alone: sRGB by way of the profile, and laid on white where alpha says so.
- Grey and CMYK are converted to sRGB through their profile; CMYK without one by the plain formula, with a note.
"""

import io
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .bitstream import DEFAULT_MAX_PIXELS, check_size
from .errors import ImageError, UgicmError
from .metadata import Metadata

_PROFILE_SPACE = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
EXIF_PREFIX = b"Exif\0\0"
PNG_XMP = "XML:com.adobe.xmp"
"""Under which Pillow keeps the XMP of a PNG; elsewhere it is under "xmp"."""
_STRIP_ROWS = 256
_SRGB_TOLERANCE = 2
"""By how many steps a profile may move a colour and still count as sRGB: more than vendors' roundings, less than can be seen."""
REFUSED = frozenset({"BLP", "EPS", "FITS", "ICNS", "ICO", "IPTC", "WMF"})
"""What Pillow reads and we do not: the size is checked before a pixel is decoded, and there it tells nothing of the work to come."""
_ICON = b"\0\0\1\0"  # Pillow decodes an ICO as it opens it


@dataclass(frozen=True)
class Picture:
    """A picture to encode: (H, W, 3) uint8, what it carries, and a sentence for each thing a user should know was changed."""

    array: np.ndarray
    metadata: Metadata
    notes: list[str]


def to_rgb(image: Image.Image) -> tuple[np.ndarray, list[str]]:
    """Turn any still Pillow image into a (H, W, 3) uint8 sRGB array by the rules above.

    Returns the array and notes, one sentence for each thing a user should know was changed. Raises `ImageError`.
    """
    return _flat(from_pillow(image, strip=True))


def read_image(source: bytes | str | os.PathLike[str], max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[np.ndarray, list[str]]:
    """Decode a picture file, given as bytes or by its path; as `to_rgb`, with the size checked before any pixel is decoded."""
    return _flat(read_picture(source, max_pixels, strip=True))


def read_picture(
    source: bytes | str | os.PathLike[str], max_pixels: int = DEFAULT_MAX_PIXELS, *, strip: bool = False
) -> Picture:
    """Decode a picture file, given as bytes or by its path, with its metadata; `strip` keeps alpha alone.

    The size is checked before any pixel is decoded. Raises `ImageError` and `TooLargeError`.
    """
    with _opened(source, max_pixels) as image:
        return from_pillow(image, strip=strip, owned=True)


def picture_size(source: bytes | str | os.PathLike[str], max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[int, int]:
    """Width and height that the head of a picture file tells, before any Exif orientation; raises as `read_picture`."""
    with _opened(source, max_pixels) as image:
        return image.size


def from_pillow(image: Image.Image, *, strip: bool = False, owned: bool = False) -> Picture:
    """Turn any still Pillow image into a `Picture` by the rules above; `owned` allows changing the image itself.

    With `strip` colours become sRGB and nothing but alpha is kept beside them. Raises `ImageError`.
    """
    try:
        _refuse_animation(image)
        image.load()
        image, orientation_notes = _upright(image, owned)
        info = image.info
        colour, alpha = _split_alpha(_to_8_bits(image))
        rgb, profile, notes = _to_colours(colour, info.get("icc_profile"), keep=not strip)
        array = _pixels(rgb)
    except UgicmError:
        raise
    except Exception as error:  # Pillow's many readers raise anything from OSError to struct.error on a damaged file
        raise ImageError(
            f"the picture cannot be read ({error}); the file is damaged or of an unsupported kind"
        ) from error
    opacity = None if alpha is None else np.asarray(alpha)
    if opacity is not None and opacity.min(initial=255) == 255:
        opacity = None
    exif, xmp = (None, None) if strip else _exif_and_xmp(info)
    return Picture(array, Metadata(profile, None if orientation_notes else exif, xmp, opacity), orientation_notes + notes)


def visible(picture: Picture) -> np.ndarray:
    """The colours of a picture, white where its alpha lets nothing of them be seen: what is coded."""
    alpha = picture.metadata.alpha
    if alpha is None or alpha.min(initial=255):
        return picture.array
    array = picture.array.copy()
    array[alpha == 0] = 255
    return array


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) laid on white by an alpha plane (H, W), both uint8."""
    weight = alpha[..., None].astype(np.uint16)
    # 255 * 255 + 127 fits 16 bits, so no wider type is needed.
    return ((rgb * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


def _flat(picture: Picture) -> tuple[np.ndarray, list[str]]:
    if picture.metadata.alpha is None:
        return picture.array, picture.notes
    note = "transparent parts were laid on white, for a stream of colours alone holds no alpha"
    return over_white(picture.array, picture.metadata.alpha), [*picture.notes, note]


def _opened(source: bytes | str | os.PathLike[str], max_pixels: int) -> Image.Image:
    """A picture file of which only the head has been read, and the size checked."""
    in_memory = not isinstance(source, str | os.PathLike)
    try:
        if (len(source) if in_memory else os.path.getsize(source)) == 0:  # type: ignore[arg-type]
            raise ImageError("the picture file is empty")
        if _head(source, len(_ICON)) == _ICON:
            raise ImageError(_refusal("ICO"))
        image = Image.open(io.BytesIO(source) if in_memory else source)  # type: ignore[arg-type]
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"Pillow refuses so large a picture: {error}") from error
    except Exception as error:  # as in `from_pillow`
        if isinstance(error, OSError) and error.strerror:
            raise UgicmError(f"cannot read it: {error.strerror}") from error
        raise ImageError("this is not a picture file that Pillow can read; convert it to PNG first") from error
    try:
        if image.format in REFUSED:
            raise ImageError(_refusal(image.format))
        check_size(image.width, image.height, max_pixels)
    except UgicmError:
        image.close()
        raise
    return image


def _head(source: bytes | str | os.PathLike[str], length: int) -> bytes:
    if not isinstance(source, str | os.PathLike):
        return bytes(source[:length])
    with open(source, "rb") as file:
        return file.read(length)


def _refusal(kind: str) -> str:
    return f"{kind} files are not read; convert the picture to PNG first"


def _refuse_animation(image: Image.Image) -> None:
    # Cameras append previews to JPEG files, which Pillow then calls MPO; the first picture is the photo.
    # They are not counted: a small TIFF can list so many pages that Pillow takes minutes.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise ImageError("the picture has several frames or pages, only still ones can be encoded; extract one first")


def _upright(image: Image.Image, owned: bool) -> tuple[Image.Image, list[str]]:
    """Apply the Exif orientation, with a note if the Exif is damaged; a copy is made only where that is needed, for a large
    picture may not fit twice."""
    try:
        if owned:
            ImageOps.exif_transpose(image, in_place=True)
        elif image.getexif().get(0x0112, 1) != 1:
            image = ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow's Exif reader raises anything, as its picture readers do
        return image, [f"the Exif data was ignored, for it cannot be read ({error}); check that the picture is upright"]
    return image, []


def _exif_and_xmp(info: dict[Any, Any]) -> tuple[bytes | None, bytes | None]:
    exif = info.get("exif")
    xmp = info.get("xmp") or info.get(PNG_XMP)
    if isinstance(xmp, str):
        xmp = xmp.encode()
    return (exif.removeprefix(EXIF_PREFIX) if isinstance(exif, bytes) else None), xmp or None


def _pixels(image: Image.Image) -> np.ndarray:
    """The samples of an RGB image, fetched in strips: Pillow would make two copies of the whole on the way."""
    array = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, image.height)
        array[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return array


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Bring deep grey to 8 bits, a transparent value of it to an alpha plane; other modes pass."""
    if image.mode == "F":
        raise ImageError("floating-point pictures are not supported; convert the file to 8 or 16 bits first")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.size and not 0 <= values.min() <= values.max() <= 0xFFFF:
        raise ImageError(
            f"grey values {values.min()}..{values.max()} exceed 16 bits; convert the file to 8 or 16 bits first"
        )
    grey = Image.fromarray(((values * 255 + 0x7FFF) // 0xFFFF).astype(np.uint8))
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return grey
    return Image.merge("LA", (grey, Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))))


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


def _to_colours(image: Image.Image, profile: bytes | None, keep: bool) -> tuple[Image.Image, bytes | None, list[str]]:
    """RGB, L or CMYK to RGB, the profile that goes with it (None: it is sRGB), and notes.

    `keep` leaves RGB samples as they are and hands on their profile; else an embedded profile that fits leads to sRGB.
    """
    notes = []
    if profile:
        try:
            if keep and image.mode == "RGB":
                return image, (None if _is_srgb(_profile_of(image, profile)) else profile), []
            return _by_profile(image, profile), None, []
        except (OSError, ValueError, ImportError) as error:
            notes.append(f"the embedded colour profile was ignored ({error})")
    elif image.mode == "CMYK":
        notes.append("CMYK without a colour profile was converted by the plain formula; colours may be off")
    return (image if image.mode == "RGB" else image.convert("RGB")), None, notes


def _profile_of(image: Image.Image, data: bytes) -> Any:
    """An embedded profile as littlecms sees it; `ValueError` if it does not fit the picture."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(data))
    except ImageCms.PyCMSError as error:
        raise ValueError(f"it cannot be used: {error}") from error
    if source.profile.xcolor_space != _PROFILE_SPACE[image.mode]:
        raise ValueError(f"it is for {source.profile.xcolor_space.strip()} pictures, this one is {image.mode}")
    return source


def _is_srgb(profile: Any) -> bool:
    """Whether the profile leaves colours where they are: names tell little, as "Linear sRGB" shows."""
    levels = np.arange(0, 256, 51, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    moved = np.asarray(_through_profile(Image.fromarray(colours), profile))
    return int(np.abs(moved.astype(int) - colours).max()) <= _SRGB_TOLERANCE


def _by_profile(image: Image.Image, data: bytes) -> Image.Image:
    source = _profile_of(image, data)
    if image.mode == "RGB" and _is_srgb(source):
        return image
    return _through_profile(image, source)


def _through_profile(image: Image.Image, source: Any) -> Image.Image:
    """A picture of a profile in sRGB; `ValueError` if littlecms cannot do it."""
    from PIL import ImageCms

    try:
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB"
        )
    except ImageCms.PyCMSError as error:
        raise ValueError(f"it cannot be used: {error}") from error
    assert converted is not None  # only an in-place conversion returns None
    return converted
