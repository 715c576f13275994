"""Olympus OIB, through oiffile (extra `oif`): a compound file with a TIFF file for each plane."""

from __future__ import annotations

import re
import struct
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import oiffile
import tifffile

from cellqa.errors import ImageError
from cellqa.io.acquisition import Acquisition, Channel, number, said
from cellqa.io.base import (
    MAX_PLANES,
    ImageFile,
    PlaneIndex,
    check_size,
    in_micrometres,
    plane_indices,
    regular_times,
)
from cellqa.io.tiff_pages import check_extent, logged
from cellqa.planes import Array

_PLANE = re.compile(r"s_((?:[A-Z]\d{3,7})+)\.tif", re.IGNORECASE)
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_OWN = 109  # sectors of the table of tables that the header has itself


class _Compound(oiffile.CompoundFile):
    """A compound file whose chains of sectors end: a damaged one may lead in a circle."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            start = file.read(76)
        self._path, self._limit = path, path.stat().st_size // 512 + 1
        if len(start) < 76 or struct.unpack_from("<I", start, 72)[0] > self._limit // _OWN + 1:
            raise ImageError(f"{path.name}: damaged or truncated, its tables are not in the file")
        super().__init__(path)

    def _sec_chain(self, secid: int, /) -> Generator[bytes]:
        return self._ending(super()._sec_chain(secid))

    def _mini_sec_chain(self, secid: int, /) -> Generator[bytes]:
        return self._ending(super()._mini_sec_chain(secid), 512 // 64)

    def _ending(self, sectors: Iterator[bytes], times: int = 1) -> Generator[bytes]:
        for count, sector in enumerate(sectors):
            if count > self._limit * times or not sector:
                raise ImageError(f"{self._path.name}: damaged, a chain of sectors does not end")
            yield sector


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open; a file that states more planes than it has was stopped, and lacks those.

    Raises
    ------
    ImageError
        It is damaged, has other axes than time, channel and focus, or planes are too large.
    """
    file = _Compound(path)
    try:
        return _open(path, file, max_pixels)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: _Compound, max_pixels: int) -> ImageFile:
    streams = _streams(file)
    main = _settings(file, streams[""])
    found: dict[PlaneIndex, str] = {}
    for name, stream in streams.items():
        if match := _PLANE.fullmatch(name.replace("\\", "/").rpartition("/")[2]):
            at = {key.lower(): int(n) for key, n in re.findall(r"([A-Z])(\d+)", match[1])}
            if not at.keys() <= {"t", "c", "z"}:
                raise ImageError(f"{path.name}: has other axes than time, channel and focus")
            found[PlaneIndex(**{key: max(0, n - 1) for key, n in at.items()})] = stream
    axes = _axes(main)
    if not found:
        raise ImageError(f"{path.name}: an OIB file without planes")
    if any(axis not in "XYTCZ" and count > 1 for axis, (count, _, _) in axes.items()):
        raise ImageError(f"{path.name}: has other axes than time, channel and focus")
    counts = [
        max(axes.get(axis, (1, 0, ""))[0], 1 + max(getattr(i, axis.lower()) for i in found))
        for axis in "TCZ"
    ]
    if max(counts) > MAX_PLANES:
        raise ImageError(f"{path.name}: states more than {MAX_PLANES} planes")
    planes = plane_indices(1, *counts)

    def page(index: PlaneIndex, file: tifffile.TiffFile) -> Any:
        """The only page of a plane's file, found to be acceptable."""
        first = file.pages.first
        if len(first.shape) != 2:
            raise ImageError(f"{path.name}: plane {index.label()} is of shape {first.shape}")
        check_size(path, first.imagelength, first.imagewidth, max_pixels)
        check_extent(path, first)
        return first

    def opened(index: PlaneIndex) -> tifffile.TiffFile:
        if index not in found:
            raise ImageError(f"{path.name}: plane {index.label()} was not acquired")
        return tifffile.TiffFile(file.open_file(found[index]))

    with logged(path), opened(min(found)) as tif:
        first = page(min(found), tif)
        shape, dtype = (first.imagelength, first.imagewidth), np.dtype(first.dtype)

    def load(index: PlaneIndex) -> Array:
        with logged(path), opened(index) as tif:
            own = page(index, tif)
            if own.shape != shape or own.dtype != dtype:
                kind = f"shape {own.shape} and type {own.dtype}"
                raise ImageError(f"{path.name}: plane {index.label()} is of {kind}")
            return np.asarray(own.asarray(maxworkers=1))

    about = main.get("Reference Image Parameter", {})
    sides = [
        in_micrometres(about.get(f"{side}ConvertValue"), about.get(f"{side}Unit"))
        for side in ("Width", "Height")
    ]

    def acquisition() -> Acquisition:
        count, length, unit = axes.get("Z", (1, 0.0, ""))
        times, lasted, clock = axes.get("T", (1, 0.0, ""))
        interval = lasted / (times - 1) * _SECONDS.get(clock, 0.0) if times > 1 else 0.0
        bits = number(about.get("ValidBitCounts"))
        taken = str(main.get("Acquisition Parameters Common", {}).get("ImageCaputreDate", ""))
        date = re.fullmatch(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)", taken)
        return Acquisition(
            said(_channel(main, c) for c in range(counts[1])),
            in_micrometres(length / (count - 1), unit) if count > 1 else None,
            regular_times(planes, interval),
            dates=(f"{date[1]}T{date[2]}",) if date else (),
            bits=int(bits) if bits else None,
        )

    return ImageFile(
        path,
        planes,
        shape,
        dtype,
        sides[0],
        load,
        file.close,
        acquisition=acquisition,
        pixel_size_y=sides[1],
    )


def _settings(file: _Compound, stream: str) -> dict[str, dict[str, Any]]:
    return dict(oiffile.SettingsFile(file.open_file(stream), stream))


def _streams(file: _Compound) -> dict[str, str]:
    """The stream of each of Olympus' files; that of the settings has an empty name."""
    inside = {name.rpartition("/")[2]: name for name in file.files()}
    about = _settings(file, inside["OibInfo.txt"])["OibSaveInfo"]
    named = {
        str(name): inside[key]
        for key, name in about.items()
        if key.startswith("Stream") and key in inside
    }
    return {**named, "": named[about[about["MainFileName"]]]}


def _axes(main: dict[str, dict[str, Any]]) -> dict[str, tuple[int, float, str]]:
    """Number of places along each axis that is in use, its length and unit."""
    used = str(main.get("Axis Parameter Common", {}).get("AxisOrder", ""))
    axes = {}
    for k in range(16):
        about = main.get(f"Axis {k} Parameters Common", {})
        if (code := str(about.get("AxisCode", ""))) and code in used:
            length = abs(float(about.get("EndPosition", 0)) - float(about.get("StartPosition", 0)))
            axes[code] = int(about.get("MaxSize", 0)), length, str(about.get("UnitName", ""))
    return axes


def _channel(main: dict[str, dict[str, Any]], c: int) -> Channel:
    about = main.get(f"GUI Channel {c + 1} Parameters", {})
    name = about.get("DyeName") or about.get("CH Name") or ""
    excitation, emission = (
        number(about.get(f"{kind}Wavelength")) for kind in ("Excitation", "Emission")
    )
    return Channel(str(name), excitation=excitation, emission=emission)
