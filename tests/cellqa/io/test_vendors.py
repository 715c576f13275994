"""LSM, STK and BigTIFF files, built by hand."""

import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from damage import fuzz

from cellqa.errors import ImageError
from cellqa.io import open_image, write_image, written_name

RNG = np.random.default_rng(0)


def lsm(path: Path, stack: np.ndarray, scan: int, **more: Any) -> Path:
    """A stack (T, Z, C, Y, X) as Zeiss writes it: channels are planes of a page, then a preview."""
    t, z, c, y, x = stack.shape
    names = b"".join(struct.pack("<I", 5) + f"Ch{k}\0\0".encode()[:5] for k in range(c))
    colours = bytes([255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0][: 4 * c])
    shown = struct.pack("<6I", 24 + len(colours) + len(names), c, c, 24, 24 + len(colours), 0)
    shown += colours + names
    stamps = struct.pack(f"<ii{t}d", 8 + 8 * t, t, *(10 + 2.5 * k for k in range(t)))
    dtype = np.dtype([(name, "<" + kind) for name, kind in tifffile.TIFF.CZ_LSMINFO if name])
    with tifffile.TiffWriter(path, bigtiff=False, byteorder="<") as writer:
        first = True
        for page in stack.reshape(-1, c, y, x):
            options: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
            if first:
                info = np.zeros((), dtype)
                info["MagicNumber"], info["StructureSize"] = 67127628, dtype.itemsize
                info["DimensionX"], info["DimensionY"], info["DimensionZ"] = x, y, z
                info["DimensionChannels"], info["DimensionTime"] = c, t
                info["DataType"], info["ScanType"] = 2, scan
                info["VoxelSizeX"], info["VoxelSizeY"] = 1e-7, 2e-7
                info["VoxelSizeZ"] = 5e-7
                info["OffsetChannelColors"], info["OffsetTimeStamps"] = 1, 2  # set below
                options["extratags"] = [(34412, 1, dtype.itemsize, info.tobytes(), True)]
                first = False
            planar = {"planarconfig": "separate"} if c > 1 else {}
            writer.write(page if c > 1 else page[0], **planar, **options, **more)
            preview = np.zeros((8, 8, 3), np.uint8)
            writer.write(preview, photometric="rgb", subfiletype=1, metadata=None)
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<I", 67127628))
    for field, block in (("OffsetChannelColors", shown), ("OffsetTimeStamps", stamps)):
        place = at + dtype.fields[field][1]
        data[place : place + 4] = struct.pack("<I", len(data))
        data += block
    # of two channels, Zeiss has the bits elsewhere, where others have them in the tag
    bits, place = struct.pack("<HHI", 258, 3, 2), -1
    while (place := data.find(bits, place + 1)) >= 0:
        data[place + 8 : place + 12] = struct.pack("<I", len(data))
    data += struct.pack("<HH", 16, 16)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("t", "z", "c", "scan"), [(1, 1, 1, 0), (1, 3, 2, 0), (3, 1, 2, 3), (2, 3, 3, 6), (2, 3, 1, 6)]
)
def test_lsm(tmp_path: Path, t: int, z: int, c: int, scan: int) -> None:
    stack = RNG.integers(0, 4096, (t, z, c, 20, 30)).astype(np.uint16)
    with open_image(lsm(tmp_path / "a.lsm", stack, scan)) as file:
        assert len(file.planes) == t * z * c
        for i in file.planes:
            assert np.array_equal(file.load(i), stack[i.t, i.z, i.c])
        assert (file.pixel_size, file.pixel_size_y) == pytest.approx((0.1, 0.2))
        known = file.acquired()
        assert known.names == ("Ch0", "Ch1", "Ch2")[:c]
        assert [each.colour for each in known.channels] == ["#ff0000", "#00ff00", "#0000ff"][:c]
        assert known.z_step == (pytest.approx(0.5) if z > 1 else None)
        assert known.seconds == (tuple(2.5 * i.t for i in file.planes) if t > 1 else ())
        assert known.bits == 12
        planes = map(file.load, file.planes)
        name = written_name("a.lsm")
        assert name == "a.ome.tif"
        write_image(tmp_path / name, planes, file, "", file.dtype)
    with open_image(tmp_path / name) as again:
        assert again.acquired().names == known.names
        assert again.acquired().z_step == known.z_step
        assert again.pixel_size == pytest.approx(0.1)


@pytest.mark.parametrize("more", [{}, {"rowsperstrip": 7}, {"compression": "lzw"}], ids=str)
@pytest.mark.parametrize("c", [1, 3])
def test_rows_of_lsm(tmp_path: Path, more: dict[str, Any], c: int) -> None:
    stack = RNG.integers(0, 4096, (2, 2, c, 20, 30)).astype(np.uint16)
    with open_image(lsm(tmp_path / "a.lsm", stack, 6, **more)) as file:
        assert file.decode_rows is not None
        for i in file.planes:
            assert np.array_equal(file.load(i), stack[i.t, i.z, i.c])
            assert np.array_equal(file.load_rows(i, 5, 16), stack[i.t, i.z, i.c, 5:16])


def stk(path: Path, stack: np.ndarray, z: float, milliseconds: int) -> Path:
    """Planes as MetaMorph writes them: one page, and the others behind it without any."""
    n = len(stack)
    moments = [(round(z * 1000), 1000, 2459946, 1000 + k * milliseconds, 0, 0) for k in range(n)]
    uic2 = struct.pack(f"<{6 * n}I", *(number for each in moments for number in each))
    # X and Y calibration and the unit's name stand elsewhere; their offsets are set below
    uic1 = struct.pack("<8I", 3, 1, 4, 0xAAAA, 5, 0xBBBB, 6, 0xCCCC)
    tags = [
        (33628, 4, 8, uic1, True),
        (33629, 5, 3 * n, uic2, True),
    ]
    tifffile.imwrite(path, stack[0], metadata=None, extratags=tags, byteorder="<")
    data = bytearray(path.read_bytes())
    for number, count in ((33628, 4), (33629, n)):  # counts of planes, and not of numbers
        place = data.index(struct.pack("<HH", number, 4 if number == 33628 else 5))
        data[place + 4 : place + 8] = struct.pack("<I", count)
    for mark, block in (
        (0xAAAA, struct.pack("<II", 65, 1000)),
        (0xBBBB, struct.pack("<II", 65, 1000)),
        (0xCCCC, struct.pack("<I", 3) + b"um\0"),
    ):
        place = data.index(struct.pack("<I", mark))
        data[place : place + 4] = struct.pack("<I", len(data))
        data += block
    # the pixels of all planes follow each other
    place = data.index(struct.pack("<HH", 273, 4))
    data[place + 8 : place + 12] = struct.pack("<I", len(data))
    data += stack.tobytes()
    path.write_bytes(data)
    return path


def test_stk(tmp_path: Path) -> None:
    stack = RNG.integers(0, 4096, (4, 20, 30)).astype(np.uint16)
    with open_image(stk(tmp_path / "a.stk", stack, 0.25, 500)) as file:
        assert [index.label() for index in file.planes] == ["t0c0z0", "t0c0z1", "t0c0z2", "t0c0z3"]
        for i in file.planes:
            assert np.array_equal(file.load(i), stack[i.z])
        assert file.pixel_size == pytest.approx(0.065)
        assert file.acquired().z_step == pytest.approx(0.25)
        assert file.acquired().seconds == (0, 0.5, 1, 1.5)
        assert file.acquired().dates == ("2023-01-02T00:00:01.000",)
    with open_image(stk(tmp_path / "a.stk", stack, 0, 500)) as file:
        assert file.planes[-1].t == 3
        assert np.array_equal(file.load(file.planes[2]), stack[2])
        assert file.acquired().z_step is None


def test_stk_cut_short_is_an_error(tmp_path: Path) -> None:
    stack = RNG.integers(0, 4096, (4, 20, 30)).astype(np.uint16)
    path = stk(tmp_path / "a.stk", stack, 0.25, 500)
    path.write_bytes(path.read_bytes()[:-1300])
    with pytest.raises(ImageError), open_image(path) as file:
        file.load(file.planes[-1])


@pytest.mark.parametrize("suffix", [".btf", ".tf8", ".tf2", ".ome.btf"])
@pytest.mark.parametrize("source", ["plain", "imagej", "ome"])
def test_bigtiff_is_written_as_such(tmp_path: Path, suffix: str, source: str) -> None:
    stack = RNG.integers(0, 4096, (3, 20, 30)).astype(np.uint16)
    path = tmp_path / ("a.ome.tif" if source == "ome" else "a.tif")
    options = {} if source == "plain" else {source: True, "metadata": {"axes": "ZYX"}}
    tifffile.imwrite(path, stack, photometric="minisblack", **options)
    with open_image(path) as file:
        target = tmp_path / f"b{suffix}"
        write_image(target, map(file.load, file.planes), file, "", file.dtype)
    with open_image(target) as again, tifffile.TiffFile(target) as tif:
        assert tif.is_bigtiff
        assert written_name(target.name) == target.name
        for index in again.planes:
            assert np.array_equal(again.load(index), stack[index.z])


@pytest.mark.parametrize("kind", ["lsm", "stk", "btf"])
def test_damage(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"whole.{kind}"
    stack = RNG.integers(0, 4096, (2, 2, 2, 20, 30)).astype(np.uint16)
    if kind == "lsm":
        lsm(path, stack, 6)
    elif kind == "stk":
        stk(path, stack[:, 0, 0], 0.25, 500)
    else:
        tifffile.imwrite(path, stack, bigtiff=True)
    assert fuzz(path, 200, random.Random(kind)) > 20
