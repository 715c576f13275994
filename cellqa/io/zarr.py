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


def open_file(path: Path) -> ImageFile:
    """Open the image in a folder with a name that ends in `.zarr`."""
    try:
        group: Any = zarr.open_group(path, mode="r")
        attributes: dict[str, Any] = dict(group.attrs)
        scales = dict(attributes.get("ome", attributes))["multiscales"][0]
        level = scales["datasets"][0]
        data = group[level["path"]]
        names = [axis["name"] if isinstance(axis, dict) else axis for axis in scales["axes"]]
        sizes = dict(zip(names, data.shape, strict=True))
        height, width = sizes["y"], sizes["x"]
        size = _pixel_size(scales, level, names.index("x"))
    except Exception as error:  # whatever a damaged or foreign store brings up
        message = f"{path.name}: not a readable OME-Zarr image ({error or type(error).__name__})"
        raise ImageError(message[:300]) from None
    check_size(path, height, width)

    def load(index: PlaneIndex) -> Array:
        at = tuple(slice(None) if name in "yx" else getattr(index, name, 0) for name in names)
        try:
            return np.asarray(data[at])
        except Exception as error:
            raise ImageError(
                f"{path.name}: plane {index.label()} cannot be decoded ({error})"[:300]
            ) from None

    planes = plane_indices(1, *(sizes.get(axis, 1) for axis in "tcz"))
    return ImageFile(path, planes, (height, width), np.dtype(data.dtype), size, load)


def _pixel_size(scales: dict[str, Any], level: dict[str, Any], x: int) -> float | None:
    axis = scales["axes"][x]
    unit = axis.get("unit", "micrometer") if isinstance(axis, dict) else "micrometer"
    factor, found = 1.0, False
    for owner in (level, scales):
        for transformation in owner.get("coordinateTransformations", ()):
            if transformation.get("type") == "scale":
                factor, found = factor * float(transformation["scale"][x]), True
    return in_micrometres(factor, unit) if found else None
