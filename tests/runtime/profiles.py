"""Colour profiles made from littlecms's sRGB; all keep its name, which says nothing."""

import struct

from PIL import ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _entries() -> list[tuple[int, bytes, int]]:
    """(position in the file, tag, offset of its data) of each entry of the tag table."""
    positions = [132 + 12 * number for number in range(struct.unpack_from(">I", SRGB, 128)[0])]
    return [(position, SRGB[position : position + 4], struct.unpack_from(">I", SRGB, position + 4)[0]) for position in positions]


def _swapped() -> bytes:
    data = bytearray(SRGB)
    for position, tag, _ in _entries():
        data[position : position + 4] = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}.get(tag, tag)
    return bytes(data)


def _linear() -> bytes:
    data = bytearray(SRGB)
    for _, tag, offset in _entries():
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + 12] = b"curv" + bytes(8)  # a curve of no points is the identity
    return bytes(data)


SWAPPED = _swapped()
"""Red and green change places."""
LINEAR = _linear()
"""As GIMP's "Linear sRGB"."""
EXACT_RENAMED = SRGB.replace("sRGB".encode("utf-16-be"), "same".encode("utf-16-be")).replace(b"sRGB", b"same")
"""sRGB under another name."""
