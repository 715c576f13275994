"""TIFF: plain, multi-page, ImageJ and OME; through tifffile, single LZW images through OpenCV."""

from __future__ import annotations

import logging
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from cellqa.errors import ImageError
from cellqa.io.base import (
    COARSEST_TAG_UM,
    MAX_PLANES,
    ImageFile,
    PlaneIndex,
    check_size,
    in_micrometres,
    plane_indices,
)

Array = npt.NDArray[Any]

_LZW = 5
_MINISBLACK, _SEPARATED = 1, 5
# What tifffile only logs, although planes are lost by it.
_LOST = re.compile(r"invalid page offset|corrupt|invalid strip|truncat", re.IGNORECASE)


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Read the structure; pixels are read when a plane is asked for."""
    tif = None
    try:
        with _logged(path):
            tif = tifffile.TiffFile(path)
            return _open(path, tif, max_pixels)
    except BaseException:
        if tif is not None:
            tif.close()
        raise


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Keep tifffile's messages off the terminal; those that mean lost data are errors."""
    messages: list[str] = []
    logger = logging.getLogger("tifffile")
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    for message in messages:
        if _LOST.search(message):
            raise ImageError(f"{path.name}: damaged or truncated ({message.splitlines()[0][:120]})")


def _open(path: Path, tif: tifffile.TiffFile, max_pixels: int) -> ImageFile:
    _check_stated_planes(path, tif)
    if not tif.series:
        raise ImageError(f"{path.name}: a TIFF file without images")
    layouts = [_layout(path, s, max_pixels) for s in tif.series]
    # OME names its images; what else holds images of several sizes may be a pyramid or a preview
    alike = [(*layout[:3], len(layout[3]), layout[4]) for layout in layouts]
    compared: list[Any] = alike if tif.is_ome else layouts
    if any(layout != compared[0] for layout in compared):
        raise ImageError(
            f"{path.name}: holds images of different sizes or types; split it into one file each"
        )
    t, c, z, shape, dtype = layouts[0]
    planes = plane_indices(len(layouts), t, c, z)
    stated = (tif.imagej_metadata or {}).get("images", 1) if tif.is_imagej else 1
    if stated > len(planes) * (shape[2] if len(shape) > 2 else 1):
        raise ImageError(f"{path.name}: truncated, {stated} planes are stated, {len(planes)} there")
    shapes = tuple(layout[3] for layout in layouts)
    pairs = zip(tif.series, shapes, strict=True)
    loaders = [_loader(path, tif, series, own) for series, own in pairs]

    def load(index: PlaneIndex) -> Array:
        with _logged(path):
            return loaders[index.s]((index.t * c + index.c) * z + index.z)

    return ImageFile(path, planes, shape, dtype, _pixel_size(tif), load, tif.close, shapes)


def _check_stated_planes(path: Path, tif: tifffile.TiffFile) -> None:
    """Refuse absurd numbers of planes before tifffile lists them."""
    text = (tif.ome_metadata or "") if tif.is_ome else ""
    for pixels in re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", text):
        sizes = re.findall(r"\bSize[ZCT]\s*=\s*[\"'](\d+)[\"']", pixels)
        if np.prod([float(n) for n in sizes]) > MAX_PLANES:
            raise ImageError(f"{path.name}: its metadata state more than {MAX_PLANES} planes")


def _layout(
    path: Path, series: Any, max_pixels: int
) -> tuple[int, int, int, tuple[int, ...], np.dtype[Any]]:
    """Numbers of times, channels and focus steps, shape and type of a plane."""
    axes, sizes = series.axes, dict(zip(series.axes, series.shape, strict=True))
    if "Y" not in axes or "X" not in axes:
        raise ImageError(f"{path.name}: a TIFF file with axes {axes!r} holds no planes")
    check_size(path, sizes["Y"], sizes["X"], max_pixels)
    if series.keyframe.photometric == _SEPARATED:
        raise ImageError(f"{path.name}: CMYK images are not supported; convert to RGB or grey")
    # Every axis but time and channel counts as focus: a plain multi-page file has no names.
    z = int(np.prod([float(n) for axis, n in sizes.items() if axis not in "TCYXS"]))
    samples = sizes.get("S", 1)
    if samples > 4:
        raise ImageError(f"{path.name}: {samples} samples a pixel are not supported")
    shape = (sizes["Y"], sizes["X"], samples) if samples > 1 else (sizes["Y"], sizes["X"])
    return sizes.get("T", 1), sizes.get("C", 1), z, shape, np.dtype(series.dtype)


def _loader(
    path: Path, tif: tifffile.TiffFile, series: Any, shape: tuple[int, ...]
) -> Callable[[int], Array]:
    """A function that returns the n-th plane in the order T, C, Z."""
    axes = series.axes
    outer = [axis for axis in axes if axis not in "YXS"]
    order = sorted(outer, key=lambda axis: "TC".find(axis) if axis in "TC" else 2)
    length = dict(zip(axes, series.shape, strict=True))
    page = series.keyframe
    if not outer and _opencv_reads(page, shape):
        return lambda number: _decode_lzw(path)
    n = int(np.prod([float(length[axis]) for axis in outer]))
    per_page = len(series.pages) == n and axes[-len(shape) :] in ("YX", "YXS")
    whole: list[Array] = []

    def load(number: int) -> Array:
        at: dict[str, Any] = {}
        if outer:
            place = np.unravel_index(number, [length[axis] for axis in order])
            at = dict(zip(order, map(int, place), strict=True))
        if per_page:
            where = [at[axis] for axis in outer]
            index = int(np.ravel_multi_index(where, [length[a] for a in outer])) if outer else 0
            found = series.pages[index]
            if found is None:
                raise ImageError(f"{path.name}: the page of this plane is missing from the file")
            _check_extent(path, tif, found)
            return np.asarray(found.asarray(maxworkers=1)).reshape(shape)
        if not whole:
            mapped = series.dataoffset is not None and page.compression == 1
            whole.append(
                tifffile.memmap(path, series=list(tif.series).index(series), mode="r")
                if mapped and not page.is_tiled
                else _whole(path, tif, series)
            )
        pixels = whole[0][tuple(at.get(axis, slice(None)) for axis in axes)]
        if next(axis for axis in axes if axis in "YXS") == "S":
            pixels = np.moveaxis(pixels, 0, -1)
        return np.asarray(pixels).reshape(shape)

    return load


def _whole(path: Path, tif: tifffile.TiffFile, series: Any) -> Array:
    for page in series.pages:
        if page is None:
            raise ImageError(f"{path.name}: pages of this image are missing from the file")
        _check_extent(path, tif, page)
    return np.asarray(series.asarray(maxworkers=1))


def _check_extent(path: Path, tif: tifffile.TiffFile, page: Any) -> None:
    """Every strip and tile must lie within the file: decoders pad what is missing."""
    pairs = zip(page.dataoffsets, page.databytecounts, strict=False)
    if any(offset + count > tif.filehandle.size for offset, count in pairs):
        raise ImageError(f"{path.name}: truncated, its pixels end after the file does")


def _opencv_reads(page: Any, shape: tuple[int, ...]) -> bool:
    """Single grey LZW images are OpenCV's, where it is fastest and changes nothing."""
    tag = page.tags.get("Orientation")
    return (
        page.compression == _LZW
        and page.dtype in (np.uint8, np.uint16)
        and len(shape) == 2
        and page.photometric == _MINISBLACK
        and (tag is None or tag.value == 1)
    )


def _decode_lzw(path: Path) -> Array:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ImageError(f"{path.name}: damaged or truncated, its LZW data cannot be decoded")
    return np.asarray(pixels)


def _pixel_size(tif: tifffile.TiffFile) -> float | None:
    if tif.is_ome and tif.ome_metadata:
        attributes = ome_pixels(tif.ome_metadata)[0]
        unit = attributes.get("PhysicalSizeXUnit", "µm")
        return in_micrometres(attributes.get("PhysicalSizeX"), unit)
    page = tif.pages.first
    tag = page.tags.get("XResolution")
    if tag is None or not isinstance(tag.value, tuple) or not all(tag.value):
        return None
    per_unit = tag.value[0] / tag.value[1]
    if tif.is_imagej:
        return in_micrometres(1 / per_unit, (tif.imagej_metadata or {}).get("unit"))
    unit = {2: "inch", 3: "cm"}.get(int(page.resolutionunit), "")
    size = in_micrometres(1 / per_unit, unit)
    return size if size and size <= COARSEST_TAG_UM else None


def ome_pixels(text: str) -> tuple[dict[str, str], list[str]]:
    """Attributes of the first Pixels element of OME-XML, and the names of its channels."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return {}, []
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "Pixels":
            channels = [e for e in element if e.tag.rpartition("}")[2] == "Channel"]
            return dict(element.attrib), [e.get("Name", "") for e in channels]
    return {}, []
