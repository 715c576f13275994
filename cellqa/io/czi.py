"""Zeiss CZI, through pylibCZIrw (extra `czi`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pylibCZIrw import czi

from cellqa.io.base import (
    Acquisition,
    ImageFile,
    PlaneIndex,
    check_size,
    in_micrometres,
    plane_indices,
    regular_times,
)
from cellqa.planes import Array


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

    def load(index: PlaneIndex, start: int = 0, stop: int | None = None) -> Array:
        plane = {"T": t[0] + index.t, "C": c[0] + index.c, "Z": z[0] + index.z}
        scene = numbers[index.s] if numbers else None
        x, y, width, height = rectangles[index.s]
        rows = (x, y + start, width, (height if stop is None else stop) - start)
        pixels = document.read(plane=plane, scene=scene, roi=rows)
        if pixels.shape[2] == 1:
            return np.asarray(pixels[..., 0])
        return np.asarray(pixels[..., ::-1])  # CZI's order is blue, green, red

    planes = plane_indices(len(rectangles), *(n[1] - n[0] for n in (t, c, z)))
    first = load(planes[0], 0, 1)
    shapes = tuple((r.h, r.w, *first.shape[2:]) for r in rectangles)
    size = _scaling(document, "X")

    def acquisition() -> Acquisition:
        image = ("Information", "Image", "Dimensions")
        channels = [
            channel.get("@Name") or ""
            for channel in _items(document, *image, "Channels", "Channel")
        ]
        named = any(channels) and len(channels) == c[1] - c[0]
        interval = 0.0
        for each in _items(document, *image, "T", "Positions", "Interval"):
            interval = float(each.get("Increment") or 0)
        seconds = regular_times(planes, interval)
        places = [(r.y * size, r.x * size) for r in rectangles] if size else []
        return Acquisition(
            tuple(channels) if named else (), _scaling(document, "Z"), seconds, tuple(places)
        )

    return ImageFile(
        path,
        planes,
        shapes[0],
        first.dtype,
        size,
        load,
        close,
        shapes,
        load,
        acquisition,
        pixel_size_y=_scaling(document, "Y"),
    )


def _items(document: Any, *keys: str) -> list[dict[str, Any]]:
    """Elements of the metadata at a path below Metadata."""
    node: Any = document.metadata
    for key in ("ImageDocument", "Metadata", *keys):
        node = node.get(key) if isinstance(node, dict) else None
    return [n for n in (node if isinstance(node, list) else [node]) if isinstance(n, dict)]


def _scaling(document: Any, axis: str) -> float | None:
    for distance in _items(document, "Scaling", "Items", "Distance"):
        if distance.get("@Id") == axis:
            return in_micrometres(distance.get("Value"), "m")
    return None
