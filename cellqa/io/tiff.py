"""TIFF: plain, multi-page, ImageJ and OME; through tifffile, single LZW images through OpenCV."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from cellqa.errors import ImageError
from cellqa.io.base import (
    COARSEST_TAG_UM,
    ImageFile,
    PlaneIndex,
    check_size,
    in_micrometres,
    plane_indices,
)

Array = npt.NDArray[Any]

_LZW = 5
_FOLDED = "ZQIRMVEPH"  # every further axis counts as focus: a plain multi-page file has no names
_BROKEN = (tifffile.TiffFileError, ValueError, IndexError, KeyError, TypeError, RuntimeError)
_DAMAGED = (*_BROKEN, OSError, EOFError, struct.error, zlib.error, ZeroDivisionError, MemoryError)


def open_file(path: Path) -> ImageFile:
    """Read the structure; pixels are read when a plane is asked for."""
    try:
        tif = tifffile.TiffFile(path)
    except _DAMAGED as error:
        raise ImageError(f"{path.name}: not a readable TIFF file ({_first_line(error)})") from None
    try:
        return _open(path, tif)
    except ImageError:
        tif.close()
        raise
    except _DAMAGED as error:
        tif.close()
        raise ImageError(f"{path.name}: damaged TIFF file ({_first_line(error)})") from None


def write_file(
    path: Path, planes: Iterable[Array], like: ImageFile, note: str, dtype: np.dtype[Any]
) -> None:
    """Write planes as `like` has them: axes, pixel size, flavour (OME, ImageJ, plain), compression.

    The note goes where each flavour keeps its description. Files of other formats become OME.
    """
    sizes = [1 + max(index[k] for index in like.planes) for k in range(4)]
    samples = like.shape[2:]
    shape = (*sizes[1:], *like.shape)
    axes = "TCZYX" + "S" * len(samples)
    flavour, compression, resolution = "ome", None, None
    if like.path.suffix.lower() in (".tif", ".tiff"):
        with tifffile.TiffFile(like.path) as tif:
            flavour = "ome" if tif.is_ome else "imagej" if tif.is_imagej else "plain"
            page = tif.pages.first
            compression = page.compression if page.compression in (5, 8, 32946, 50000) else None
            resolution = (page.resolution, page.resolutionunit) if page.tags.get(282) else None
    options: dict[str, Any] = {"compression": compression, "dtype": dtype, "software": "cellqa"}
    options["photometric"] = "rgb" if samples and samples[0] >= 3 else "minisblack"
    if flavour == "imagej" and dtype.name in ("uint8", "uint16", "float32") and sizes[0] == 1:
        _write_imagej(path, planes, like, note, shape, axes, options)
        return
    if flavour == "plain":
        if resolution and resolution[0][0] > 0:
            options.update(resolution=resolution[0], resolutionunit=resolution[1])
        pages = (len(like.planes), *like.shape) if len(like.planes) > 1 else like.shape
        tifffile.imwrite(
            path, iter(planes), shape=pages, description=note, metadata=None, **options
        )
        return
    metadata: dict[str, Any] = {"axes": axes, "Description": note}
    if like.pixel_size:
        for axis in "XY":
            metadata[f"PhysicalSize{axis}"] = like.pixel_size
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    iterator = iter(planes)
    with tifffile.TiffWriter(path, ome=True) as writer:
        for _ in range(sizes[0]):
            scene = (next(iterator) for _ in range(int(np.prod(sizes[1:]))))
            writer.write(scene, shape=shape, metadata=metadata, **options)


def _write_imagej(
    path: Path,
    planes: Iterable[Array],
    like: ImageFile,
    note: str,
    shape: tuple[int, ...],
    axes: str,
    options: dict[str, Any],
) -> None:
    # ImageJ's order is T, Z, C, so that the planes have to be there before they are written
    stack = np.stack(list(planes)).reshape(shape)
    stack = np.moveaxis(stack, 1, 2)
    metadata: dict[str, Any] = {"axes": axes.replace("TCZ", "TZC"), "Info": note}
    if like.pixel_size:
        metadata["unit"] = "um"
        options["resolution"] = (1 / like.pixel_size, 1 / like.pixel_size)
    tifffile.imwrite(path, stack, imagej=True, metadata=metadata, **options)


def _open(path: Path, tif: tifffile.TiffFile) -> ImageFile:
    if not tif.series:
        raise ImageError(f"{path.name}: a TIFF file without images")
    series = list(tif.series) if tif.is_ome else [tif.series[0]]
    layouts = [_layout(path, s) for s in series]
    first = layouts[0]
    if any(layout != first for layout in layouts):
        series, layouts = series[:1], layouts[:1]  # thumbnails, label images
    t, c, z, shape = first
    loaders = [_loader(path, tif, s, len(shape), shape) for s in series]

    def load(index: PlaneIndex) -> Array:
        number = (index.t * c + index.c) * z + index.z
        try:
            return loaders[index.s](number)
        except _DAMAGED as error:
            raise ImageError(
                f"{path.name}: damaged or truncated, plane {index.label()} cannot be decoded "
                f"({_first_line(error)})"
            ) from None

    dtype = np.dtype(series[0].dtype)
    planes = plane_indices(len(series), t, c, z)
    return ImageFile(path, planes, shape, dtype, _pixel_size(tif), load, tif.close)


def _layout(path: Path, series: Any) -> tuple[int, int, int, tuple[int, ...]]:
    """Numbers of times, channels and focus steps, and the shape of a plane."""
    axes, sizes = series.axes, dict(zip(series.axes, series.shape, strict=True))
    if "Y" not in axes or "X" not in axes:
        raise ImageError(f"{path.name}: a TIFF file with axes {axes!r} holds no planes")
    check_size(path, sizes["Y"], sizes["X"])
    z = int(np.prod([n for axis, n in sizes.items() if axis not in "TCYXS"], dtype=np.int64))
    samples = sizes.get("S", 1)
    if samples > 4:  # more samples than a colour has are channels
        raise ImageError(f"{path.name}: {samples} samples a pixel are not supported")
    shape = (sizes["Y"], sizes["X"], samples) if samples > 1 else (sizes["Y"], sizes["X"])
    return sizes.get("T", 1), sizes.get("C", 1), z, shape


def _loader(
    path: Path, tif: tifffile.TiffFile, series: Any, ndim: int, shape: tuple[int, ...]
) -> Callable[[int], Array]:
    """A function that returns the n-th plane in the order T, C, Z."""
    axes = series.axes
    outer = [axis for axis in axes if axis not in "YXS"]
    n = int(np.prod([series.shape[axes.index(axis)] for axis in outer], dtype=np.int64))
    page = series.keyframe
    if n == 1 and page.compression == _LZW and page.dtype in (np.uint8, np.uint16) and ndim == 2:
        return lambda number: _decode_lzw(path)
    order = sorted(outer, key=lambda axis: "TC".find(axis) if axis in "TC" else 2)
    sizes = [series.shape[axes.index(axis)] for axis in order]
    per_page = len(series.pages) == n and axes[-len(shape) :] in ("YX", "YXS")
    whole: list[Array] = []

    def load(number: int) -> Array:
        at = dict(zip(order, np.unravel_index(number, sizes), strict=True)) if outer else {}
        if per_page:
            strides = [at[axis] for axis in outer]
            place = np.ravel_multi_index(strides, [series.shape[axes.index(a)] for a in outer])
            pixels = series.pages[int(place) if outer else 0].asarray(maxworkers=1)
            return np.asarray(pixels).reshape(shape)
        if not whole:
            mapped = series.dataoffset is not None and not page.is_tiled and page.compression == 1
            whole.append(
                tifffile.memmap(path, series=list(tif.series).index(series), mode="r")
                if mapped
                else series.asarray(maxworkers=1)
            )
        pixels = whole[0][tuple(at.get(axis, slice(None)) for axis in axes)]
        rest = [axis for axis in axes if axis in "YXS"]
        if rest[0] == "S":
            pixels = np.moveaxis(pixels, 0, -1)
        return np.asarray(pixels).reshape(shape)

    return load


def _decode_lzw(path: Path) -> Array:
    data = np.fromfile(path, np.uint8)
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError("LZW data end early")
    return np.asarray(pixels)


def _pixel_size(tif: tifffile.TiffFile) -> float | None:
    if tif.is_ome and tif.ome_metadata:
        return _ome_pixel_size(tif.ome_metadata)
    page = tif.pages.first
    tag = page.tags.get("XResolution")
    if tag is None or not isinstance(tag.value, tuple) or not all(tag.value):
        return None
    per_unit = tag.value[0] / tag.value[1]
    if tif.is_imagej:
        return in_micrometres(1 / per_unit, (tif.imagej_metadata or {}).get("unit"))
    unit = {2: "inch", 3: "cm"}.get(int(page.resolutionunit))
    size = in_micrometres(1 / per_unit, unit)
    return size if size and size <= COARSEST_TAG_UM else None


def _ome_pixel_size(text: str) -> float | None:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        if element.tag.endswith("}Pixels") or element.tag == "Pixels":
            unit = element.get("PhysicalSizeXUnit", "µm")
            return in_micrometres(element.get("PhysicalSizeX"), unit)
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
