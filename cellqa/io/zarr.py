"""OME-Zarr 0.4 and 0.5, through zarr (extra `zarr`); the full-resolution level is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from cellqa.errors import ImageError
from cellqa.io.base import ImageFile, PlaneIndex, check_size, in_micrometres, plane_indices

Array = npt.NDArray[Any]


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

    def load(index: PlaneIndex) -> Array:
        at = tuple(slice(None) if name in "yx" else getattr(index, name, 0) for name in names)
        pixels = np.asarray(data[at])
        return pixels if names.index("y") < names.index("x") else pixels.T

    planes = plane_indices(1, *(sizes.get(axis, 1) for axis in "tcz"))
    size = _pixel_size(scales, level, names.index("x"))
    return ImageFile(path, planes, (sizes["y"], sizes["x"]), np.dtype(data.dtype), size, load)


def _pixel_size(scales: dict[str, Any], level: dict[str, Any], x: int) -> float | None:
    axis = scales["axes"][x]
    unit = axis.get("unit") if isinstance(axis, dict) else None
    factor = 1.0
    for owner in (level, scales):
        for transformation in owner.get("coordinateTransformations", ()):
            if transformation.get("type") == "scale":
                factor *= float(transformation["scale"][x])
    if unit is None and factor == 1:  # what uncalibrated files state
        return None
    return in_micrometres(factor, unit or "micrometer")
