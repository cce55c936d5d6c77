"""Cutting a picture into tiles with a halo, so that engines need bounded memory and tiles join without a seam.

Everything here counts in cells: squares of 64x64 pixels, one position of z, 4x4 positions of r. An engine computes the
core of a tile from the core and a halo around it; a halo of the network's receptive field makes the core what the whole
picture in one piece would have given (`Manifest.halo` says how many pixels that is). The edge of the picture needs no
halo, for there the network itself has the same edge.
"""

from collections.abc import Iterator
from typing import NamedTuple

from .bitstream import MULTIPLE, padded
from .errors import OptionError

Region = tuple[int, int, int, int]  # x, y, width, height in pixels

CELL_PIXELS = MULTIPLE * MULTIPLE
DEFAULT_TILE_PIXELS = 1 << 23
MIN_TILE_PIXELS = 1 << 19
HALO_LIMIT = 512
"""Deep networks have receptive fields of 1000 pixels, whose far end carries next to nothing; beyond this a halo is cut."""


class Rect(NamedTuple):
    """Rows top..bottom-1 and columns left..right-1, in cells or pixels as the context says."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def area(self) -> int:
        """Number of positions inside."""
        return (self.bottom - self.top) * (self.right - self.left)

    def scaled(self, factor: int) -> "Rect":
        """The same area counted in positions `factor` times finer."""
        return Rect(*(factor * edge for edge in self))


class Tile(NamedTuple):
    """One engine call: `outer` goes in, `core` is kept; both in cells of the whole picture."""

    core: Rect
    outer: Rect


def cells(height: int, width: int) -> Rect:
    """The cells of a whole picture."""
    return Rect(0, 0, padded(height) // MULTIPLE, padded(width) // MULTIPLE)


def check_region(region: Region, width: int, height: int) -> Rect:
    """The pixels of a region (x, y, width, height) inside a picture; raises `OptionError`."""
    try:
        x, y, across, down = (int(value) for value in region)
        whole = (x, y, across, down) == tuple(region)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise OptionError(f"region is {region!r}, expected four whole numbers (x, y, width, height)")
    if x < 0 or y < 0 or across < 1 or down < 1 or x + across > width or y + down > height:
        raise OptionError(
            f"region x {x}, y {y}, {across}x{down} does not lie inside the picture, which is {width}x{height}"
        )
    return Rect(y, x, y + down, x + across)


def covering(pixels: Rect) -> Rect:
    """The cells that cover a rectangle of pixels."""
    return Rect(
        pixels.top // MULTIPLE, pixels.left // MULTIPLE, -(-pixels.bottom // MULTIPLE), -(-pixels.right // MULTIPLE)
    )


def grown(rect: Rect, halo: int, limits: Rect) -> Rect:
    """`rect` with `halo` more on every side, kept inside `limits`."""
    return Rect(
        max(rect.top - halo, limits.top),
        max(rect.left - halo, limits.left),
        min(rect.bottom + halo, limits.bottom),
        min(rect.right + halo, limits.right),
    )


def plan(picture: Rect, wanted: Rect, halo: int, limit: int) -> list[Tile]:
    """Tiles whose cores cover `wanted` without overlap, row by row, each `outer` of at most `limit` cells.

    Where not even a core of one cell fits the limit, that is what is used. Of all even grids the one with the least
    work is taken.
    """
    single = Tile(wanted, grown(wanted, halo, picture))
    if single.outer.area <= limit:
        return [single]
    rows, columns = _best_core(picture, wanted, halo, limit)
    return [
        Tile(core, grown(core, halo, picture))
        for top, bottom in _spans(wanted.top, wanted.bottom, rows)
        for left, right in _spans(wanted.left, wanted.right, columns)
        for core in [Rect(top, left, bottom, right)]
    ]


def _best_core(picture: Rect, wanted: Rect, halo: int, limit: int) -> tuple[int, int]:
    """Height and width of the cores whose tiles cover `wanted` with the least area."""
    height, width = wanted.bottom - wanted.top, wanted.right - wanted.left
    best = (1, 1)
    least = None
    for columns in range(1, min(width, limit) + 1):
        reach = limit // min(columns + 2 * halo, picture.right)
        rows = height if reach >= picture.bottom else min(reach - 2 * halo, height)
        if rows < 1:
            break
        outer_rows = min(rows + 2 * halo, picture.bottom)
        outer_columns = min(columns + 2 * halo, picture.right)
        work = -(-height // rows) * outer_rows * -(-width // columns) * outer_columns
        if least is None or work < least:
            least, best = work, (rows, columns)
    return best


def _spans(start: int, end: int, longest: int) -> Iterator[tuple[int, int]]:
    """Cut start..end into the fewest pieces of at most `longest`, as even as they can be."""
    pieces = -(-(end - start) // longest)
    for piece in range(pieces):
        yield start + (end - start) * piece // pieces, start + (end - start) * (piece + 1) // pieces
