"""The .ugic stream, version 1: its bytes, and nothing else.

All numbers are unsigned and little-endian. Every check value is a CRC-32C (Castagnoli).

     no  offset   bytes  field
      1  0        8      magic 8B 55 47 49 0D 0A 1A 0A
      2  8        1      version, 1
      3  9        1      flags: bit 0 = boxes follow the bands, bits 1..3 = eighths of the rate level, bits 4..7 = 0
      4  10       1      whole part of the rate level, 0..63; at 63 there are no eighths
      5  11       1      band height in units of 64 pixel rows, 1..255
      6  12       8      model fingerprint
      7  20       4      width in pixels, at least 1
      8  24       4      height in pixels, at least 1
      9  28       4      length of z
     10  32       4      check of z
     11  36       8*n    band table, for each of the n bands: 4 length, 4 check
     12  36+8*n   4      header check, over all bytes before it
     13  40+8*n   ...    z, then the bands of r from top to bottom, without gaps
     14  ...      ...    boxes, each: 4 type, 4 length, 4 check over type, length and payload, payload

n = ceil(ceil(height / 64) / band height). Without flag bit 0 the stream ends with the last band; with it boxes follow,
the last of which, and only it, has type "iend" and no payload. A box type is four ASCII letters; a reader skips an
unknown box whose first letter is lower case, and refuses the stream if it is upper case.
"""

import re
import struct
from dataclasses import dataclass
from typing import NamedTuple

from ugicm_coder import QUALITY_STEPS, crc32c

from .errors import (
    CorruptStreamError,
    NotAStreamError,
    OptionError,
    TooLargeError,
    TruncatedStreamError,
    UnsupportedVersionError,
)

MAGIC = bytes.fromhex("8B 55 47 49 0D 0A 1A 0A")
VERSION = 1
FLAG_BOXES = 1
EIGHTHS_SHIFT = 1  # flag bits 1..3
LEVELS = 64  # whole ones, 0..63; between two of them lie seven more, in eighths
MAX_STEP = QUALITY_STEPS * (LEVELS - 1)  # the highest level in eighths
MULTIPLE = 64
DEFAULT_BAND_HEIGHT = 8
DEFAULT_MAX_PIXELS = 1 << 28
MOST_PIXELS = 1 << 30  # no limit is higher: within what the entropy coder indexes in one call, for up to 512 latent channels

_FIXED = struct.Struct("<8sBBBB8sIIII")
_TABLE_ENTRY = struct.Struct("<II")
_CHECK = struct.Struct("<I")
_BOX_HEAD = struct.Struct("<4sI")
_UINT32_MAX = 0xFFFFFFFF
_END_TYPE = "iend"
_EIGHTHS_MASK = (QUALITY_STEPS - 1) << EIGHTHS_SHIFT

Bytes = bytes | bytearray | memoryview


class Box(NamedTuple):
    """An optional piece of data after the bands: `type` is four ASCII letters, `payload` is opaque."""

    type: str
    payload: bytes


@dataclass(frozen=True)
class Stream:
    """The content of one stream; the fields are those of the byte table, lengths and checks excepted."""

    width: int
    height: int
    level: float  # a multiple of 1/8
    fingerprint: str  # 16 lower-case hex digits
    z: Bytes
    bands: tuple[Bytes, ...]
    band_height: int = DEFAULT_BAND_HEIGHT
    boxes: tuple[Box, ...] = ()


def padded(size: int) -> int:
    """Round a width or height up to the next multiple of 64, the size that is really coded."""
    return -(-size // MULTIPLE) * MULTIPLE


def band_count(height: int, band_height: int) -> int:
    """Number of bands of a picture `height` pixels high."""
    return -(-(padded(height) // MULTIPLE) // band_height)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise `TooLargeError` if a picture, padded to multiples of 64, has more than `max_pixels` pixels."""
    pixels = padded(width) * padded(height)
    if pixels > max_pixels:
        advice = f"if that size is right, raise the limit with max_pixels (on the command line: --max-pixels {pixels})"
        raise TooLargeError(
            f"the picture is {width}x{height}, {pixels:,} pixels once padded, over the limit of {max_pixels:,}; "
            + (advice if pixels <= MOST_PIXELS else f"no limit can be over {MOST_PIXELS:,}, so cut or shrink it first")
        )


def picture_size(head: Bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[int, int]:
    """Width and height told by the first bytes of a stream, of which nothing else is checked but the size limit.

    Raises NotAStream, Truncated, UnsupportedVersion, Corrupt or TooLarge.
    """
    (_, version, _, _, _, _, width, height, _, _) = _read_fixed(memoryview(head).cast("B"))
    _check_version(version)
    if min(width, height) < 1:
        raise CorruptStreamError(f"the header is damaged: width {width}, height {height}")
    check_size(width, height, max_pixels)
    return width, height


def is_stream(head: Bytes) -> bool:
    """True if `head`, the first bytes of a file, begins with the magic."""
    return bytes(head[: len(MAGIC)]) == MAGIC


def serialise(stream: Stream) -> bytes:
    """Write a stream; raises `OptionError` if a field does not fit the byte table."""
    _check_fields(stream)
    level, eighths = divmod(round(stream.level * QUALITY_STEPS), QUALITY_STEPS)
    fixed = _FIXED.pack(
        MAGIC,
        VERSION,
        eighths << EIGHTHS_SHIFT | (FLAG_BOXES if stream.boxes else 0),
        level,
        stream.band_height,
        bytes.fromhex(stream.fingerprint),
        stream.width,
        stream.height,
        len(stream.z),
        crc32c(stream.z),
    )
    table = b"".join(_TABLE_ENTRY.pack(len(band), crc32c(band)) for band in stream.bands)
    check = _CHECK.pack(crc32c(fixed + table))
    boxes = (*stream.boxes, Box(_END_TYPE, b"")) if stream.boxes else ()
    return b"".join([fixed, table, check, stream.z, *stream.bands, *map(_serialise_box, boxes)])


def parse(data: Bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> Stream:
    """Read and check a whole stream; `z` and `bands` of the result are views into `data`, nothing is copied.

    The size limit is checked first, on the plain header, so that no later step works on an absurd size.
    Raises a `StreamError`: NotAStream, UnsupportedVersion, TooLarge, Truncated or Corrupt.
    """
    view = memoryview(data).cast("B")
    (_, version, flags, level, band_height, fingerprint, width, height, z_length, z_check) = _read_fixed(view)
    _check_version(version)
    if min(width, height, band_height) < 1:
        raise CorruptStreamError(f"the header is damaged: width {width}, height {height}, band height {band_height}")
    check_size(width, height, max_pixels)
    count = band_count(height, band_height)
    table_end = _FIXED.size + _TABLE_ENTRY.size * count
    _need(view, table_end + _CHECK.size, "header")
    if _CHECK.unpack_from(view, table_end)[0] != crc32c(view[:table_end]):
        raise CorruptStreamError("the header does not match its checksum; the file was damaged, fetch it again")
    if flags & ~(FLAG_BOXES | _EIGHTHS_MASK):
        raise UnsupportedVersionError(f"the stream uses unknown features (flags {flags:#04x}); install a newer ugicm")
    level += ((flags & _EIGHTHS_MASK) >> EIGHTHS_SHIFT) / QUALITY_STEPS
    if level > LEVELS - 1:
        raise CorruptStreamError(f"the header holds rate level {level:g}, expected 0..{LEVELS - 1}")
    entries = [(z_length, z_check), *_TABLE_ENTRY.iter_unpack(view[_FIXED.size : table_end])]
    parts, end = _read_parts(view, table_end + _CHECK.size, entries)
    boxes, end = _read_boxes(view, end) if flags & FLAG_BOXES else ((), end)
    if end != len(view):
        raise CorruptStreamError(f"{len(view) - end} stray bytes follow the end of the stream; the file was damaged")
    return Stream(width, height, level, fingerprint.hex(), parts[0], tuple(parts[1:]), band_height, boxes)


def _check_fields(stream: Stream) -> None:
    """Raise `OptionError` if the byte table cannot hold `stream`."""
    for name, value, low, high in (
        ("width", stream.width, 1, _UINT32_MAX),
        ("height", stream.height, 1, _UINT32_MAX),
        ("level", stream.level, 0, LEVELS - 1),
        ("band_height", stream.band_height, 1, 255),
    ):
        if not low <= value <= high:
            raise OptionError(f"stream {name} is {value}, expected {low}..{high}")
    if stream.level * QUALITY_STEPS % 1:
        raise OptionError(f"stream level is {stream.level}, expected a multiple of 1/{QUALITY_STEPS}")
    if re.fullmatch("[0-9a-f]{16}", stream.fingerprint) is None:
        raise OptionError(f"a fingerprint is 16 lower-case hex digits, got {stream.fingerprint!r}")
    expected = band_count(stream.height, stream.band_height)
    if len(stream.bands) != expected:
        raise OptionError(f"a picture {stream.height} rows high has {expected} bands, got {len(stream.bands)}")
    if max(map(len, (stream.z, *stream.bands, *(box.payload for box in stream.boxes)))) > _UINT32_MAX:
        raise OptionError("a part of the stream is longer than 4 GiB")
    for box in stream.boxes:
        if len(box.type) != 4 or not (box.type.isascii() and box.type.isalpha()) or box.type == _END_TYPE:
            raise OptionError(f"a box type is four ASCII letters other than '{_END_TYPE}', got {box.type!r}")


def _read_fixed(view: memoryview) -> tuple:
    """Fields 1 to 10, unchecked save for the magic."""
    if not is_stream(view):
        if len(view) and MAGIC.startswith(bytes(view[: len(MAGIC)])):
            raise TruncatedStreamError(
                f"the stream ends inside its magic, after {len(view)} bytes; fetch the file again"
            )
        what = "is empty" if not len(view) else "does not begin with the .ugic magic"
        raise NotAStreamError(f"this is not a .ugic stream: it {what}")
    _need(view, _FIXED.size, "header")
    return _FIXED.unpack_from(view)


def _check_version(version: int) -> None:
    if version != VERSION:
        raise UnsupportedVersionError(
            f"the stream has format version {version}, this reader knows version {VERSION}; install a newer ugicm"
        )


def _need(view: memoryview, end: int, what: str) -> None:
    """Raise `TruncatedStreamError` unless `view` reaches up to byte `end`."""
    if len(view) < end:
        raise TruncatedStreamError(
            f"the stream ends inside its {what}: {len(view)} bytes, at least {end} expected; fetch the file again"
        )


def _read_parts(view: memoryview, start: int, entries: list[tuple[int, int]]) -> tuple[list[memoryview], int]:
    """Cut out z and the bands, check each, and return them with the offset after the last."""
    _need(view, start + sum(length for length, _ in entries), "picture data")
    parts = []
    for number, (length, check) in enumerate(entries):
        part = view[start : start + length]
        if crc32c(part) != check:
            name = f"band {number} of {len(entries) - 1}" if number else "the hyper latent"
            raise CorruptStreamError(f"{name} does not match its checksum; the file was damaged, fetch it again")
        parts.append(part)
        start += length
    return parts, start


def _serialise_box(box: Box) -> bytes:
    head = _BOX_HEAD.pack(box.type.encode("ascii"), len(box.payload))
    return head + _CHECK.pack(crc32c(head + box.payload)) + box.payload


def _read_boxes(view: memoryview, start: int) -> tuple[tuple[Box, ...], int]:
    """The boxes from `start` up to the end box, which is left out, and the offset after that."""
    boxes: list[Box] = []
    while True:
        check_start = start + _BOX_HEAD.size
        payload_start = check_start + _CHECK.size
        _need(view, payload_start, "boxes")
        raw_type, length = _BOX_HEAD.unpack_from(view, start)
        _need(view, payload_start + length, "boxes")
        payload = bytes(view[payload_start : payload_start + length])
        if _CHECK.unpack_from(view, check_start)[0] != crc32c(bytes(view[start:check_start]) + payload):
            raise CorruptStreamError(f"the box at byte {start} does not match its checksum; the file was damaged")
        if not raw_type.isalpha():
            raise CorruptStreamError(f"the box at byte {start} has type {raw_type!r}, expected four letters")
        start = payload_start + length
        box = Box(raw_type.decode("ascii"), payload)
        if box.type == _END_TYPE:
            if payload:
                raise CorruptStreamError(f"the end box holds {length} bytes, expected none; the file was damaged")
            return tuple(boxes), start
        boxes.append(box)
