"""OME-Zarr 0.4 and 0.5, through zarr (extra `zarr`); the full-resolution level is read."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from cellqa.errors import ImageError
from cellqa.io.base import (
    Acquisition,
    ImageFile,
    PlaneIndex,
    check_size,
    in_micrometres,
    plane_indices,
)
from cellqa.planes import Array


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open the image in a folder with a name that ends in `.zarr`."""
    group: Any = zarr.open_group(path, mode="r")
    attributes: dict[str, Any] = dict(group.attrs)
    scales = dict(attributes.get("ome", attributes))["multiscales"][0]
    level = scales["datasets"][0]
    data = group[level["path"]]
    names = [axis["name"] if isinstance(axis, dict) else axis for axis in scales["axes"]]
    sizes = dict(zip(names, data.shape, strict=True))
    check_size(path, sizes["y"], sizes["x"], max_pixels)
    unknown = [name for name in names if name not in "tczyx" and sizes[name] > 1]
    if unknown:
        raise ImageError(f"{path.name}: axis {unknown[0]!r} is not time, channel or space")

    def load(index: PlaneIndex, start: int = 0, stop: int | None = None) -> Array:
        cut = {"y": slice(start, stop), "x": slice(None)}
        at = tuple(cut[name] if name in cut else getattr(index, name, 0) for name in names)
        pixels = np.asarray(data[at])
        if _unwritten(pixels, data) and not _has_chunks(path / level["path"], data, at):
            raise ImageError(
                f"{path.name}: plane {index.label()} is not in the store: it has no chunk of it"
            )
        return pixels if names.index("y") < names.index("x") else pixels.T

    planes = plane_indices(1, *(sizes.get(axis, 1) for axis in "tcz"))

    def acquisition() -> Acquisition:
        shown = dict(attributes.get("ome", attributes)).get("omero", {}).get("channels", [])
        channels = tuple(str(channel.get("label", "")) for channel in shown)
        step = _step(scales, level, names.index("z")) if "z" in names else None
        seconds: tuple[float, ...] = ()
        if "t" in names:
            unit, interval = _scale(scales, level, names.index("t"))
            factor = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0, "hour": 3600.0}.get(unit)
            seconds = tuple(i.t * interval * factor for i in planes) if factor and interval else ()
        return Acquisition(channels if len(channels) == sizes.get("c", 1) else (), step, seconds)

    return ImageFile(
        path,
        planes,
        (sizes["y"], sizes["x"]),
        np.dtype(data.dtype),
        _step(scales, level, names.index("x")),
        load,
        decode_rows=load,
        acquisition=acquisition,
        pixel_size_y=_step(scales, level, names.index("y")),
    )


def _unwritten(pixels: Array, data: Any) -> bool:
    """Whether the pixels may be what a store gives for chunks that it lacks."""
    return bool((pixels == (data.fill_value or 0)).all())


def _has_chunks(folder: Path, data: Any, at: tuple[int | slice, ...]) -> bool:
    """Whether any chunk of a plane, or some rows of it, is there."""
    each = data.shards or data.chunks
    ranges = []
    for place, side, length in zip(at, each, data.shape, strict=True):
        first, stop, _ = (
            place.indices(length) if isinstance(place, slice) else (place, place + 1, 1)
        )
        ranges.append(range(first // side, -(-stop // side)))
    return any(
        (folder / data.metadata.encode_chunk_key(chunk)).exists() for chunk in product(*ranges)
    )


def _scale(scales: dict[str, Any], level: dict[str, Any], number: int) -> tuple[str, float | None]:
    """Unit and step of an axis; the unit is empty and the step None where none is stated."""
    axis = scales["axes"][number]
    unit = str(axis.get("unit") or "") if isinstance(axis, dict) else ""
    factor: float | None = None
    for owner in (level, scales):
        for transformation in owner.get("coordinateTransformations", ()):
            if transformation.get("type") == "scale":
                factor = (factor or 1.0) * float(transformation["scale"][number])
    return unit, factor


def _step(scales: dict[str, Any], level: dict[str, Any], number: int) -> float | None:
    """Step of an axis of space, in micrometres."""
    unit, factor = _scale(scales, level, number)
    if factor is None or (not unit and factor == 1):  # what uncalibrated files state
        return None
    return in_micrometres(factor, unit or "micrometer")
