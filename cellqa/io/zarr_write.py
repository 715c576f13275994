"""Writing OME-Zarr, level by level, in memory for some rows of chunks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from cellqa.errors import ImageError
from cellqa.io.base import ImageFile, PlaneIndex, regrouped
from cellqa.planes import Array

_CHUNK = 1024  # side of a chunk
_AXES = "tczyx"


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
    level = _level(group, 0, (*sizes, *like.shape), dtype)
    planes = iter(blocks)
    for index in like.planes:
        row = 0
        for part in regrouped(planes, like.shape[0], min(_CHUNK, like.shape[0])):
            level[index.t, index.c, index.z, row : row + len(part)] = part
            row += len(part)
    number = 1
    while max(level.shape[-2:]) > _CHUNK:
        level = _halved(group, number, level, like.planes)
        number += 1
    _describe(group, number, like, note, version)


def _version(path: Path) -> Literal[2, 3]:
    return 3 if (path / "zarr.json").exists() else 2


def _level(group: Any, number: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    chunks = (1, 1, 1, *(min(_CHUNK, n) for n in shape[-2:]))
    options: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
    if group.metadata.zarr_format == 3:
        options = {"dimension_names": list(_AXES)}
    # black planes, too: a plane without a chunk counts as not acquired
    options["config"] = {"write_empty_chunks": True}
    return group.create_array(str(number), shape=shape, dtype=dtype, chunks=chunks, **options)


def _halved(group: Any, number: int, level: Any, planes: tuple[PlaneIndex, ...]) -> Any:
    """The next level: means of 2 x 2 pixels; an odd last row or column is dropped."""
    height, width = (max(1, n // 2) for n in level.shape[-2:])
    smaller = _level(group, number, (*level.shape[:3], height, width), level.dtype)
    for index in planes:
        for row in range(0, height, _CHUNK):
            rows = slice(2 * row, 2 * min(row + _CHUNK, height))
            part = level[index.t, index.c, index.z, rows, : 2 * width]
            sums = part.reshape(-1, 2, width, 2).mean((1, 3), dtype=np.float64)
            if level.dtype.kind in "iu":
                sums = np.rint(sums)
            smaller[index.t, index.c, index.z, row : row + len(sums)] = sums.astype(level.dtype)
    return smaller


def _describe(group: Any, levels: int, like: ImageFile, note: str, version: int) -> None:
    acquired = like.acquired()
    (size_x, size_y), step = like.size_of(like.planes[0]), acquired.z_step
    size_y = size_y or size_x
    times = {index.t: s for index, s in zip(like.planes, acquired.seconds, strict=False)}
    interval = (max(times.values()) - min(times.values())) / max(1, len(times) - 1) if times else 0
    scales = [interval or 1.0, 1.0, step or 1.0, size_y or 1.0, size_x or 1.0]
    units: dict[str, Any] = {"t": interval and "second", "z": step and "micrometer"}
    units |= dict.fromkeys("yx", size_x and "micrometer")
    kinds = {"t": "time", "c": "channel"}
    axes = [
        {"name": axis, "type": kinds.get(axis, "space")}
        | ({"unit": units[axis]} if units.get(axis) else {})
        for axis in _AXES
    ]
    datasets = [
        {
            "path": str(k),
            "coordinateTransformations": [
                {"type": "scale", "scale": [*scales[:3], *(s * 2**k for s in scales[3:])]}
            ],
        }
        for k in range(levels)
    ]
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
        shown["omero"] = {"channels": [{"label": name} for name in acquired.channels]}
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", **shown}
    else:
        shown["multiscales"][0]["version"] = "0.4"
        group.attrs.update(shown)
