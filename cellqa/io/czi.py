"""Zeiss CZI, through pylibCZIrw (extra `czi`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pylibCZIrw import czi

from cellqa.errors import ImageError
from cellqa.io.acquisition import Acquisition, Channel, Objective, colour, number, said
from cellqa.io.base import (
    ImageFile,
    PlaneIndex,
    absent,
    check_size,
    in_micrometres,
    plane_indices,
    regular_times,
)
from cellqa.io.damage import check_whole
from cellqa.planes import Array

_TYPES = {
    "Gray8": np.uint8,
    "Gray16": np.uint16,
    "Gray32Float": np.float32,
    "Bgr24": np.uint8,
    "Bgr48": np.uint16,
    "Bgr96Float": np.float32,
}
_PROBE = 512  # pixels a side that tell whether a plane is there


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

    dtype = _type(path, document, c)

    def load(index: PlaneIndex, start: int = 0, stop: int | None = None) -> Array:
        plane = {"T": t[0] + index.t, "C": c[0] + index.c, "Z": z[0] + index.z}
        scene = numbers[index.s] if numbers else None
        x, y, width, height = rectangles[index.s]
        rows = (x, y + start, width, (height if stop is None else stop) - start)
        pixels = document.read(plane=plane, scene=scene, roi=rows)
        if not pixels.any() and not _acquired(document, plane, scene, rectangles[index.s]):
            absent(f"{path.name}: plane {index.label()} was not acquired")
        if stop is None:
            check_whole(f"{path.name}: plane {index.label()}", pixels)
        if pixels.shape[2] == 1:
            return np.asarray(pixels[..., 0]).astype(dtype, copy=False)
        return np.asarray(pixels[..., ::-1]).astype(dtype, copy=False)  # CZI's order is B, G, R

    planes = plane_indices(len(rectangles), *(n[1] - n[0] for n in (t, c, z)))
    samples = (3,) if "Bgr" in next(iter(document.pixel_types.values()), "") else ()
    shapes = tuple((r.h, r.w, *samples) for r in rectangles)
    size = _scaling(document, "X")

    def acquisition() -> Acquisition:
        image = ("Information", "Image", "Dimensions")
        channels = said(map(_channel, _items(document, *image, "Channels", "Channel")))
        shown = _items(document, "DisplaySetting", "Channels", "Channel")
        if len(shown) == len(channels):  # colours stand there in most files
            colours = [colour(each.get("Color")) for each in shown]
            pairs = zip(channels, colours, strict=True)
            channels = tuple(own._replace(colour=own.colour or other) for own, other in pairs)
        interval = 0.0
        for each in _items(document, *image, "T", "Positions", "Interval"):
            interval = float(each.get("Increment") or 0)
        seconds = regular_times(planes, interval)
        places = [(r.y * size, r.x * size) for r in rectangles] if size else []
        about = next(iter(_items(document, *image[:2])), {})
        bits = number(about.get("ComponentBitCount"))
        date = str(about.get("AcquisitionDateAndTime") or "")
        return Acquisition(
            channels if len(channels) == c[1] - c[0] else (),
            _scaling(document, "Z"),
            seconds,
            tuple(places),
            dates=(date,) * len(rectangles) if date else (),
            objective=_objective(document),
            bits=int(bits) if bits else None,
        )

    return ImageFile(
        path,
        planes,
        shapes[0],
        dtype,
        size,
        load,
        close,
        shapes,
        load,
        acquisition,
        pixel_size_y=_scaling(document, "Y"),
    )


def _type(path: Path, document: Any, channels: tuple[int, int]) -> np.dtype[Any]:
    """The type that holds the values of every channel, unchanged."""
    kinds = document.pixel_types
    named = [str(kinds.get(c, "")) for c in range(*channels)] if kinds else []
    unknown = next((kind for kind in named if kind not in _TYPES), None)
    if unknown is not None or not named:
        raise ImageError(f"{path.name}: pixels of type {unknown or 'unknown'!r} are not read")
    if len({kind.startswith("Bgr") for kind in named}) > 1:
        raise ImageError(f"{path.name}: some channels are in colour, some grey; export them apart")
    return np.result_type(*(_TYPES[kind] for kind in named))


def _acquired(document: Any, plane: dict[str, int], scene: int | None, where: Any) -> bool:
    """Whether anything of a plane is in the file: what is not takes any colour asked for."""
    roi = (where.x, where.y, where.w, where.h)
    zoom = min(1.0, _PROBE / max(where.w, where.h))
    white = document.read(
        plane=plane, scene=scene, roi=roi, zoom=zoom, background_pixel=(1.0, 1.0, 1.0)
    )
    return not white.all()


def _items(document: Any, *keys: str) -> list[dict[str, Any]]:
    """Elements of the metadata at a path below Metadata."""
    node: Any = document.metadata
    for key in ("ImageDocument", "Metadata", *keys):
        node = node.get(key) if isinstance(node, dict) else None
    return [n for n in (node if isinstance(node, list) else [node]) if isinstance(n, dict)]


def _channel(about: dict[str, Any]) -> Channel:
    return Channel(
        about.get("@Name") or "",
        colour(about.get("Color")),
        number(about.get("ExcitationWavelength")),
        number(about.get("EmissionWavelength")),
    )


def _objective(document: Any) -> Objective:
    """The only one that is named."""
    every = _items(document, "Information", "Instrument", "Objectives", "Objective")
    if len(every) != 1:
        return Objective()
    maker = every[0].get("Manufacturer")
    model = maker.get("Model") if isinstance(maker, dict) else None
    return Objective(
        str(model or every[0].get("@Name") or ""),
        number(every[0].get("NominalMagnification")),
        number(every[0].get("LensNA")),
        str(every[0].get("Immersion") or ""),
    )


def _scaling(document: Any, axis: str) -> float | None:
    for distance in _items(document, "Scaling", "Items", "Distance"):
        if distance.get("@Id") == axis:
            return in_micrometres(distance.get("Value"), "m")
    return None
