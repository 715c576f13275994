"""Zeiss CZI, through pylibCZIrw (extra `czi`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pylibCZIrw import czi

from cellqa.io.base import ImageFile, PlaneIndex, check_size, in_micrometres, plane_indices

Array = npt.NDArray[Any]


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open; the tiles of a mosaic are composed into one plane of their scene."""
    context = czi.open_czi(str(path))
    document = context.__enter__()
    try:
        return _open(path, document, max_pixels, lambda: context.__exit__(None, None, None))
    except BaseException:
        context.__exit__(None, None, None)
        raise


def _open(path: Path, document: Any, max_pixels: int, close: Any) -> ImageFile:
    box = document.total_bounding_box
    t, c, z = (box.get(axis, (0, 1)) for axis in "TCZ")
    scenes = document.scenes_bounding_rectangle
    numbers = sorted(scenes)
    rectangles = [scenes[n] for n in numbers] or [document.total_bounding_rectangle]
    for rectangle in rectangles:
        check_size(path, rectangle.h, rectangle.w, max_pixels)

    def load(index: PlaneIndex) -> Array:
        plane = {"T": t[0] + index.t, "C": c[0] + index.c, "Z": z[0] + index.z}
        scene = numbers[index.s] if numbers else None
        pixels = document.read(plane=plane, scene=scene)
        if pixels.shape[2] == 1:
            return np.asarray(pixels[..., 0])
        return np.asarray(pixels[..., ::-1])  # CZI's order is blue, green, red

    planes = plane_indices(len(rectangles), *(n[1] - n[0] for n in (t, c, z)))
    first = load(planes[0])
    shapes = tuple((r.h, r.w, *first.shape[2:]) for r in rectangles)
    size = _pixel_size(document)
    return ImageFile(path, planes, first.shape, first.dtype, size, load, close, shapes)


def _pixel_size(document: Any) -> float | None:
    node: Any = document.metadata
    for key in ("ImageDocument", "Metadata", "Scaling", "Items", "Distance"):
        node = node.get(key) if isinstance(node, dict) else None
    for distance in node if isinstance(node, list) else [node]:
        if isinstance(distance, dict) and distance.get("@Id") == "X":
            return in_micrometres(distance.get("Value"), "m")
    return None
