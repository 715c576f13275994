"""OIB files, built by hand: a compound file with settings and a TIFF file for each plane."""

import io
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from damage import fuzz

from cellqa.errors import ImageError
from cellqa.io import open_image, write_image

pytest.importorskip("oiffile")
RNG = np.random.default_rng(0)
FREE, END, TABLE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def compound(streams: dict[str, bytes]) -> bytes:
    """A compound file of version 3; streams are padded to 4096 bytes, so that none is small."""
    sectors: list[bytes] = []
    fat: list[int] = []

    def put(data: bytes) -> int:
        first, n = len(sectors), -(-len(data) // 512)
        sectors.extend(data[512 * k : 512 * k + 512].ljust(512, b"\0") for k in range(n))
        fat.extend([*range(first + 1, first + n), END])
        return first

    def entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
        text = (name + "\0").encode("utf-16-le")
        return struct.pack(
            "<64sHBBIII16sIQQIQ",
            text, len(text), kind, 1, FREE, right, child, bytes(16), 0, 0, 0, start, size,
        )  # fmt: skip

    entries = [entry("Root Entry", 5, FREE, 1, END, 0)]
    for k, (name, data) in enumerate(streams.items(), 1):
        body = data.ljust(4096, b"\n" if name.endswith("txt") or name == "Stream00000" else b"\0")
        right = k + 1 if k < len(streams) else FREE
        entries.append(entry(name, 2, right, FREE, put(body), len(body)))
    directory = put(b"".join(entries).ljust(-(-len(entries) // 4) * 512, b"\0"))
    tables = 1
    while len(fat) + tables > 128 * tables:
        tables += 1
    place = len(sectors)
    fat.extend([TABLE] * tables)
    fat.extend([FREE] * (128 * tables - len(fat)))
    packed = struct.pack(f"<{len(fat)}I", *fat)
    difat = [*range(place, place + tables), *[FREE] * (109 - tables)]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + struct.pack(
        "<16sHHHHHHIIIIIIIIII109I",
        bytes(16), 0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0, tables, directory, 0, 4096, END, 0, END, 0,
        *difat,
    )  # fmt: skip
    return header + b"".join(sectors) + packed


def settings(**sections: dict[str, object]) -> bytes:
    lines = []
    for title, about in sections.items():
        lines.append(f"[{title.replace('_', ' ')}]")
        lines += [f"{key.replace('_', ' ')}={value}" for key, value in about.items()]
    return "\r\n".join([*lines, ""]).encode()


def oib(path: Path, stack: np.ndarray, without: tuple[int, ...] = (), axis: str = "T") -> Path:
    """A stack (T, C, Z, Y, X) with pixels of 0.1 x 0.2 µm, 500 nm and 2 s apart."""
    t, c, z, y, x = stack.shape
    axes = {
        f"Axis_{k}_Parameters_Common": {
            "AxisCode": f'"{code}"', "MaxSize": n, "StartPosition": 0, "EndPosition": end,
            "UnitName": f'"{unit}"',
        }
        for k, (code, n, end, unit) in enumerate(
            [("X", x, 1, "um"), ("Y", y, 1, "um"), ("C", c, 0, ""),
             ("Z", z, 500 * (z - 1), "nm"), (axis, t, 2000 * (t - 1), "ms")]
        )
    }  # fmt: skip
    dyes = {f"GUI_Channel_{k + 1}_Parameters": {"DyeName": f'"dye {k}"', "EmissionWavelength": 520}
            for k in range(c)}  # fmt: skip
    main = settings(
        Acquisition_Parameters_Common={"ImageCaputreDate": "'2024-05-06 07:08:09'"},
        Axis_Parameter_Common={"AxisOrder": f'"XYCZ{axis}"'},
        Reference_Image_Parameter={
            "WidthConvertValue": 0.1, "WidthUnit": '"um"', "HeightConvertValue": 0.2,
            "HeightUnit": '"um"', "ValidBitCounts": 12,
        },
        **axes, **dyes,
    )  # fmt: skip
    info = {"MainFileName": "Stream00000", "Stream00000": "a.oif"}
    streams = {"Stream00000": main}
    for i, k, m in np.ndindex(t, c, z):
        if (i, k, m) == without:
            continue
        key = f"Stream{len(streams):05}"
        info[key] = f"Storage00001/s_C{k + 1:03}Z{m + 1:03}T{i + 1:03}.tif"
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, stack[i, k, m], metadata=None)
        streams[key] = buffer.getvalue()
    path.write_bytes(compound({"OibInfo.txt": settings(OibSaveInfo=info), **streams}))
    return path


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 2, 1), (2, 1, 2)])
def test_oib(tmp_path: Path, shape: tuple[int, ...]) -> None:
    stack = RNG.integers(0, 4096, (*shape, 40, 60)).astype(np.uint16)
    with open_image(oib(tmp_path / "a.oib", stack)) as file:
        assert len(file.planes) == np.prod(shape)
        for i in file.planes:
            assert np.array_equal(file.load(i), stack[i.t, i.c, i.z])
        assert (file.pixel_size, file.pixel_size_y) == pytest.approx((0.1, 0.2))
        known = file.acquired()
        assert known.names == ("dye 0", "dye 1")[: shape[1]]
        assert known.channels[0].emission == 520
        assert known.z_step == (pytest.approx(0.5) if shape[2] > 1 else None)
        assert known.seconds == (tuple(2.0 * i.t for i in file.planes) if shape[0] > 1 else ())
        assert known.dates == ("2024-05-06T07:08:09",)
        assert known.bits == 12
        write_image(tmp_path / "a.ome.tif", map(file.load, file.planes), file, "", file.dtype)
    with open_image(tmp_path / "a.ome.tif") as again:
        assert again.acquired().z_step == known.z_step


def test_planes_that_were_not_acquired(tmp_path: Path) -> None:
    stack = RNG.integers(0, 4096, (1, 1, 3, 40, 60)).astype(np.uint16)
    with open_image(oib(tmp_path / "a.oib", stack, without=(0, 0, 2))) as file:
        assert len(file.planes) == 3
        assert np.array_equal(file.load(file.planes[1]), stack[0, 0, 1])
        with pytest.raises(ImageError, match="t0c0z2 was not acquired"):
            file.load(file.planes[2])


def test_what_is_refused(tmp_path: Path) -> None:
    stack = RNG.integers(0, 4096, (2, 1, 1, 40, 60)).astype(np.uint16)
    path = oib(tmp_path / "a.oib", stack, axis="L")
    with pytest.raises(ImageError, match="other axes than time"):
        open_image(path)
    with pytest.raises(ImageError, match="more than the limit"):
        open_image(oib(path, stack), max_pixels=1000)
    whole = path.read_bytes()
    for size in (5, 70, 600, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ImageError, match=r"^a\.oib: "), open_image(path) as file:
            file.load(file.planes[1])


def test_a_chain_in_a_circle_ends(tmp_path: Path) -> None:
    path = oib(tmp_path / "a.oib", RNG.integers(0, 9, (1, 1, 1, 40, 60)).astype(np.uint16))
    data = bytearray(path.read_bytes())
    at = len(data) - 512 + 4 * 5  # the sixth sector is followed by the first
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(ImageError, match="does not end"):
        open_image(path)


def test_damage(tmp_path: Path) -> None:
    stack = RNG.integers(0, 4096, (1, 2, 2, 40, 60)).astype(np.uint16)
    assert fuzz(oib(tmp_path / "whole.oib", stack), 200, random.Random(0)) > 20
