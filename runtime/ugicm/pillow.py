"""Pillow plugin: after `import ugicm.pillow`, `Image.open("x.ugic")` and `image.save("x.ugic", quality=60)` work.

    image = Image.open("x.ugic")                        # reads the file, decodes when pixels are first needed
    image.draft(None, None, preference=1.0)             # before that: another view than the one for people
    image = ugicm.pillow.open("x.ugic", preference=1.0) # both in one
    image.save("y.ugic", quality=60)                    # or target_bytes=40000, or target_bpp=0.5; effort=2; strip=True
    ugicm.pillow.use(codec)                             # another codec than Codec.open()

Colour profile, Exif and XMP are in `image.info`, as of any other format, and are saved from there; alpha makes mode RGBA.
Errors that a reader of files would raise come as `OSError` with the same message, as Pillow's callers expect.
"""

import threading
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile

from . import bitstream, image, metadata
from .codec import VIEWS, Codec
from .errors import OptionError, UgicmError

FORMAT = "UGIC"
MIME = "image/x-ugic"

_lock = threading.Lock()
_codec: Codec | None = None


def use(codec: Codec) -> None:
    """Decode and encode with this codec from now on."""
    global _codec  # noqa: PLW0603 - Pillow creates its image objects itself, so they have no other way to a codec
    with _lock:
        _codec = codec


def open(source: str | IO[bytes], preference: float = VIEWS["human"]) -> "UgicImageFile":
    """`Image.open` of a stream at a preference, 0 (human) .. 1 (machine)."""
    opened = Image.open(source, formats=[FORMAT])
    assert isinstance(opened, UgicImageFile)
    opened.draft(None, None, preference=preference)
    return opened


def _current() -> Codec:
    """The codec in use; the default one is opened when it is first needed."""
    global _codec  # noqa: PLW0603 - see `use`
    with _lock:
        if _codec is None:
            _codec = Codec.open()
        return _codec


class UgicImageFile(ImageFile.ImageFile):
    """A .ugic stream as a Pillow image."""

    format = FORMAT
    format_description = "UG-ICM"
    # What a copy by pickle or deepcopy has, which Pillow makes of decoded pixels.
    _decoded = True
    _data = b""
    preference = VIEWS["human"]

    def _open(self) -> None:
        assert self.fp is not None
        self._data = self.fp.read()
        self._decoded = False
        self.preference = VIEWS["human"]
        try:
            stream = bitstream.parse(self._data, _current().info["max_pixels"])
            self._metadata = metadata.of_stream(stream)
        except UgicmError as error:
            raise OSError(str(error)) from error
        self._size = (stream.width, stream.height)
        self._mode = "RGB" if self._metadata.alpha is None else "RGBA"
        kept = {"icc_profile": self._metadata.icc, "exif": self._metadata.exif, "xmp": self._metadata.xmp}
        self.info.update({name: data for name, data in kept.items() if data})
        if "exif" in self.info:
            self.info["exif"] = image.EXIF_PREFIX + self.info["exif"]
        self.tile = []

    def draft(self, mode: str | None, size: tuple[int, int] | None, *, preference: float | None = None) -> None:
        """Choose the view before pixels are read; a stream has no other modes or sizes to offer."""
        if preference is not None:
            self.preference = preference

    def load(self) -> Any:
        """Decode on first use."""
        if not self._decoded:
            try:
                array = _current().decode(self._data, preference=self.preference)
            except UgicmError as error:
                raise OSError(str(error)) from error
            if self._metadata.alpha is not None:
                array = np.concatenate([array, self._metadata.alpha[..., None]], axis=2)
            self.im = Image.fromarray(array).im
            self._decoded, self._data = True, b""
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = None
        return super().load()


def _save(picture: Image.Image, file: IO[bytes], _name: str | bytes) -> None:
    options = getattr(picture, "encoderinfo", {})
    for name in ("icc_profile", "exif", "xmp"):
        if name in options:
            picture = _with_info(picture, name, options[name])
    try:
        if "quality" in options and {"target_bytes", "target_bpp"} & options.keys():
            raise OptionError("give either quality or a target, not both")
        wanted = image.from_pillow(picture, strip=options.get("strip", False))
        array, boxes, codec = image.visible(wanted), wanted.metadata.to_boxes(), _current()
        effort = {name: options[name] for name in ("effort", "guidance") if name in options}
        targets = {name: options[name] for name in ("target_bytes", "target_bpp") if name in options}
        if targets:
            data = codec.encode_to_size(array, **targets, **effort, boxes=boxes)
        else:
            data = codec.encode(array, options.get("quality", 50), **effort, boxes=boxes)
    except UgicmError as error:
        raise OSError(str(error)) from error
    file.write(data)


def _with_info(picture: Image.Image, name: str, value: Any) -> Image.Image:
    """A copy whose `info` holds another value, for options of `save` go before what was read from a file."""
    held = value.tobytes() if isinstance(value, Image.Exif) else value
    if picture.info.get(name) == held and not (name == "xmp" and image.PNG_XMP in picture.info):
        return picture
    changed = picture.copy()
    changed.info[name] = held
    if name == "xmp":
        changed.info.pop(image.PNG_XMP, None)
    return changed


Image.register_open(FORMAT, UgicImageFile, lambda prefix: prefix.startswith(bitstream.MAGIC))
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".ugic")
Image.register_mime(FORMAT, MIME)
