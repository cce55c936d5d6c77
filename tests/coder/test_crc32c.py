import numpy as np
import pytest
from ugicm_coder import crc32c


def plain_crc32c(data: bytes) -> int:
    """Bit by bit, reflected polynomial 0x82F63B78."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_published_values(data, expected):
    """Check values of RFC 3720, appendix B.4."""
    assert crc32c(data) == expected


def test_equals_plain_loop_at_every_length_and_offset():
    data = np.random.default_rng(0).bytes(64)
    for start in range(8):
        for stop in range(start, 64):
            assert crc32c(data[start:stop]) == plain_crc32c(data[start:stop])


def test_continues():
    data = np.random.default_rng(1).bytes(100)
    for cut in range(101):
        assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data)


def test_accepts_buffers_and_rejects_others():
    assert crc32c(bytearray(b"abc")) == crc32c(memoryview(b"abc")) == crc32c(np.frombuffer(b"abc", np.uint8))
    with pytest.raises(TypeError):
        crc32c("abc")
    with pytest.raises(TypeError):
        crc32c(np.zeros(4, np.int32))
    with pytest.raises(TypeError):
        crc32c(memoryview(b"abcdef")[::2])
