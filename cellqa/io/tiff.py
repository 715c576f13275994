"""TIFF: plain, multi-page, ImageJ and OME; through tifffile, single LZW images through OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile

from cellqa.errors import ImageError
from cellqa.io import ome, tiff_vendors
from cellqa.io.acquisition import Acquisition
from cellqa.io.base import (
    COARSEST_TAG_UM,
    ImageFile,
    PlaneIndex,
    Size,
    TiffStructure,
    check_size,
    in_micrometres,
    plane_indices,
    regular_times,
)
from cellqa.io.damage import check_whole
from cellqa.io.seen import UPRIGHT, Look
from cellqa.io.tiff_pages import (
    check_page,
    file_of,
    has_parts,
    logged,
    present,
    read_rows,
)
from cellqa.io.tiff_sets import check_stated_planes, metadata_of, own_series
from cellqa.planes import Array

_LZW = 5
_FOCUS = "ZQI0123456789"  # and what has no name: a digit where it is not the first of its name
_ORDER = {"T": 0, "C": 1} | dict.fromkeys(_FOCUS, 2)  # scenes come before
_NO_SCENES = f"TC{_FOCUS}YXS"  # axes: all others, such as positions and angles, are scenes
_MINISWHITE, _MINISBLACK, _PALETTE, _SEPARATED = 0, 1, 3, 5
_PRINTED = ("inch", "in", "cm")  # units of print settings, which Fiji takes over from other files


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Read the structure; pixels are read when a plane is asked for."""
    tif = None
    try:
        with logged(path):
            tif = tifffile.TiffFile(path)
            return _open(path, tif, max_pixels)
    except BaseException:
        if tif is not None:
            tif.close()
        raise


def _open(path: Path, tif: tifffile.TiffFile, max_pixels: int) -> ImageFile:
    check_stated_planes(path, tif)
    series_of = tiff_vendors.images(tif) if tiff_vendors.knows(tif) else own_series(path, tif)
    if not series_of:
        raise ImageError(f"{path.name}: a TIFF file without images")
    grid = _grid(path, tif, series_of, max_pixels)
    layouts = grid.layouts
    shapes = [layout.shape for layout in layouts]
    looks = [_look(tif, series) for series in series_of]
    planes = grid.planes
    pages = [
        _pages(series, _axes_of(path, series), own)
        for series, own in zip(series_of, shapes, strict=True)
    ]
    parts = zip(series_of, shapes, pages, strict=True)
    loaders = [_loader(path, tif, series, own, page_of) for series, own, page_of in parts]

    def load(index: PlaneIndex) -> Array:
        series, number, sample = grid.at(index)
        with logged(path):
            return looks[series].of(loaders[series](number), sample)

    def load_rows(index: PlaneIndex, start: int, stop: int) -> Array:
        series, number, sample = grid.at(index)
        with logged(path):
            page, apart = pages[series](number)  # type: ignore[misc]
            if present(path, page) is None:
                return np.zeros((stop - start, *shapes[series][1:]), layouts[series].dtype)
            rows = read_rows(path, page, shapes[series], start, stop, apart)
            return looks[series].of(rows, sample)

    in_parts = all(find is not None and has_parts(*find(0)) for find in pages)
    scenes = [k // layouts[0].places for k in range(planes[-1].s + 1)]  # the series of each
    seen = tuple(looks[k].shape(shapes[k]) for k in scenes)
    of_series = _sizes(tif, len(looks), looks)
    sizes = [of_series[k] for k in scenes]
    return ImageFile(
        path,
        planes,
        seen[0],
        looks[0].dtype(layouts[0].dtype),
        sizes[0][0],
        load,
        tif.close,
        seen,
        load_rows if in_parts and all(look.orientation == UPRIGHT for look in looks) else None,
        lambda: _acquisition(tif, planes),
        None if tiff_vendors.knows(tif) else _structure(tif, looks[0]),
        sizes[0][1],
        tuple(sizes) if len(set(sizes)) > 1 else (),
    )


class _Layout(NamedTuple):
    """Numbers of times, channels, focus steps and places of a series; shape and type of a plane."""

    t: int
    c: int
    z: int
    places: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class _Grid(NamedTuple):
    """Where the planes of a file lie in its series.

    Attributes
    ----------
    layouts : list of _Layout
        Of each series, alike but for the sides of planes in OME.
    frames : int
        Series that are the frames of one stack; 1 where each is a scene.
    apart : int
        Channels that are samples of a page.
    """

    layouts: list[_Layout]
    frames: int
    apart: int

    @property
    def planes(self) -> tuple[PlaneIndex, ...]:
        """Every plane of the file."""
        t, c, z, places = self.layouts[0][:4]
        scenes = len(self.layouts) // self.frames * places
        return plane_indices(scenes, t, c * self.apart, z * self.frames)

    def at(self, index: PlaneIndex) -> tuple[int, int, int]:
        """Series, number of the plane in it, and sample."""
        if self.frames > 1:
            return index.z, 0, index.c
        t, c, z, places = self.layouts[0][:4]
        series, place = divmod(index.s, places)
        channel, sample = divmod(index.c, self.apart)
        return series, ((place * t + index.t) * c + channel) * z + index.z, sample


def _grid(path: Path, tif: tifffile.TiffFile, every: list[Any], max_pixels: int) -> _Grid:
    """Where the planes are; refused where series differ, or planes are stated and not there."""
    layouts = [_layout(path, s, max_pixels) for s in every]
    # OME names its images; what else holds images of several sizes may be a pyramid or a preview
    alike = [layout._replace(shape=(len(layout.shape),)) for layout in layouts]
    compared = alike if tif.is_ome else layouts
    if any(layout != compared[0] for layout in compared):
        raise ImageError(
            f"{path.name}: holds images of different sizes or types; split it into one file each"
        )
    t, c, z, places, stored, _ = layouts[0]
    apart = stored[2] if _look(tif, every[0]).apart else 1
    # what is no OME scene is a stack that was written frame by frame
    frames = len(layouts) if not tif.is_ome and places * t * c * z == 1 else 1
    grid = _Grid(layouts, frames, apart)
    there = len(grid.planes)
    counted = (tif.imagej_metadata or {}).get("images", 1) if tif.is_imagej else 1
    if counted > there * (stored[2] if len(stored) > 2 else 1):
        raise ImageError(f"{path.name}: truncated, {counted} planes are stated, {there} there")
    return grid


def _look(tif: tifffile.TiffFile, series: Any) -> Look:
    """How the pixels of a series are meant; ImageJ's palettes and inversions are for display."""
    page = series.keyframe
    tag = page.tags.get("Orientation")
    orientation = tag.value if tag is not None and tag.value in range(1, 9) else UPRIGHT
    samples = dict(zip(series.axes, series.shape, strict=True)).get("S", 1)
    grey_kind = page.photometric in (_MINISWHITE, _MINISBLACK)
    alpha = [int(kind) for kind in page.extrasamples or ()] in ([1], [2])
    apart = bool(grey_kind and samples > 1 and not (samples == 2 and alpha))
    white, palette = None, None
    # tifffile calls each picture of one bit so, and means what it stores
    meant = page.dtype.kind == "u" or not str(page.software).startswith("tifffile")
    if page.photometric == _MINISWHITE and page.dtype.kind in "bu" and meant and not tif.is_imagej:
        white = 2**page.bitspersample - 1
    if page.photometric == _PALETTE and page.colormap is not None and not tif.is_imagej:
        palette = np.ascontiguousarray((np.asarray(page.colormap) >> 8).astype(np.uint8).T)
    return Look(orientation, white, palette, apart)


def _structure(tif: tifffile.TiffFile, look: Look) -> TiffStructure:
    page = tif.pages.first
    tags = page.tags
    calibrated = tags.get("XResolution") and tags.get("YResolution") and page.resolution[0] > 0
    return TiffStructure(
        page.compression,
        _MINISBLACK if look.white is not None else page.photometric,
        (page.tilelength, page.tilewidth) if page.is_tiled else None,
        (page.resolution, page.resolutionunit) if calibrated else None,
        _described(tif),
        dict(tif.imagej_metadata or {}) if tif.is_imagej else None,
        tif.series[0].axes if tif.is_shaped else "",
        look.apart,
    )


def _layout(path: Path, series: Any, max_pixels: int) -> _Layout:
    axes = _axes_of(path, series)
    sizes = dict(zip(axes, series.shape, strict=True))
    if "Y" not in axes or "X" not in axes:
        raise ImageError(f"{path.name}: a TIFF file with axes {axes!r} holds no planes")
    check_size(path, sizes["Y"], sizes["X"], max_pixels)
    if series.keyframe.photometric == _SEPARATED:
        raise ImageError(f"{path.name}: CMYK images are not supported; convert to RGB or grey")
    # what has no name counts as focus: a plain multi-page file has none
    z = int(np.prod([float(n) for axis, n in sizes.items() if axis in _FOCUS]))
    places = int(np.prod([float(n) for axis, n in sizes.items() if axis not in _NO_SCENES]))
    samples = sizes.get("S", 1)
    if samples > 4 and series.keyframe.photometric not in (_MINISWHITE, _MINISBLACK):
        raise ImageError(f"{path.name}: {samples} samples a pixel are not supported")
    shape = (sizes["Y"], sizes["X"], samples) if samples > 1 else (sizes["Y"], sizes["X"])
    return _Layout(sizes.get("T", 1), sizes.get("C", 1), z, places, shape, np.dtype(series.dtype))


def _loader(
    path: Path,
    tif: tifffile.TiffFile,
    series: Any,
    shape: tuple[int, ...],
    page_of: Callable[[int], tuple[Any, int | None]] | None,
) -> Callable[[int], Array]:
    """A function that returns the n-th plane in the order T, C, Z."""
    axes = _axes_of(path, series)
    keyframe = series.keyframe
    place_of = _places(axes, series.shape)
    if not place_of(0) and _opencv_reads(tif, keyframe, shape):
        return lambda number: _decode_lzw(path)
    whole: list[Array] = []

    def load(number: int) -> Array:
        if page_of:
            page, apart = page_of(number)
            if present(path, page) is None:
                return np.zeros(shape, keyframe.dtype)
            check_page(path, page)
            if apart is not None:
                return read_rows(path, page, shape, 0, shape[0], apart)
            with file_of(page):
                pixels = np.asarray(page.asarray(maxworkers=1)).reshape(shape)
            if keyframe.compression == 1 and pixels.itemsize > 1:  # 8 bits are masks, too
                check_whole(path.name, pixels)
            return pixels
        if not whole:
            mapped = series.dataoffset is not None and keyframe.compression == 1
            whole.append(
                tifffile.memmap(path, series=list(tif.series).index(series), mode="r")
                if mapped and not keyframe.is_tiled
                else _whole(path, series)
            )
        at: dict[str, Any] = place_of(number)
        pixels = whole[0][tuple(at.get(axis, slice(None)) for axis in axes)]
        if next(axis for axis in axes if axis in "YXS") == "S":
            pixels = np.moveaxis(pixels, 0, -1)
        return np.asarray(pixels).reshape(shape)

    return load


def _pages(
    series: Any, axes: str, shape: tuple[int, ...]
) -> Callable[[int], tuple[Any, int | None]] | None:
    """A function that returns the page of the n-th plane, where each plane is a page.

    Or, in LSM files, a sample of a page that holds its samples one after the other: which one.
    """
    sizes = dict(zip(axes, series.shape, strict=True))
    outer = {axis: n for axis, n in sizes.items() if axis not in "YXS"}
    n = int(np.prod([float(length) for length in outer.values()]))
    each = series.keyframe.samplesperpixel if axes.endswith("CYX") else 1
    if each > 1 and (series.keyframe.planarconfig != 2 or each != sizes["C"]):
        return None
    if len(series.pages) * each != n or axes[-len(shape) :] not in ("YX", "YXS"):
        return None
    place_of = _places(axes, series.shape)

    def page(number: int) -> tuple[Any, int | None]:
        at = place_of(number)
        where = [at[axis] for axis in outer]
        index = int(np.ravel_multi_index(where, tuple(outer.values()))) if outer else 0
        return series.pages[index // each], index % each if each > 1 else None

    return page


def _axes_of(path: Path, series: Any) -> str:
    """The axes of a series, each with a name of its own: programs call several of them Q."""
    axes: list[str] = []
    for name in series.axes:
        if name in axes and name not in "QI":
            raise ImageError(f"{path.name}: two axes are called {name} ({series.axes})")
        axes.append(name if name not in axes else str(len(axes)))
    return "".join(axes)


def _places(axes: str, shape: tuple[int, ...]) -> Callable[[int], dict[str, int]]:
    """A function that returns where the n-th plane is along each axis but those of a plane."""
    outer = {a: n for a, n in zip(axes, shape, strict=True) if a not in "YXS"}
    order = sorted(outer, key=lambda axis: _ORDER.get(axis, -1))

    def place(number: int) -> dict[str, int]:
        if not order:
            return {}
        places = np.unravel_index(number, [outer[axis] for axis in order])
        return dict(zip(order, map(int, places), strict=True))

    return place


def _whole(path: Path, series: Any) -> Array:
    for page in series.pages:
        if page is None:
            raise ImageError(f"{path.name}: pages of this image are missing from the file")
        check_page(path, page)
    return np.asarray(series.asarray(maxworkers=1))


def _opencv_reads(tif: tifffile.TiffFile, page: Any, shape: tuple[int, ...]) -> bool:
    """A file's first grey LZW image is OpenCV's, where it is fastest and changes nothing."""
    tag = page.tags.get("Orientation")
    return (
        page.compression == _LZW
        and page.parent is tif
        and page.index == 0
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


def _pixel_size(tif: tifffile.TiffFile, axis: str) -> float | None:
    page = tif.pages.first
    tag = page.tags.get(f"{axis}Resolution")
    if tag is None or not isinstance(tag.value, tuple) or not all(tag.value):
        return None
    per_unit = tag.value[0] / tag.value[1]
    stated = (tif.imagej_metadata or {}).get("unit") if tif.is_imagej else None
    unit = stated if tif.is_imagej else {2: "inch", 3: "cm"}.get(int(page.resolutionunit), "")
    size = in_micrometres(1 / per_unit, unit)
    printed = not tif.is_imagej or unit in _PRINTED
    return None if size and printed and size > COARSEST_TAG_UM else size


def _sizes(tif: tifffile.TiffFile, scenes: int, looks: list[Look]) -> list[Size]:
    """Sides of the pixels of each scene, as they are seen."""
    if text := _described(tif):
        sizes = ome.pixel_sizes(text, scenes)
    elif tiff_vendors.knows(tif):
        sizes = [tiff_vendors.pixel_size(tif)] * scenes
    else:
        sizes = [(_pixel_size(tif, "X"), _pixel_size(tif, "Y"))] * scenes
    pairs = zip(sizes, looks, strict=True)
    return [size[::-1] if look.sideways else size for size, look in pairs]


def _acquisition(tif: tifffile.TiffFile, planes: tuple[PlaneIndex, ...]) -> Acquisition:
    """Names, focus step, times and places, as OME, ImageJ, Zeiss and MetaMorph write them."""
    if tiff_vendors.knows(tif):
        return tiff_vendors.acquisition(tif, planes)
    if tif.is_imagej:
        about = tif.imagej_metadata or {}
        step = in_micrometres(about.get("spacing"), about.get("unit"))
        interval = float(about.get("finterval") or 0)
        return Acquisition(z_step=step, seconds=regular_times(planes, interval))
    text = _described(tif)
    return ome.acquisition(text, planes) if text else Acquisition()


def _described(tif: tifffile.TiffFile) -> str:
    """OME-XML of the file; empty where it has none."""
    return metadata_of(Path(tif.filehandle.path), tif.ome_metadata or "") if tif.is_ome else ""
