"""PNG, JPEG and BMP, through OpenCV."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cellqa.errors import ImageError
from cellqa.io.base import ImageFile, PlaneIndex, check_size, plane_indices, regrouped
from cellqa.io.coded import stated_size
from cellqa.io.seen import orientation_of, turned
from cellqa.planes import Array

_EXIF = b"Exif\0\0"
_DENSITY = 9  # bytes of a pHYs chunk
_SCAN, _APP1 = 0xFFDA, 0xFFE1  # markers of a JPEG file
_PNG = b"\x89PNG\r\n\x1a\n"
_KNOWN = (_PNG, b"BM", b"\xff\xd8")
_DENSEST = 1032 * 8  # pixels a byte: of one bit, in the densest code of all, deflate


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Decode the whole file, once its header's size is found to be acceptable."""
    data = path.read_bytes()
    size = stated_size(data) if data.startswith(_KNOWN) else None
    if size is None:
        raise ImageError(f"{path.name}: not a readable PNG, JPEG or BMP file")
    check_size(path, *size, max_pixels)
    if size[0] * size[1] > _DENSEST * len(data):
        raise ImageError(
            f"{path.name}: damaged or truncated, {len(data)} bytes do not hold "
            f"{size[0]} x {size[1]} pixels"
        )
    pixels = _decode(path, data)
    if pixels.ndim == 3 and pixels.shape[2] >= 3:  # OpenCV's order is blue, green, red
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    pixels = turned(pixels, orientation_of(_exif(data)))

    def load(index: PlaneIndex) -> Array:
        return pixels

    return ImageFile(path, plane_indices(), pixels.shape, pixels.dtype, None, load)


def _check_type(path: Path, pixels: Array) -> None:
    depths = ("uint8", "uint16") if path.suffix.lower() == ".png" else ("uint8",)
    if pixels.dtype.name not in depths:
        raise ImageError(
            f"{path.suffix} holds {' or '.join(depths)}, not {pixels.dtype}; write a TIFF file"
        )


def keeps(path: Path, like: ImageFile, dtype: np.dtype[Any]) -> frozenset[str]:
    """Which of `cellqa.io.acquisition.FACTS` such a file has: none."""
    return frozenset()


def write_file(
    path: Path, blocks: Iterable[Array], like: ImageFile, note: str, dtype: np.dtype[Any]
) -> None:
    """Write in the format of the path's suffix, with the note where the format has room for it."""
    (pixels,) = regrouped(iter(blocks), like.shape[0], like.shape[0])
    _check_type(path, pixels)
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = np.ascontiguousarray(pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]])
    options = [cv2.IMWRITE_JPEG_QUALITY, 100] if path.suffix.lower() in (".jpg", ".jpeg") else []
    done, encoded = cv2.imencode(path.suffix.lower(), pixels, options)
    if not done:
        raise ImageError(f"{path.name}: {pixels.dtype} pixels cannot be written in this format")
    data = encoded.tobytes()
    if data.startswith(_PNG):
        data = _with_chunks(data, like.path.read_bytes(), note)
    elif data.startswith(b"\xff\xd8"):
        text = note.encode("utf-8")
        data = data[:2] + struct.pack(">HH", 0xFFFE, len(text) + 2) + text + data[2:]
    path.write_bytes(data)


def _decode(path: Path, data: bytes) -> Array:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ImageError(f"{path.name}: damaged or truncated, it cannot be decoded")
    return np.asarray(pixels)


def _segments(data: bytes) -> Iterator[tuple[int, slice]]:
    """Marker and body of each segment of a JPEG file, until none follows."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = struct.unpack_from(">HH", data, at)
        yield marker, slice(at + 4, at + 2 + length)
        at += 2 + length


def _exif(data: bytes) -> bytes:
    """What EXIF a PNG or JPEG file has, from its byte order on; empty where there is none."""
    if data.startswith(_PNG):
        return _png_chunk(data, b"eXIf")
    if data.startswith(b"\xff\xd8"):
        for marker, body in _segments(data):
            if marker == _SCAN:
                break
            if marker == _APP1 and data[body].startswith(_EXIF):
                return data[body].removeprefix(_EXIF)
    return b""


def _png_chunk(data: bytes, kind: bytes) -> bytes:
    """The body of a PNG file's first chunk of a kind before its pixels; empty without."""
    at = data.find(kind, 0, max(0, data.find(b"IDAT")))
    return data[at + 4 : at + 4 + struct.unpack_from(">I", data, at - 4)[0]] if at > 0 else b""


def _with_chunks(data: bytes, source: bytes, note: str) -> bytes:
    """The PNG with the note as text, and with the source's pixel density if it states one."""
    chunks = b""
    if source.startswith(_PNG):
        density = _png_chunk(source, b"pHYs")
        if len(density) == _DENSITY:
            chunks += _chunk(b"pHYs", density)
    text = note.encode("latin-1", "replace")
    chunks += _chunk(b"tEXt", b"Description\0" + text)
    header_end = len(_PNG) + 25  # signature and the IHDR chunk, which must come first
    return data[:header_end] + chunks + data[header_end:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
