"""Leica LIF, through liffile (extra `lif`): each image of a file is a scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import liffile
import numpy as np

from cellqa.errors import ImageError
from cellqa.io.acquisition import Acquisition, Channel, said
from cellqa.io.base import (
    ImageFile,
    PlaneIndex,
    Size,
    check_size,
    in_micrometres,
    plane_indices,
)
from cellqa.planes import Array

_AXES = "MTCZYXS"  # M are the positions of a tile scan, each a scene
_NAMED = 8  # images that a message names
_COLOURS = {"red": "#ff0000", "green": "#00ff00", "blue": "#0000ff", "cyan": "#00ffff",
            "magenta": "#ff00ff", "yellow": "#ffff00"}  # fmt: skip


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open; images count as scenes, and so do the positions of a tile scan.

    Raises
    ------
    ImageError
        Images differ in type or in their numbers of times, channels and focus planes, have other
        axes than these, or need more bytes than the file holds.
    """
    file = liffile.LifFile(path)
    try:
        if file.type != liffile.LifFileType.LIF:  # XML that leads to other files
            raise ImageError(f"{path.name}: not a LIF file, but {file.type.value}")
        if file.xml_element.find("./Element/Children/Reference") is not None:
            raise ImageError(f"{path.name}: its images lie in other files, which are not read")
        return _open(path, file, max_pixels)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: Any, max_pixels: int) -> ImageFile:
    images = list(file.images)
    if not images:
        raise ImageError(f"{path.name}: a LIF file without images")
    sizes = [dict(image.sizes) for image in images]
    for image, own in zip(images, sizes, strict=True):
        _check(path, image, own, max_pixels)
    counts = [tuple(own.get(axis, 1) for axis in "TCZ") for own in sizes]
    kinds = {
        (count, image.dtype, own.get("S", 1))
        for count, image, own in zip(counts, images, sizes, strict=True)
    }
    if len(kinds) > 1:
        named = ", ".join(_spoken(i, own) for i, own in zip(images[:_NAMED], sizes, strict=False))
        more = " ..." if len(images) > _NAMED else ""
        raise ImageError(f"{path.name}: its images differ; save each on its own: {named}{more}")
    # scenes: each position of each image
    places = [(k, m) for k, own in enumerate(sizes) for m in range(own.get("M", 1))]
    t, c, z = counts[0]
    planes = plane_indices(len(places), t, c, z)
    shapes = [_shape(own) for own in sizes]

    def load(index: PlaneIndex) -> Array:
        number, place = places[index.s]
        at = {"M": place, "T": index.t, "C": index.c, "Z": index.z}
        own = sizes[number]
        return np.asarray(
            images[number].frame(**{axis: value for axis, value in at.items() if axis in own})
        )

    sides = [_sides(images[k]) for k, _ in places]
    same = len(set(sides)) == 1
    return ImageFile(
        path,
        planes,
        shapes[0],
        np.dtype(images[0].dtype).newbyteorder("="),
        sides[0][0],
        load,
        file.close,
        tuple(shapes[k] for k, _ in places),
        acquisition=lambda: _acquisition(images, places, planes),
        pixel_size_y=sides[0][1],
        scene_sizes=() if same else tuple(sides),
    )


def _spoken(image: Any, sizes: dict[str, int]) -> str:
    return f"{image.path} ({' x '.join(f'{n} {axis}' for axis, n in sizes.items())})"


def _shape(sizes: dict[str, int]) -> tuple[int, ...]:
    samples = (sizes["S"],) if sizes.get("S", 1) > 1 else ()
    return (sizes["Y"], sizes["X"], *samples)


def _check(path: Path, image: Any, sizes: dict[str, int], max_pixels: int) -> None:
    """Refuse an image before memory is taken for it."""
    unknown = [axis for axis in sizes if axis not in _AXES]
    if isinstance(image, liffile.LifFlimImage) or unknown or not {"Y", "X"} <= sizes.keys():
        raise ImageError(
            f"{path.name}: {_spoken(image, sizes)} has other axes than place, time, channel, focus"
        )
    check_size(path, sizes["Y"], sizes["X"], max_pixels)
    if set(image.frames.frame_sizes) - {"S"} != {"Y", "X"}:
        raise ImageError(f"{path.name}: {_spoken(image, sizes)} is not stored plane by plane")
    if sizes.get("S", 1) > 4:
        raise ImageError(f"{path.name}: {sizes['S']} samples a pixel are not supported")
    block = image.memory_block
    needed = np.dtype(image.dtype).itemsize * np.prod([float(n) for n in sizes.values()])
    there = path.stat().st_size - block.offset
    if block.offset < 0 or needed > min(block.size, there):
        raise ImageError(
            f"{path.name}: truncated, {image.path} needs {needed:.0f} bytes, "
            f"{max(0, min(block.size, there))} are there"
        )


def _dimensions(image: Any) -> dict[str, Any]:
    found = image.xml_element.findall(
        "./Data/Image/ImageDescription/Dimensions/DimensionDescription"
    )
    return {each.get("DimID"): each for each in found}


def _step(image: Any, dimension: str) -> float | None:
    """Distance of neighbours along X ("1"), Y ("2") or Z ("3"); Leica's lengths end at centres."""
    about = _dimensions(image).get(dimension)
    if about is None:
        return None
    count = int(about.get("NumberOfElements", 0))
    length = abs(float(about.get("Length", 0)))
    return in_micrometres(length / (count - 1), about.get("Unit", "")) if count > 1 else None


def _sides(image: Any) -> Size:
    return _step(image, "1"), _step(image, "2")


def _acquisition(
    images: Sequence[Any], places: list[tuple[int, int]], planes: tuple[PlaneIndex, ...]
) -> Acquisition:
    every = [_channels(image, planes[-1].c + 1) for image in images]
    stamps = [image.timestamps for image in images]
    several = len({k for k, _ in places}) < len(places)
    names = [images[k].path + (f" {m + 1}" if several else "") for k, m in places]
    started = ["" if s is None or not len(s) else str(s[0]) for s in stamps]
    return Acquisition(
        every[0],
        _step(images[0], "3") if planes[-1].z else None,
        _seconds(images, planes) if not several else (),
        scene_channels=tuple(every[k] for k, _ in places) if len(set(every)) > 1 else (),
        scene_names=tuple(names),
        dates=tuple(started[k] for k, _ in places) if any(started) else (),
    )


def _seconds(images: Sequence[Any], planes: tuple[PlaneIndex, ...]) -> tuple[float, ...]:
    """When each plane was taken, where each has a time stamp: Leica's order is T, Z, C."""
    last = planes[-1]
    of: list[Any] = []
    for image in images:
        stamps = image.timestamps
        if stamps is None or len(stamps) != (last.t + 1) * (last.c + 1) * (last.z + 1):
            return ()
        since = (stamps - stamps[0]) / np.timedelta64(1, "s")
        of.append(since.reshape(last.t + 1, last.z + 1, last.c + 1))
    found = tuple(float(of[i.s][i.t, i.z, i.c]) for i in planes)
    return found if any(found) else ()


def _channels(image: Any, count: int) -> tuple[Channel, ...]:
    """Channels by the colour of their table; dyes' names are not in the description."""
    found = image.xml_element.findall("./Data/Image/ImageDescription/Channels/ChannelDescription")
    if len(found) != count:  # samples of a colour picture
        return ()
    found.sort(key=lambda each: int(each.get("BytesInc", 0)))
    return said(_channel(each) for each in found)


def _channel(about: Any) -> Channel:
    properties = {
        key.text: value.text
        for each in about.findall("./ChannelProperty")
        if (key := each.find("Key")) is not None and (value := each.find("Value")) is not None
    }
    table = str(about.get("LUTName", ""))
    name = properties.get("DyeName") or about.get("NameOfMeasuredQuantity") or ""
    return Channel(name, _COLOURS.get(table.lower(), ""))
