"""Sizes that images state in the formats of codecs, read before anything is decoded."""

from __future__ import annotations

import struct

_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})  # markers of JPEG
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_XL_BITS = (9, 13, 18, 30)
_XL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Height and width that data of PNG, BMP, JPEG (2000, XR, XL), LERC or WebP state, else None.

    Examples
    --------
    >>> stated_size(bytes.fromhex("89504e47 0d0a1a0a 0000000d 49484452 00000009 00000007"))
    (7, 9)
    >>> stated_size(b"no image")
    """
    try:
        return _size_of(data)
    except (struct.error, IndexError):  # cut off; decoding will say so
        return None


def _size_of(data: bytes) -> tuple[int, int] | None:
    if data[:4] == b"\x89PNG":
        width, height = struct.unpack_from(">II", data, 16)
        return height, width
    if data[:2] == b"BM":
        width, height = struct.unpack_from("<ii", data, 18)
        return abs(height), width
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:6] == b"Lerc2 ":
        version = struct.unpack_from("<i", data, 6)[0]
        height, width = struct.unpack_from("<ii", data, 14 if version >= 3 else 10)
        return height, width
    if data[:3] == b"II\xbc":
        return _jpeg_xr(data)
    if b"\xff\x4f\xff\x51" in data:
        return _jpeg_2000(data)
    if data[:2] == b"\xff\x0a" or data[4:8] == b"JXL ":
        return _jpeg_xl(data)
    return _jpeg(data) if data[:1] == b"\xff" else None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    place = 0
    while place < len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return height, width
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None


def _jpeg_2000(data: bytes) -> tuple[int, int]:
    """The largest of all codestreams, of which the decoder takes one."""
    height = width = 0
    place = data.find(b"\xff\x4f\xff\x51")
    while place >= 0:
        right, bottom, left, top = struct.unpack_from(">IIII", data, place + 8)
        height, width = max(height, bottom - top), max(width, right - left)
        place = data.find(b"\xff\x4f\xff\x51", place + 4)
    return height, width


def _jpeg_xr(data: bytes) -> tuple[int, int] | None:
    place = struct.unpack_from("<I", data, 4)[0]
    sides: dict[int, int] = {}
    for number in range(struct.unpack_from("<H", data, place)[0]):
        tag, kind = struct.unpack_from("<HH", data, place + 2 + 12 * number)
        form = {1: "<B", 3: "<H"}.get(kind, "<I")
        sides[tag] = struct.unpack_from(form, data, place + 10 + 12 * number)[0]
    return (sides[0xBC81], sides[0xBC80]) if {0xBC80, 0xBC81} <= sides.keys() else None


def _jpeg_xl(data: bytes) -> tuple[int, int] | None:
    """The size header of ISO/IEC 18181-1, of bits from the lowest on."""
    start = data.find(b"\xff\x0a")
    if start < 0:
        return None
    bits = int.from_bytes(data[start + 2 : start + 18], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def side(small: int) -> int:
        return 8 * (1 + take(5)) if small else 1 + take(_XL_BITS[take(2)])

    small = take(1)
    height = side(small)
    ratio = take(3)
    if not ratio:
        return height, side(small)
    across, down = _XL_RATIOS[ratio - 1]
    return height, height * across // down


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[k : k + 3], "little") for k in (24, 27))
        return height + 1, width + 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return height & 0x3FFF, width & 0x3FFF
