"""LIF files, built by hand: a header of XML, and a block of bytes for each image."""

import random
import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from damage import fuzz

from cellqa.errors import ImageError
from cellqa.io import open_image, write_image

pytest.importorskip("liffile")
RNG = np.random.default_rng(0)


def dimension(number: int, count: int, step: int, length: float = 0.0) -> str:
    return (
        f'<DimensionDescription DimID="{number}" NumberOfElements="{count}" Origin="0" '
        f'Length="{length}" Unit="m" BitInc="0" BytesInc="{step}"/>'
    )


def element(number: int, stack: np.ndarray, stamps: bool) -> str:
    """An image (M, T, Z, C, Y, X) with pixels of 0.1 x 0.2 µm and steps of 0.5 µm."""
    m, t, z, c, y, x = stack.shape
    size = stack.itemsize
    channels = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="{8 * size}" Min="0" Max="1" '
        f'NameOfMeasuredQuantity="" Unit="" LUTName="{name}" IsLUTInverted="0" '
        f'BytesInc="{k * y * x * size}" BitInc="0"><ChannelProperty><Key>DyeName</Key>'
        f"<Value>dye {k}</Value></ChannelProperty></ChannelDescription>"
        for k, name in zip(range(c), ("Green", "Red", "Gray"), strict=False)
    )
    plane = y * x * size
    dimensions = dimension(1, x, size, 1e-7 * (x - 1)) + dimension(2, y, x * size, 2e-7 * (y - 1))
    if z > 1:
        dimensions += dimension(3, z, c * plane, -5e-7 * (z - 1))
    if t > 1:
        dimensions += dimension(4, t, c * plane * z)
    if m > 1:
        dimensions += dimension(10, m, c * plane * z * t)
    times = ""
    if stamps:
        first = 116444736000000000 + 1_700_000_000 * 10**7
        moments = [first + 5_000_000 * k for k in range(t * z * c)]
        times = f"<TimeStampList>{' '.join(f'{each:x}' for each in moments)}</TimeStampList>"
    return (
        f'<Element Name="image {number}" UniqueID="{number}"><Memory Size="{stack.nbytes}" '
        f'MemoryBlockID="MemBlock_{number}"/><Data><Image><ImageDescription><Channels>{channels}'
        f"</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>{times}"
        "</Image></Data></Element>"
    )


def lif(path: Path, *stacks: np.ndarray, stamps: bool = False) -> Path:
    inner = "".join(element(k, stack, stamps) for k, stack in enumerate(stacks))
    return container(path, inner, stacks)


def container(path: Path, inner: str, stacks: Sequence[np.ndarray]) -> Path:
    text = (
        '<LMSDataContainerHeader Version="2"><Element Name="all" UniqueID="9"><Children>'
        f"{inner}</Children></Element></LMSDataContainerHeader>"
    )
    out = struct.pack("<IIBI", 0x70, 2 * len(text) + 5, 0x2A, len(text)) + text.encode("utf-16-le")
    for k, stack in enumerate(stacks):
        name = f"MemBlock_{k}"
        head = struct.pack("<IIBQBI", 0x70, 0, 0x2A, stack.nbytes, 0x2A, len(name))
        out += head + name.encode("utf-16-le") + stack.tobytes()
    path.write_bytes(out)
    return path


def pixels(*shape: int, dtype: type = np.uint16) -> np.ndarray:
    return RNG.integers(0, 255, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (1, 1, 1, 2), (1, 1, 3, 1), (1, 2, 3, 2), (1, 2, 1, 3), (2, 1, 3, 2)]
)
def test_axes(tmp_path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    stack = pixels(*shape, 20, 30, dtype=dtype)
    with open_image(lif(tmp_path / "a.lif", stack)) as file:
        assert len(file.planes) == np.prod(shape)
        assert file.dtype == dtype
        for i in file.planes:
            assert np.array_equal(file.load(i), stack[i.s, i.t, i.z, i.c])
        assert (file.pixel_size, file.pixel_size_y) == pytest.approx((0.1, 0.2))
        known = file.acquired()
        assert known.z_step == (pytest.approx(0.5) if shape[2] > 1 else None)
        assert known.names == ("dye 0", "dye 1", "dye 2")[: shape[3]]
        assert known.channels[0].colour == "#00ff00"


def test_images_are_scenes(tmp_path: Path) -> None:
    stacks = [pixels(1, 2, 1, 2, 20, 30), pixels(1, 2, 1, 2, 25, 10)]
    with open_image(lif(tmp_path / "a.lif", *stacks, stamps=True)) as file:
        for i in file.planes:
            assert file.shape_of(i) == stacks[i.s].shape[-2:]
            assert np.array_equal(file.load(i), stacks[i.s][0, i.t, i.z, i.c])
        known = file.acquired()
        assert known.scene_names == ("image 0", "image 1")
        assert known.dates == ("2023-11-14T22:13:20.000",) * 2
        assert known.seconds == (0, 0.5, 1, 1.5) * 2
        write_image(tmp_path / "a.ome.tif", map(file.load, file.planes), file, "", file.dtype)
    with open_image(tmp_path / "a.ome.tif") as again:
        assert again.acquired().names == known.names
        assert again.pixel_size == pytest.approx(0.1)


@pytest.mark.parametrize("tags", [(1, 2, 3), (3, 2, 1)])
def test_colour(tmp_path: Path, tags: tuple[int, ...]) -> None:
    """Samples of a pixel, in the order red, green, blue or the reverse."""
    image = pixels(20, 30, 3, dtype=np.uint8)
    described = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="{tag}" Resolution="8" Min="0" Max="1" '
        f'NameOfMeasuredQuantity="" Unit="" LUTName="" IsLUTInverted="0" BytesInc="{k}" '
        'BitInc="0"/>'
        for k, tag in enumerate(tags)
    )
    text = element(0, image[None, None, None, None, ..., 0], False)
    dimensions = dimension(1, 30, 3, 29e-7) + dimension(2, 20, 90, 38e-7)
    for name, inner in (("Channels", described), ("Dimensions", dimensions)):
        text = re.sub(f"<{name}>.*</{name}>", f"<{name}>{inner}</{name}>", text)
    path = container(tmp_path / "a.lif", text, [image])
    with open_image(path) as file:
        assert file.shape == (20, 30, 3)
        shown = image if tags[0] == 1 else image[..., ::-1]
        assert np.array_equal(file.load(file.planes[0]), shown)


def test_images_that_differ_are_named(tmp_path: Path) -> None:
    path = lif(tmp_path / "a.lif", pixels(1, 1, 1, 1, 20, 30), pixels(1, 1, 4, 1, 20, 30))
    with pytest.raises(ImageError, match=r"differ; .* image 0 \(20 Y x 30 X\), image 1 \(4 Z"):
        open_image(path)


def test_what_is_refused(tmp_path: Path) -> None:
    whole = lif(tmp_path / "a.lif", pixels(1, 1, 2, 1, 20, 30)).read_bytes()
    for size in (5, 100, len(whole) // 2, len(whole) - 2000, len(whole) - 1):
        (tmp_path / "a.lif").write_bytes(whole[:size])
        with pytest.raises(ImageError, match=r"^a\.lif: "):
            open_image(tmp_path / "a.lif")
    many = whole.replace('Elements="30"'.encode("utf-16-le"), 'Elements="99"'.encode("utf-16-le"))
    (tmp_path / "a.lif").write_bytes(many)
    with pytest.raises(ImageError, match=r"^a\.lif: "):
        open_image(tmp_path / "a.lif")
    inner, other = (each.encode("utf-16-le") for each in ("<Children>", "<Children><Reference />"))
    text = whole.replace(inner, other)
    size = struct.unpack_from("<I", whole, 9)[0] + len("<Reference />")
    (tmp_path / "a.lif").write_bytes(text[:9] + struct.pack("<I", size) + text[13:])
    with pytest.raises(ImageError, match="lie in other files"):
        open_image(tmp_path / "a.lif")
    # XML under the name: liffile would follow it to other files
    (tmp_path / "a.lif").write_bytes(
        '<LMSDataContainerHeader Version="2"><Element Name="a"><Data><Image/></Data><Memory '
        'Size="1"><Frame File="../b.jpg" Offset="0" Size="1"/></Memory></Element>'
        "</LMSDataContainerHeader>".encode("utf-16")
    )
    with pytest.raises(ImageError, match=r"a\.lif: not a (LIF file, but XLIF|readable LIF)"):
        open_image(tmp_path / "a.lif")


def test_damage(tmp_path: Path) -> None:
    path = lif(tmp_path / "whole.lif", pixels(1, 2, 3, 2, 20, 30), stamps=True)
    assert fuzz(path, 200, random.Random(0)) > 20
