"""Imaris .ims, through h5py (extra `hdf5`): the finest level of its pyramid."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cellqa.errors import ImageError
from cellqa.io.acquisition import Acquisition, Channel, number, said
from cellqa.io.base import (
    MAX_PLANES,
    ImageFile,
    PlaneIndex,
    absent,
    check_size,
    in_micrometres,
    plane_indices,
)
from cellqa.planes import Array

_LEVEL = "DataSet/ResolutionLevel 0"
_FILTERS = 8  # that a dataset may pass through
_CHUNK = 2**28  # bytes of a chunk, which is decompressed as a whole


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open; nothing is read of other files, to which HDF5 could lead.

    Raises
    ------
    ImageError
        Planes are missing, too large, differ in type or size, or lie in another file.
    """
    file = h5py.File(path, "r", locking=False)
    try:
        return _open(path, file, max_pixels)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: h5py.File, max_pixels: int) -> ImageFile:
    about = _attributes(_inside(file, "DataSetInfo/Image"))
    x, y, z = (int(about[axis]) for axis in "XYZ")
    check_size(path, y, x, max_pixels)
    level = _inside(file, _LEVEL)
    times = _count(level, "TimePoint")
    channels = _count(_inside(level, "TimePoint 0"), "Channel")
    planes = plane_indices(t=times, c=channels, z=z)
    first = _data(path, level, 0, 0, (z, y, x))
    dtype = first.dtype.newbyteorder("=")

    def load(index: PlaneIndex, start: int = 0, stop: int | None = None) -> Array:
        data = _data(path, level, index.t, index.c, (z, y, x))
        if data.dtype != first.dtype:
            raise ImageError(f"{path.name}: plane {index.label()} is of type {data.dtype}")
        _check_there(path, data, index)
        return np.asarray(data[index.z, start : y if stop is None else stop, :x], dtype)

    sides = dict(zip("xyz", (_side(about, k, n) for k, n in enumerate((x, y, z))), strict=True))

    def acquisition() -> Acquisition:
        own = [_attributes(_inside(file, f"DataSetInfo/Channel {c}")) for c in range(channels)]
        return Acquisition(
            said(map(_channel, own)),
            sides["z"] if z > 1 else None,
            _seconds(file, planes),
            dates=_date(about),
        )

    return ImageFile(
        path,
        planes,
        (y, x),
        dtype,
        sides["x"],
        load,
        file.close,
        decode_rows=load,
        acquisition=acquisition,
        pixel_size_y=sides["y"],
    )


def _inside(group: Any, where: str) -> Any:
    """What stands at a path of a group, in this file.

    Raises
    ------
    ImageError
        A link on the way leads to another file, or there is nothing.
    """
    found = group
    for name in where.split("/"):
        link = found.get(name, getlink=True)
        if link is None:
            raise ImageError(f"not Imaris' layout, {name!r} is missing")
        if not isinstance(link, h5py.HardLink):
            raise ImageError(f"{name!r} is a link; what it leads to is not read")
        found = found[name]
    return found


def _count(group: Any, name: str) -> int:
    """How many members have this name and a number, from 0 without gaps."""
    numbers = {
        int(match[1]) for each in group if (match := re.fullmatch(rf"{name} (\d{{1,7}})", each))
    }
    if not numbers or numbers != set(range(len(numbers))) or len(numbers) > MAX_PLANES:
        raise ImageError(f"some of its {len(numbers)} {name} groups are missing")
    return len(numbers)


def _data(path: Path, level: Any, t: int, c: int, shape: tuple[int, ...]) -> Any:
    """The dataset of a time and channel, which may be larger than the image: it is padded."""
    data = _inside(level, f"TimePoint {t}/Channel {c}/Data")
    plist = data.id.get_create_plist()
    if data.is_virtual or plist.get_external_count():
        raise ImageError(f"{path.name}: its pixels lie in another file, which is not read")
    if data.ndim != 3 or any(n < own for n, own in zip(data.shape, shape, strict=True)):
        raise ImageError(f"{path.name}: of shape {data.shape}, not {shape} as the file states")
    if data.dtype.kind not in "uif" or data.dtype.itemsize > 8:
        raise ImageError(f"{path.name}: values of type {data.dtype} are no pixels")
    chunk = float(np.prod([float(n) for n in data.chunks or (0,)])) * data.dtype.itemsize
    if chunk > _CHUNK or plist.get_nfilters() > _FILTERS:
        raise ImageError(f"{path.name}: chunks of {chunk:.0f} bytes are more than any program's")
    return data


def _check_there(path: Path, data: Any, index: PlaneIndex) -> None:
    """A plane of which nothing was ever written reads as 0; it is not taken for a black one."""
    if data.chunks is None:
        there = data.id.get_storage_size() > 0
    else:
        _, height, width = data.shape
        _, high, wide = data.chunks
        there = any(
            data.id.get_chunk_info_by_coord((index.z, row, column)).byte_offset is not None
            for row in range(0, height, high)
            for column in range(0, width, wide)
        )
    if not there:
        absent(f"{path.name}: plane {index.label()} was not acquired")


def _attributes(group: Any) -> dict[str, str]:
    """Imaris writes text as arrays of single characters."""
    return {name: _text(value) for name, value in group.attrs.items()}


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip("\0 ")
    if isinstance(value, np.ndarray) and value.dtype.kind == "S":
        return value.tobytes().decode("utf-8", "replace").strip("\0 ")
    return str(value).strip()


def _side(about: dict[str, str], axis: int, count: int) -> float | None:
    low, high = (about.get(f"Ext{end}{axis}", "nan") for end in ("Min", "Max"))
    try:
        length = abs(float(high) - float(low)) / count
    except (ValueError, ZeroDivisionError):
        return None
    # one unit a pixel is what uncalibrated files state
    return None if length == 1.0 else in_micrometres(length, about.get("Unit") or "um")


def _channel(about: dict[str, str]) -> Channel:
    shares = re.findall(r"[\d.]+", about.get("Color", ""))
    shade = ""
    if len(shares) == 3 and all(0 <= float(share) <= 1 for share in shares):
        shade = "#" + "".join(f"{round(255 * float(share)):02x}" for share in shares)
    shade = "" if shade == "#ffffff" or about.get("ColorMode") == "TableColor" else shade
    name = about.get("Name", "")
    named = "" if name == "(name not specified)" else name
    excitation, emission = (
        number(about.get(f"LSM{kind}Wavelength")) for kind in ("Excitation", "Emission")
    )
    return Channel(named, shade, excitation, emission)


def _seconds(file: h5py.File, planes: tuple[PlaneIndex, ...]) -> tuple[float, ...]:
    """When each time was taken, where each is stated."""
    if not planes[-1].t:
        return ()
    about = _attributes(_inside(file, "DataSetInfo/TimeInfo"))
    stated = [about.get(f"TimePoint{t + 1}", "") for t in range(planes[-1].t + 1)]
    try:
        moments = [datetime.datetime.fromisoformat(each) for each in stated]
    except ValueError:
        return ()
    since = [(each - moments[0]).total_seconds() for each in moments]
    return tuple(since[i.t] for i in planes) if any(since) else ()


def _date(about: dict[str, str]) -> tuple[str, ...]:
    try:
        return (datetime.datetime.fromisoformat(about.get("RecordingDate", "")).isoformat(),)
    except ValueError:
        return ()
