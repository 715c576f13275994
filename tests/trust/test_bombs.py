"""Small files that state or hold far more than they should: refused before memory is taken."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from cellqa.errors import ImageError
from cellqa.io import open_image
from cellqa.io.coded import stated_size

IMAGE = np.arange(40 * 60, dtype=np.uint8).reshape(40, 60)
CODED = ["jpeg", "png", "webp", "jpeg2k", "jpegxl", "jpegxr", "lerc", "ljpeg"]
TAGS = {"jpeg": 7, "png": 34933, "webp": 50001, "jpeg2k": 34712, "jpegxl": 50002}
TAGS |= {"jpegxr": 34934, "lerc": 34887, "ljpeg": 7}


def coded(codec: str, pixels: np.ndarray) -> bytes:
    encode = getattr(imagecodecs, f"{codec}_encode", None)
    if encode is None or not getattr(imagecodecs, codec.upper()).available:
        pytest.skip(f"imagecodecs has no {codec}")
    return bytes(encode(np.dstack([pixels] * 3) if codec == "webp" else pixels))


def refused(path: Path) -> str:
    with pytest.raises(ImageError) as error, open_image(path) as file:
        file.load(file.planes[0])
    return str(error.value)


def tiff(path: Path, compression: int, sides: tuple[int, int], data: bytes, samples: int) -> Path:
    """A TIFF file of one strip, as it stands in TIFF 6.0."""
    height, width = sides
    colours = 2 if samples == 3 else 1
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression)]
    tags += [(262, 3, colours), (273, 4, 8), (277, 3, samples), (278, 4, height)]
    tags += [(279, 4, len(data))]
    data += bytes(len(data) % 2)
    text = b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        text += struct.pack("<HHI", tag, kind, 1)
        text += struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value)
    path.write_bytes(text + bytes(4))
    return path


@pytest.mark.parametrize("codec", CODED)
@pytest.mark.parametrize("sides", [(40, 60), (8, 16), (301, 777), (700, 5000), (513, 513)])
def test_sizes_are_read_from_headers(codec: str, sides: tuple[int, int]) -> None:
    assert stated_size(coded(codec, np.resize(IMAGE, sides))) == sides


@pytest.mark.parametrize("codec", CODED)
def test_a_strip_does_not_hold_more_than_its_page(tmp_path: Path, codec: str) -> None:
    samples = 3 if codec == "webp" else 1
    large = coded(codec, np.resize(IMAGE, (400, 600)))
    path = tiff(tmp_path / "a.tif", TAGS[codec], (40, 60), large, samples)
    assert "a strip of 40 x 60 pixels holds an image of 400 x 600" in refused(path)
    whole = tiff(tmp_path / "b.tif", TAGS[codec], (40, 60), coded(codec, IMAGE), samples)
    with open_image(whole) as file:
        assert file.load(file.planes[0]).shape[:2] == (40, 60)


def test_tiles_of_real_files_are_read(tmp_path: Path) -> None:
    """The last tiles and strips are filled up; that is no damage."""
    pixels = np.resize(IMAGE, (200, 300))
    for options in ({"tile": (64, 64)}, {"rowsperstrip": 48}):
        for codec in ("jpeg", "png", "deflate"):
            path = tmp_path / "a.tif"
            tifffile.imwrite(path, pixels, compression=codec, **options)
            with open_image(path) as file:
                assert file.load(file.planes[0]).shape == (200, 300)


@pytest.mark.parametrize("cut", [2, 9, 14, 20])
def test_a_header_that_is_cut_off_states_nothing(cut: int) -> None:
    for codec in ("jpeg", "png", "jpeg2k", "jpegxr", "lerc"):
        stated_size(coded(codec, IMAGE)[:cut])  # no error of another kind


@pytest.mark.parametrize("name", ["deflate", "zstd", "packbits"])
def test_a_stream_does_not_hold_more_than_its_page(tmp_path: Path, name: str) -> None:
    data = bytes(getattr(imagecodecs, f"{name}_encode")(bytes(2**22)))
    compression = {"deflate": 8, "zstd": 50000, "packbits": 32773}[name]
    path = tiff(tmp_path / "a.tif", compression, (40, 60), data, 1)
    assert "cannot be decoded" in refused(path)


def bmp(height: int, width: int) -> bytes:
    """A BMP file that is run-length encoded, and ends before its first pixel."""
    palette = bytes(1024)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 2, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1080, 0, 0, 1078) + head + palette + b"\0\1"


def png(height: int, width: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(100))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("write", [bmp, png])
def test_few_bytes_do_not_hold_many_pixels(tmp_path: Path, write: Any) -> None:
    path = tmp_path / f"a.{write.__name__}"
    path.write_bytes(write(32767, 32767))
    assert "bytes do not hold 32767 x 32767 pixels" in refused(path)


def test_planes_that_are_stated_and_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.stack([IMAGE, IMAGE]), metadata={"axes": "ZYX"})
    text = tifffile.tiffcomment(path)
    for stated, message in (
        (900_000, "state 900000 planes, and it has 2 pages"),
        (2_000_000, "state more than 1000000 planes"),
    ):
        tifffile.tiffcomment(path, text.replace('SizeZ="2"', f'SizeZ="{stated}"').encode())
        assert message in refused(path)
    # an acquisition that was stopped is read as far as it goes
    tifffile.tiffcomment(path, text.replace('SizeZ="2"', 'SizeZ="30"').encode())
    with open_image(path) as file:
        assert len(file.planes) == 30
        assert (file.load(file.planes[1]) == IMAGE).all()
