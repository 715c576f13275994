"""Writing OME-Zarr, level by level, in memory for some rows of chunks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from cellqa.errors import ImageError
from cellqa.io.acquisition import PIXEL_SIZE
from cellqa.io.base import ImageFile, PlaneIndex, regrouped
from cellqa.io.formats import format_of
from cellqa.io.stores import attributes
from cellqa.planes import Array

_CHUNK = 1024  # side of a chunk
_AXES = "tczyx"
_KEPT = frozenset(
    (PIXEL_SIZE, "channel names", "colours", "focus step", "stage positions", "stage heights")
)
_REGULAR = 1e-3  # of the interval, by which times may differ from regular ones


def keeps(path: Path, like: ImageFile, dtype: np.dtype[Any]) -> frozenset[str]:
    """Which of `FACTS` a store has that is written like another image."""
    return _KEPT | {"times"} if _interval(like)[1] else _KEPT


def _interval(like: ImageFile) -> tuple[float, bool]:
    """Seconds from one time to the next, and whether all planes of a time keep to it."""
    seconds = like.acquired().seconds
    times = {index.t: s for index, s in zip(like.planes, seconds, strict=False)}
    if len(times) < 2:
        return 0.0, not any(seconds)
    interval = (max(times.values()) - min(times.values())) / (len(times) - 1)
    regular = (i.t * interval for i in like.planes)
    pairs = zip(seconds, regular, strict=False)
    return interval, all(abs(a - b) <= _REGULAR * interval for a, b in pairs)


def write_file(
    path: Path, blocks: Iterable[Array], like: ImageFile, note: str, dtype: np.dtype[Any]
) -> None:
    """Write planes as OME-Zarr: 0.5 where the source is, else 0.4, which more programs read.

    Raises
    ------
    ImageError
        The image has several scenes or colour samples, for which OME-Zarr has no room.
    """
    if like.planes[-1].s or len(like.shape) > 2:
        what = "several scenes" if like.planes[-1].s else "colour samples"
        raise ImageError(f"{what} only fit into a TIFF file")
    version = _version(like.path)
    group: Any = zarr.open_group(path, mode="w", zarr_format=version)
    sizes = tuple(1 + max(index[axis] for index in like.planes) for axis in (1, 2, 3))
    order = _order(like)
    level = _level(group, 0, (*sizes, *like.shape), dtype, order)
    planes = iter(blocks)
    for index in like.planes:
        row = 0
        for part in regrouped(planes, like.shape[0], min(_CHUNK, like.shape[0])):
            _put(level, order, index, slice(row, row + len(part)), part)
            row += len(part)
    number = 1
    while max(level.shape[order.index(axis)] for axis in "yx") > _CHUNK:
        level = _halved(group, number, level, like.planes, order)
        number += 1
    _describe(group, number, like, note, order)


def _order(like: ImageFile) -> str:
    """The source's axes, where it is OME-Zarr; those without several planes may be left out."""
    axes = like.acquired().axes
    sizes = {axis: max(getattr(index, axis) for index in like.planes) for axis in "tcz"}
    whole = all(axis in axes for axis in (*"yx", *(axis for axis, n in sizes.items() if n)))
    return axes if whole else _AXES


def _where(order: str, index: PlaneIndex, rows: slice, columns: slice) -> tuple[int | slice, ...]:
    cut = {"y": rows, "x": columns}
    return tuple(cut[axis] if axis in cut else getattr(index, axis) for axis in order)


def _put(level: Any, order: str, index: PlaneIndex, rows: slice, part: Array) -> None:
    turned = order.index("x") < order.index("y")
    level[_where(order, index, rows, slice(None))] = part.T if turned else part


def _get(level: Any, order: str, index: PlaneIndex, rows: slice, columns: slice) -> Array:
    pixels: Array = np.asarray(level[_where(order, index, rows, columns)])
    return pixels.T if order.index("x") < order.index("y") else pixels


def _version(path: Path) -> Literal[2, 3]:
    known = format_of(path)
    if known is None or not known.store:
        return 2
    return 3 if "version" in attributes(path) else 2  # of OME; in 0.4, each image has its own


def _level(
    group: Any, number: int, shape: tuple[int, ...], dtype: np.dtype[Any], order: str
) -> Any:
    """An array of a level; `shape` is of T, C, Z, Y, X."""
    sizes = dict(zip(_AXES, shape, strict=True))
    each = dict(zip(_AXES, (1, 1, 1, *(min(_CHUNK, n) for n in shape[-2:])), strict=True))
    options: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
    if group.metadata.zarr_format == 3:
        options = {"dimension_names": list(order)}
    # black planes, too: a plane without a chunk counts as not acquired
    options["config"] = {"write_empty_chunks": True}
    return group.create_array(
        str(number),
        shape=tuple(sizes[axis] for axis in order),
        dtype=dtype,
        chunks=tuple(each[axis] for axis in order),
        **options,
    )


def _halved(group: Any, number: int, level: Any, planes: tuple[PlaneIndex, ...], order: str) -> Any:
    """The next level: means of 2 x 2 pixels; an odd last row or column is dropped."""
    sizes = dict.fromkeys(_AXES, 1) | dict(zip(order, level.shape, strict=True))
    height, width = (max(1, sizes[axis] // 2) for axis in "yx")
    shape = (sizes["t"], sizes["c"], sizes["z"], height, width)
    smaller = _level(group, number, shape, level.dtype, order)
    for index in planes:
        for row in range(0, height, _CHUNK):
            rows = slice(2 * row, 2 * min(row + _CHUNK, height))
            part = _get(level, order, index, rows, slice(2 * width))
            sums = part.reshape(-1, 2, width, 2).mean((1, 3), dtype=np.float64)
            if level.dtype.kind in "iu":
                sums = np.rint(sums)
            done = slice(row, row + len(sums))
            _put(smaller, order, index, done, sums.astype(level.dtype))
    return smaller


def _describe(group: Any, levels: int, like: ImageFile, note: str, order: str) -> None:
    acquired = like.acquired()
    (size_x, size_y), step = like.size_of(like.planes[0]), acquired.z_step
    size_y = size_y or size_x
    interval, _ = _interval(like)
    scales = {"t": interval or 1.0, "c": 1.0, "z": step or 1.0}
    sides = {"y": size_y or 1.0, "x": size_x or 1.0}
    units: dict[str, Any] = {"t": interval and "second", "z": step and "micrometer"}
    units |= dict.fromkeys("yx", size_x and "micrometer")
    origin = dict(zip("yx", acquired.positions[0], strict=True)) if acquired.positions else {}
    if acquired.heights:
        origin["z"] = acquired.heights[0]
    units |= {axis: units.get(axis) or "micrometer" for axis in origin}
    kinds = {"t": "time", "c": "channel"}
    axes = [
        {"name": axis, "type": kinds.get(axis, "space")}
        | ({"unit": units[axis]} if units.get(axis) else {})
        for axis in order
    ]
    datasets = []
    for k in range(levels):
        sizes = scales | {axis: side * 2**k for axis, side in sides.items()}
        moved = [{"type": "scale", "scale": [sizes[axis] for axis in order]}]
        if origin:
            places = [origin.get(axis, 0.0) for axis in order]
            moved.append({"type": "translation", "translation": places})
        datasets.append({"path": str(k), "coordinateTransformations": moved})
    shown: dict[str, Any] = {
        "multiscales": [
            {
                "name": like.path.name,
                "axes": axes,
                "datasets": datasets,
                "type": "mean",
                "metadata": {"description": note},
            }
        ]
    }
    if acquired.channels:
        shown["omero"] = _omero(like)
    if group.metadata.zarr_format == 3:
        group.attrs["ome"] = {"version": "0.5", **shown}
    else:
        shown["multiscales"][0]["version"] = "0.4"
        group.attrs.update(shown)


def _omero(like: ImageFile) -> dict[str, Any]:
    """How channels are shown, of which OME asks for a colour and a range: that of the type."""
    limits = np.iinfo(like.dtype) if like.dtype.kind in "iu" else None
    low, high = (int(limits.min), int(limits.max)) if limits else (0, 1)
    window = {"min": low, "max": high, "start": low, "end": high}
    return {
        "channels": [
            {"label": channel.name, "color": channel.colour[1:].upper() or "FFFFFF"}
            | {"active": True, "window": window}
            for channel in like.acquired().channels
        ]
    }
