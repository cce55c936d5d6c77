"""The stream format: pinned bytes, the byte table, and every way a stream can be wrong."""

import re
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from ugicm import bitstream
from ugicm.bitstream import Box, Stream, parse, serialise
from ugicm.errors import (
    CorruptStreamError,
    NotAStreamError,
    OptionError,
    StreamError,
    TooLargeError,
    TruncatedStreamError,
    UnsupportedVersionError,
)
from ugicm_coder import crc32c

DOCUMENT = Path(__file__).parents[2] / "docs" / "bitstream.md"
STREAM = Stream(
    width=100,
    height=130,
    level=32,
    fingerprint="0123456789abcdef",
    z=b"hyper",
    bands=(b"first band", b"second"),
    band_height=2,
    boxes=(Box("note", b"hi"), Box("abcd", b"")),
)
# Made once by a separate script with a bitwise CRC-32C.
PINNED = bytes.fromhex(
    "8b5547490d0a1a0a010120020123456789abcdef640000008200000005000000"
    "426f9e090a0000005fca6215060000002894fd7af067ceeb6879706572666972"
    "73742062616e647365636f6e646e6f746502000000c3e4709568696162636400"
    "000000a45b0e3669656e640000000086ab1354"
)
TABLE_END = 36 + 8 * len(STREAM.bands)


def patched(offset: int, value: bytes, data: bytes = PINNED) -> bytes:
    """Replace header bytes and make the header check right again."""
    head = bytearray(data[:TABLE_END])
    head[offset : offset + len(value)] = value
    return bytes(head) + struct.pack("<I", crc32c(bytes(head))) + data[TABLE_END + 4 :]


def as_bytes(stream: Stream) -> Stream:
    return replace(stream, z=bytes(stream.z), bands=tuple(map(bytes, stream.bands)))


def test_bytes_are_pinned():
    assert serialise(STREAM) == PINNED
    assert as_bytes(parse(PINNED)) == STREAM


def test_fields_lie_where_the_table_says():
    rows = re.findall(r"^ +\d+ +(\S+) +(\S+) +(\S.*)$", bitstream.__doc__, re.MULTILINE)
    offsets = [int(offset) for offset, _, _ in rows if offset.isdecimal()]
    widths = [int(width) for _, width, _ in rows[: len(offsets) - 1]]
    assert offsets == [sum(widths[:i]) for i in range(len(offsets))]
    assert PINNED[:8].hex(" ").upper() in rows[0][2]
    for offset, value in [(8, 1), (9, 1), (10, 32), (11, 2)]:
        assert PINNED[offset] == value
    assert PINNED[12:20].hex() == STREAM.fingerprint
    assert struct.unpack_from("<IIII", PINNED, 20) == (100, 130, 5, crc32c(b"hyper"))
    assert struct.unpack_from("<IIII", PINNED, 36) == (10, crc32c(b"first band"), 6, crc32c(b"second"))
    assert struct.unpack_from("<I", PINNED, TABLE_END) == (crc32c(PINNED[:TABLE_END]),)


def test_document_shows_the_table_of_the_code():
    table = [line.strip() for line in bitstream.__doc__.splitlines() if line.startswith("     ")]
    document = [line.strip() for line in DOCUMENT.read_text(encoding="utf-8").splitlines()]
    start = document.index(table[0])
    assert document[start : start + len(table)] == table


def test_no_boxes_and_any_buffer_type():
    plain = replace(STREAM, boxes=())
    data = serialise(plain)
    assert data[9] == 0
    for kind in (bytes, bytearray, memoryview):
        assert as_bytes(parse(kind(data))) == plain


def test_overhead_of_a_768x512_photo_is_at_most_64_bytes():
    stream = Stream(768, 512, 10, "0" * 16, b"", (b"",))
    assert len(serialise(stream)) <= 64


@pytest.mark.parametrize(
    "height,band_height,count", [(1, 1, 1), (64, 1, 1), (65, 1, 2), (512, 8, 1), (513, 8, 2), (9999, 255, 1)]
)
def test_band_count(height, band_height, count):
    assert bitstream.band_count(height, band_height) == count


@pytest.mark.parametrize("length", range(len(PINNED)))
def test_every_truncation_is_noticed(length):
    with pytest.raises(NotAStreamError if length == 0 else TruncatedStreamError):
        parse(PINNED[:length])


def test_every_bit_flip_is_noticed():
    for position in range(len(PINNED) * 8):
        data = bytearray(PINNED)
        data[position // 8] ^= 1 << position % 8
        with pytest.raises(StreamError):
            parse(data)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"\x8bUGIX", bytes(200), b"\x8bUGI\n\x1a\n" + bytes(99)])
def test_other_files_are_no_streams(data):
    with pytest.raises(NotAStreamError, match=r"not a \.ugic stream"):
        parse(data)


def test_other_versions():
    for version in (0, 2, 255):
        with pytest.raises(UnsupportedVersionError, match=f"version {version}.*newer ugicm"):
            parse(patched(8, bytes([version])))


def test_an_end_box_with_a_payload_is_refused():
    head = b"iend" + struct.pack("<I", 1)
    with pytest.raises(CorruptStreamError, match="end box holds 1 bytes"):
        parse(PINNED[:-12] + head + struct.pack("<I", crc32c(head + b"x")) + b"x")


def test_unknown_flags():
    with pytest.raises(UnsupportedVersionError, match="flags"):
        parse(patched(9, b"\x11"))


@pytest.mark.parametrize("eighths", range(8))
def test_eighths_of_a_level_are_flag_bits_and_no_more(eighths):
    stream = replace(STREAM, level=32 + eighths / 8)
    data = serialise(stream)
    assert data == patched(9, bytes([1 | eighths << 1]))
    assert as_bytes(parse(data)) == stream
    top = patched(9, bytes([1 | eighths << 1, 63]))
    if eighths:
        with pytest.raises(CorruptStreamError, match=f"rate level {63 + eighths / 8:g}, expected 0..63"):
            parse(top)
    else:
        assert parse(top).level == 63


def test_trailing_bytes():
    with pytest.raises(CorruptStreamError, match="1 stray byte"):
        parse(serialise(replace(STREAM, boxes=())) + b"x")
    with pytest.raises(CorruptStreamError, match="1 stray byte"):
        parse(PINNED + b"x")


@pytest.mark.parametrize("offset,value", [(10, b"\x40"), (11, b"\x00"), (20, bytes(4)), (24, bytes(4))])
def test_header_values_out_of_range(offset, value):
    with pytest.raises(CorruptStreamError):
        parse(patched(offset, value))


@pytest.mark.parametrize("repair", [True, False])
def test_a_billion_pixels_are_refused(repair):
    size = struct.pack("<II", 40000, 25000)
    data = patched(20, size) if repair else PINNED[:20] + size + PINNED[28:]
    with pytest.raises(TooLargeError, match=r"40000x25000.*max_pixels.*--max-pixels 1000"):
        parse(data)


def test_a_size_over_every_limit_is_told_so():
    with pytest.raises(TooLargeError, match="no limit can be over 1,073,741,824"):
        parse(patched(20, struct.pack("<II", 40000, 40000)))


@pytest.mark.parametrize(
    "data",
    [
        patched(20, struct.pack("<II", 40000, 25000)),
        patched(20, struct.pack("<II", 1, 0xFFFFFFFF)),
        patched(28, b"\xff\xff\xff\xff"),
        patched(36, b"\xff\xff\xff\xff"),
    ],
    ids=["pixels", "rows", "length of z", "length of a band"],
)
def test_an_absurd_header_allocates_nothing(data):
    tracemalloc.start()
    try:
        with pytest.raises(StreamError):
            parse(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 16


def test_size_limit_counts_padded_pixels_and_can_be_raised():
    with pytest.raises(TooLargeError):
        parse(PINNED, max_pixels=128 * 192 - 1)
    parse(PINNED, max_pixels=128 * 192)
    with pytest.raises(TooLargeError):
        parse(patched(20, struct.pack("<II", 1, 0xFFFFFFFF)))
    with pytest.raises(TruncatedStreamError):
        parse(patched(20, struct.pack("<II", 1, 0xFFFFFFFF)), max_pixels=1 << 60)


@pytest.mark.parametrize("offset", [28, 36, 44])
def test_a_length_past_the_end(offset):
    with pytest.raises(TruncatedStreamError):
        parse(patched(offset, b"\xff\xff\xff\xff"))


def test_a_length_that_moves_the_boundary():
    with pytest.raises(CorruptStreamError):
        parse(patched(28, struct.pack("<I", 4)))


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"height": 1 << 32, "band_height": 255},
        {"level": 64},
        {"level": 63.125},
        {"level": 31.1},
        {"level": float("nan")},
        {"band_height": 256},
        {"fingerprint": "0123"},
        {"fingerprint": "X" * 16},
        {"bands": (b"one",)},
        {"boxes": (Box("nö!!", b""),)},
        {"boxes": (Box("abc", b""),)},
        {"boxes": (Box("iend", b""),)},
    ],
)
def test_serialise_checks_its_fields(change):
    with pytest.raises(OptionError):
        serialise(replace(STREAM, **change))
