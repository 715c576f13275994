"""Writing TIFF as the source has it: flavour, axes, calibration, compression."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from cellqa.io.base import ImageFile, PlaneIndex
from cellqa.io.tiff import ome_pixels

Array = npt.NDArray[Any]

_KEPT_COMPRESSION = (5, 8, 32946, 50000)  # LZW, deflate (two codes), zstd: lossless
_MINISWHITE = 0
_OME_KEPT = ("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ", "TimeIncrement")
_IMAGEJ_MADE = ("ImageJ", "images", "channels", "slices", "frames", "hyperstack", "Info", "axes")


def write_file(
    path: Path, planes: Iterable[Array], like: ImageFile, note: str, dtype: np.dtype[Any]
) -> None:
    """Write planes as `like` has them; other formats than TIFF become OME-TIFF.

    The note goes where each flavour keeps its description.
    """
    options: dict[str, Any] = {"dtype": dtype, "software": "cellqa", "photometric": "minisblack"}
    samples = like.shape[2:]
    if samples:
        options["photometric"] = "rgb" if samples[0] >= 3 else "minisblack"
        options["planarconfig"] = "contig"
        options["extrasamples"] = ["unassalpha"] if samples[0] in (2, 4) else None
    if like.path.suffix.lower() not in (".tif", ".tiff"):
        _write_ome(path, planes, like, note, {}, [], options)
        return
    with tifffile.TiffFile(like.path) as tif:
        page = tif.pages.first
        if page.compression in _KEPT_COMPRESSION:
            options["compression"] = page.compression
        if page.photometric == _MINISWHITE and not samples:
            options["photometric"] = "miniswhite"
        tags = page.tags
        calibrated = tags.get("XResolution") and tags.get("YResolution") and page.resolution[0] > 0
        if tif.is_ome:
            attributes, channels = ome_pixels(tif.ome_metadata or "")
            _write_ome(path, planes, like, note, attributes, channels, options)
        elif tif.is_imagej and dtype.name in ("uint8", "uint16", "float32"):
            if calibrated:
                options["resolution"] = page.resolution
            _write_imagej(path, planes, like, note, dict(tif.imagej_metadata or {}), options)
        else:
            if calibrated:
                options.update(resolution=page.resolution, resolutionunit=page.resolutionunit)
            axes = tif.series[0].axes if tif.is_shaped else ""
            _write_plain(path, planes, like, note, axes, options)


def _sizes(like: ImageFile) -> dict[str, int]:
    return dict(zip("STCZ", (1 + max(i[k] for i in like.planes) for k in range(4)), strict=True))


def _write_plain(
    path: Path,
    planes: Iterable[Array],
    like: ImageFile,
    note: str,
    axes: str,
    options: dict[str, Any],
) -> None:
    outer = [a for a in "TCZ" if a in axes]
    sizes = _sizes(like)
    named = int(np.prod([sizes[a] for a in outer])) == len(like.planes)
    if len(like.planes) == 1:
        shape: tuple[int, ...] = like.shape
        metadata = None
        options["description"] = note
    elif outer and named:
        shape = (*(sizes[a] for a in outer), *like.shape)
        metadata = {"axes": "".join(outer) + "YXS"[: len(like.shape)], "Description": note}
    else:
        shape, metadata = (len(like.planes), *like.shape), None
        options["description"] = note
    tifffile.imwrite(path, iter(planes), shape=shape, metadata=metadata, **options)


def _write_imagej(
    path: Path,
    planes: Iterable[Array],
    like: ImageFile,
    note: str,
    source: dict[str, Any],
    options: dict[str, Any],
) -> None:
    # ImageJ's order is T, Z, C, so that the planes have to be there before they are written.
    sizes = _sizes(like)
    stack = np.stack(list(planes)).reshape(sizes["T"], sizes["C"], sizes["Z"], *like.shape)
    axes = "TZCYX" + "S" * (len(like.shape) - 2)
    metadata = {k: v for k, v in source.items() if k not in _IMAGEJ_MADE}
    metadata.update(axes=axes, Info=f"{note}\n{source.get('Info', '')}")
    del options["dtype"], options["software"]
    options.pop("extrasamples", None)
    tifffile.imwrite(path, np.moveaxis(stack, 1, 2), imagej=True, metadata=metadata, **options)


def _write_ome(
    path: Path,
    planes: Iterable[Array],
    like: ImageFile,
    note: str,
    attributes: dict[str, str],
    channels: list[str],
    options: dict[str, Any],
) -> None:
    sizes = _sizes(like)
    each = (sizes["T"], sizes["C"], sizes["Z"])
    metadata: dict[str, Any] = {
        "axes": "TCZYX" + "S" * (len(like.shape) - 2),
        "Description": note,
    }
    for key in _OME_KEPT:
        if key in attributes:
            metadata[key] = float(attributes[key])
            if f"{key}Unit" in attributes:
                metadata[f"{key}Unit"] = attributes[f"{key}Unit"]
    if like.pixel_size and "PhysicalSizeX" not in metadata:
        for axis in "XY":
            metadata[f"PhysicalSize{axis}"] = like.pixel_size
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    if any(channels) and len(channels) == sizes["C"]:
        metadata["Channel"] = {"Name": channels}
    iterator = iter(planes)
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number in range(sizes["S"]):
            scene = (next(iterator) for _ in range(int(np.prod(each))))
            shape = (*each, *like.shape_of(PlaneIndex(s=number)))
            writer.write(scene, shape=shape, metadata=metadata, **options)


def write_plane(path: Path, pixels: Array, pixel_size: float | None, note: str) -> None:
    """Write one plane, grey or in colour, with its pixel size."""
    options: dict[str, Any] = {}
    if pixel_size:
        options = {"resolution": (1e4 / pixel_size,) * 2, "resolutionunit": 3}
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb" if pixels.ndim == 3 and pixels.shape[2] >= 3 else "minisblack",
        compression="zlib",
        predictor=pixels.dtype.kind in "iuf" and pixels.dtype.itemsize < 8,
        description=note or None,
        software="cellqa",
        metadata=None,
        **options,
    )
