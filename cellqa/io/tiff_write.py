"""Writing TIFF as the source has it: flavour, axes, calibration, compression."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from cellqa.io import ome
from cellqa.io.acquisition import FACTS, PIXEL_SIZE, Acquisition, Objective
from cellqa.io.base import (
    LARGE,
    ImageFile,
    PlaneIndex,
    TiffStructure,
    in_micrometres,
    regrouped,
)
from cellqa.io.tiff_pyramid import HalfSize, levels_of
from cellqa.planes import Array

_KEPT_COMPRESSION = (5, 8, 32946, 50000)  # LZW, deflate (two codes), zstd: lossless
_MINISWHITE = 0
_TILE = 512  # side of the tiles of large planes
_BIG = 2**32 - 2**25  # bytes that a classic TIFF file holds, with some room for its structure
_LEVELS = 4 / 3  # of a plane's bytes, with all that are smaller
_ALWAYS_BIG = (".btf", ".tf8", ".tf2")  # suffixes that say so
_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_IMAGEJ_MADE = ("ImageJ", "images", "channels", "slices", "frames", "hyperstack", "Info", "axes")


def keeps(path: Path, like: ImageFile, dtype: np.dtype[Any]) -> frozenset[str]:
    """Which of `FACTS` a file has that is written like another one."""
    built = like.tiff
    if built is None or built.ome or _as_ome(path, built, like, dtype):
        return frozenset((PIXEL_SIZE, *FACTS))
    if built.imagej is not None:
        return frozenset((PIXEL_SIZE, "focus step", "times"))
    return frozenset((PIXEL_SIZE,))


def _as_ome(path: Path, built: TiffStructure, like: ImageFile, dtype: np.dtype[Any]) -> bool:
    """Whether ImageJ's file becomes OME, since ImageJ has no BigTIFF."""
    fits = dtype.name in _IMAGEJ_TYPES
    big = path.suffix.lower() in _ALWAYS_BIG or _bytes(like, dtype) > _BIG
    return built.imagej is not None and fits and big


def _bytes(like: ImageFile, dtype: np.dtype[Any]) -> float:
    return sum(float(np.prod(like.shape_of(i))) for i in like.planes) * dtype.itemsize


def write_file(
    path: Path, blocks: Iterable[Array], like: ImageFile, note: str, dtype: np.dtype[Any]
) -> None:
    """Write planes as `like` has them; other formats than TIFF become OME-TIFF.

    The note goes where each flavour keeps its description. Large planes become tiles.
    """
    planes = iter(blocks)
    options: dict[str, Any] = {"dtype": dtype, "software": "cellqa", "photometric": "minisblack"}
    if path.suffix.lower() in _ALWAYS_BIG:
        options["bigtiff"] = True
    samples = like.shape[2:]
    if samples:
        options["photometric"] = "rgb" if samples[0] >= 3 else "minisblack"
        options["planarconfig"] = "contig"
        options["extrasamples"] = ["unassalpha"] if samples[0] in (2, 4) else None
    built = like.tiff
    if built is None:
        _write_ome(path, planes, like, note, options)
        return
    if built.compression in _KEPT_COMPRESSION:
        options["compression"] = built.compression
    if built.tile:
        options["tile"] = built.tile
    if built.photometric == _MINISWHITE and not samples:
        options["photometric"] = "miniswhite"
    if built.ome or _as_ome(path, built, like, dtype):
        _write_ome(path, planes, like, note, options)
    elif built.imagej is not None and dtype.name in _IMAGEJ_TYPES:
        if built.resolution:
            options["resolution"] = built.resolution[0]
        _write_imagej(path, planes, like, note, built.imagej, options)
    else:
        if built.resolution:
            options.update(zip(("resolution", "resolutionunit"), built.resolution, strict=True))
        _write_plain(path, planes, like, note, built.axes, options)


def _laid_out(
    blocks: Iterator[Array], shapes: Iterable[tuple[int, ...]], options: dict[str, Any]
) -> Iterator[Array]:
    """Planes of these shapes as tifffile wants them: whole, or tile by tile.

    Small planes are tiled only where the source's are; `options` are told.
    """
    shapes = list(shapes)
    if any(height * width > LARGE for height, width, *_ in shapes):
        options.setdefault("tile", (_TILE, _TILE))
    return _pieces(blocks, shapes, options.get("tile"))


def _pieces(
    blocks: Iterator[Array], shapes: list[tuple[int, ...]], tile: tuple[int, int] | None
) -> Iterator[Array]:
    for height, width, *samples in shapes:
        if tile is None:
            yield from regrouped(blocks, height, height)
            continue
        for rows in regrouped(blocks, height, tile[0]):
            for left in range(0, width, tile[1]):
                part = rows[:, left : left + tile[1]]
                if part.shape[:2] != tile:
                    whole = np.zeros((*tile, *samples), part.dtype)
                    whole[: part.shape[0], : part.shape[1]] = part
                    part = whole
                yield np.ascontiguousarray(part)


def _sizes(like: ImageFile) -> dict[str, int]:
    return dict(zip("STCZ", (1 + max(i[k] for i in like.planes) for k in range(4)), strict=True))


def _write_plain(
    path: Path,
    planes: Iterator[Array],
    like: ImageFile,
    note: str,
    axes: str,
    options: dict[str, Any],
) -> None:
    sizes = _sizes(like)
    if like.tiff and like.tiff.samples and len(like.planes) == sizes["C"]:
        _write_samples(path, planes, like, note, options)
        return
    # a plain file's pages have no names, and are written as pages
    outer = [a for a in "STCZ" if a in axes or (sizes[a] > 1 and a != "Z")]
    named = int(np.prod([sizes[a] for a in outer])) == len(like.planes)
    if len(like.planes) == 1:
        shape: tuple[int, ...] = like.shape
        metadata = None
        options["description"] = note
    elif outer and named:
        shape = (*(sizes[a] for a in outer), *like.shape)
        names = "".join(outer).replace("S", "P")  # in tifffile, S is a sample
        metadata = {"axes": names + "YXS"[: len(like.shape)], "Description": note}
    else:
        shape, metadata = (len(like.planes), *like.shape), None
        options["description"] = note
    data = _laid_out(planes, map(like.shape_of, like.planes), options)
    tifffile.imwrite(path, data, shape=shape, metadata=metadata, **options)


def _write_samples(
    path: Path,
    planes: Iterator[Array],
    like: ImageFile,
    note: str,
    options: dict[str, Any],
) -> None:
    """Channels as the samples of one page, which are held together for that."""
    whole = [p for i in like.planes for p in regrouped(planes, *like.shape_of(i)[:1] * 2)]
    options |= {"planarconfig": "contig", "extrasamples": ["unspecified"] * (len(whole) - 1)}
    del options["dtype"]
    tifffile.imwrite(path, np.stack(whole, axis=-1), metadata=None, description=note, **options)


def _write_imagej(
    path: Path,
    planes: Iterator[Array],
    like: ImageFile,
    note: str,
    source: dict[str, Any],
    options: dict[str, Any],
) -> None:
    sizes = _sizes(like)
    shape = (sizes["T"], sizes["Z"], sizes["C"], *like.shape)
    axes = "TZCYX" + "S" * (len(like.shape) - 2)
    metadata = {k: v for k, v in source.items() if k not in _IMAGEJ_MADE}
    metadata.update(axes=axes, Info=f"{note}\n{source.get('Info', '')}")
    dtype = options.pop("dtype")
    del options["software"]
    for name in ("extrasamples", "tile"):  # ImageJ reads none of them
        options.pop(name, None)
    if "compression" in options:
        # ImageJ's order is T, Z, C: the planes have to be there before they are written
        whole = [p for i in like.planes for p in regrouped(planes, *like.shape_of(i)[:1] * 2)]
        stack = np.stack(whole).reshape(sizes["T"], sizes["C"], sizes["Z"], *like.shape)
        tifffile.imwrite(path, np.moveaxis(stack, 1, 2), imagej=True, metadata=metadata, **options)
        return
    mapped = tifffile.memmap(
        path, shape=shape, dtype=dtype, imagej=True, metadata=metadata, **options
    )
    mapped = mapped.reshape(shape)  # tifffile leaves out axes of length 1
    for index in like.planes:
        row = 0
        for part in regrouped(planes, like.shape[0], min(like.shape[0], _TILE)):
            mapped[index.t, index.z, index.c, row : row + len(part)] = part
            row += len(part)
    mapped.flush()


def _write_ome(
    path: Path,
    planes: Iterator[Array],
    like: ImageFile,
    note: str,
    options: dict[str, Any],
) -> None:
    sizes = _sizes(like)
    size = _bytes(like, options["dtype"])
    acquired = like.acquired()
    each = (sizes["T"], sizes["C"], sizes["Z"])
    metadata: dict[str, Any] = {
        "axes": "TCZYX" + "S" * (len(like.shape) - 2),
        "Description": note,
        # tifffile's own would be another each time: the same input gives the same file
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{like.path.name} {note} {sizes} {size}")),
    }
    n = int(np.prod(each))
    big = options.pop("bigtiff", False) or size * _LEVELS > _BIG
    with tifffile.TiffWriter(path, ome=True, bigtiff=big) as writer:
        for number in range(sizes["S"]):
            plane: dict[str, list[Any]] = {}
            if acquired.seconds:
                seconds = acquired.seconds[number * n : (number + 1) * n]
                plane.update(DeltaT=list(seconds), DeltaTUnit=["s"] * n)
            places: dict[str, float] = {}
            if acquired.positions:
                places["Y"], places["X"] = acquired.positions[number]
            if acquired.heights:
                places["Z"] = acquired.heights[number]
            for axis, place in places.items():
                plane[f"Position{axis}"] = [place] * n
                plane[f"Position{axis}Unit"] = ["µm"] * n
            shape = like.shape_of(PlaneIndex(s=number))
            about = metadata | _calibration(like, number)
            about |= _described(acquired, number, sizes["C"])
            if plane:
                about["Plane"] = plane
            _write_levels(writer, path.parent, planes, (*each, *shape), about, dict(options))
    if acquired.objective != Objective():
        with tifffile.TiffFile(path, mode="r+b") as written:
            tag = written.pages.first.tags["ImageDescription"]
            text = ome.described(written.ome_metadata or "", acquired.objective)
            tag.overwrite(text.encode("utf-8"))


def _write_levels(
    writer: tifffile.TiffWriter,
    folder: Path,
    planes: Iterator[Array],
    shape: tuple[int, ...],
    about: dict[str, Any],
    options: dict[str, Any],
) -> None:
    """A scene; where its planes are large, with smaller levels, as viewers want them."""
    outer, own = shape[:3], shape[3:]
    n = int(np.prod(outer))
    large = own[0] * own[1] > LARGE
    count = levels_of(own) if large else 0
    more: dict[str, Any] = {"metadata": about, "subifds": count or None}
    with ExitStack() as stack:
        for number in range(count + 1):
            halves = None
            if number < count:
                halves = HalfSize(folder, n, own, np.dtype(options["dtype"]))
                stack.callback(halves.close)
                planes = halves.watch(planes)
            data = _laid_out(planes, [own] * n, options)
            writer.write(data, shape=(*outer, *own), **more, **options)
            more = {"metadata": None, "subfiletype": 1}
            if halves is not None:
                own, planes = halves.shape, halves.blocks()


def _described(acquired: Acquisition, scene: int, channels: int) -> dict[str, Any]:
    """Names, dates, bits and channels of a scene, as tifffile takes them."""
    about: dict[str, Any] = {}
    if acquired.scene_names:
        about["Name"] = acquired.scene_names[scene]
    if acquired.dates and acquired.dates[scene]:
        about["AcquisitionDate"] = acquired.dates[scene]
    if acquired.bits:
        about["SignificantBits"] = acquired.bits
    every = acquired.channels_of(scene)
    if len(every) == channels:
        about["Channel"] = list(map(ome.channel_attributes, every))
    return about


def _calibration(like: ImageFile, scene: int) -> dict[str, Any]:
    """Sides of pixels, steps of focus and time, as the source's OME-XML or reader has them."""
    stated = ome.attributes(like.tiff.ome, scene) if like.tiff else {}
    sides = like.size_of(PlaneIndex(s=scene))
    known = dict(zip(("X", "Y"), (sides[0], sides[1] or sides[0]), strict=True))
    known["Z"] = like.acquired().z_step
    about: dict[str, Any] = {}
    for axis, length in known.items():
        if not length:
            continue
        unit = stated.get(f"PhysicalSize{axis}Unit", "µm")
        factor = in_micrometres(1, unit) or 1.0
        text = stated.get(f"PhysicalSize{axis}", "").replace(",", ".")
        exact = float(text or "nan")  # in the source's own unit and with all its digits
        fits = math.isclose(exact * factor, length, rel_tol=1e-6)
        about[f"PhysicalSize{axis}"] = exact if fits else length / factor
        about[f"PhysicalSize{axis}Unit"] = unit
    if stated.get("TimeIncrement"):
        about["TimeIncrement"] = float(stated["TimeIncrement"])
        about["TimeIncrementUnit"] = stated.get("TimeIncrementUnit", "s")
    return about


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
