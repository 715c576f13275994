"""OME-Zarr 0.4 and 0.5, through zarr (extra `zarr`); the full-resolution level is read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.core.sync import sync

from cellqa.errors import ImageError
from cellqa.io import zarr_threads  # noqa: F401  (what it does, it does when it is imported)
from cellqa.io.acquisition import Acquisition, Channel, colour, said
from cellqa.io.base import (
    ImageFile,
    PlaneIndex,
    absent,
    check_size,
    in_micrometres,
    plane_indices,
)
from cellqa.io.formats import spoken
from cellqa.io.store_images import listed
from cellqa.io.stores import attributes
from cellqa.io.zarr_guard import guarded
from cellqa.planes import Array

_MOST_CHUNKS = 1_000_000
_SECONDS = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0, "hour": 3600.0}


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open the image in a folder with a name that ends in `.zarr`, or inside such a store.

    Raises
    ------
    ImageError
        The store holds several images, a plane too large, or axes of another kind.
    """
    try:
        about = dict(attributes(path))
    except FileNotFoundError:
        raise ImageError("there is no group of Zarr") from None
    if "multiscales" not in about:
        found = listed(path)
        if not found:
            raise ImageError("no image of OME-Zarr: its metadata have no 'multiscales'")
        raise ImageError(
            f"holds several images, {spoken(path)}/{found[0]} for example; give one of them, "
            "or the store to a command that takes folders"
        )
    scales = about["multiscales"][0]
    level = scales["datasets"][0]
    store, inside = guarded(path)
    where = f"{inside}/{level['path']}" if inside else level["path"]
    data: Any = zarr.open_array(store, path=where, mode="r")
    store.expect(data)
    names = [axis["name"] if isinstance(axis, dict) else axis for axis in scales["axes"]]
    sizes = dict(zip(names, data.shape, strict=True))
    check_size(path, sizes["y"], sizes["x"], max_pixels)
    if np.prod([float(n) for n in data.shards or data.chunks]) > max_pixels:
        raise ImageError(f"its chunks have more pixels than the limit of {max_pixels}")
    unknown = [name for name in names if name not in "tczyx" and sizes[name] > 1]
    if unknown:
        raise ImageError(f"{spoken(path)}: axis {unknown[0]!r} is not time, channel or space")

    def load(index: PlaneIndex, start: int = 0, stop: int | None = None) -> Array:
        cut = {"y": slice(start, stop), "x": slice(None)}
        at = tuple(cut[name] if name in cut else getattr(index, name, 0) for name in names)
        _check_number(data, at)
        pixels = np.asarray(data[at])
        if _unwritten(pixels, data) and not _has_chunks(data, at):
            absent(
                f"{spoken(path)}: plane {index.label()} is not in the store: it has no chunk of it"
            )
        elif lost := _lost(pixels, data, at):
            where = f"{spoken(path)}: plane {index.label()}"
            absent(f"{where} lacks {lost} beside pixels that are not black")
        return pixels if names.index("y") < names.index("x") else pixels.T

    planes = plane_indices(1, *(sizes.get(axis, 1) for axis in "tcz"))
    return ImageFile(
        path,
        planes,
        (sizes["y"], sizes["x"]),
        np.dtype(data.dtype),
        _step(scales, level, names.index("x")),
        load,
        store.close,
        decode_rows=load,
        acquisition=lambda: _acquisition(about, names, sizes, planes),
        pixel_size_y=_step(scales, level, names.index("y")),
    )


def _acquisition(
    about: dict[str, Any],
    names: list[str],
    sizes: dict[str, int],
    planes: tuple[PlaneIndex, ...],
) -> Acquisition:
    scales = about["multiscales"][0]
    level = scales["datasets"][0]
    shown = about.get("omero", {}).get("channels", [])
    channels = said(
        Channel(str(each.get("label") or ""), colour(each.get("color"))) for each in shown
    )
    seconds: tuple[float, ...] = ()
    if "t" in names:
        unit, interval = _scale(scales, level, names.index("t"))
        factor = _SECONDS.get(unit)
        seconds = tuple(i.t * interval * factor for i in planes) if factor and interval else ()
    place = {name: _origin(scales, level, names.index(name)) for name in names if name in "zyx"}
    y, x, z = (place.get(axis) for axis in "yxz")
    return Acquisition(
        channels if len(channels) == sizes.get("c", 1) else (),
        _step(scales, level, names.index("z")) if "z" in names else None,
        seconds,
        ((y, x),) if y is not None and x is not None else (),
        (z,) if z else (),
        axes="".join(name for name in names if name in "tczyx"),
    )


def _unwritten(pixels: Array, data: Any) -> bool:
    """Whether the pixels may be what a store gives for chunks that it lacks."""
    return bool((pixels == (data.fill_value or 0)).all())


def _has_chunks(data: Any, at: tuple[int | slice, ...]) -> bool:
    """Whether any chunk of a plane, or some rows of it, is there."""
    root = data.store_path
    return any(sync((root / key).exists()) for key in _chunk_keys(data, at))


def _lost(pixels: Array, data: Any, at: tuple[int | slice, ...]) -> str:
    """Say how many chunks of a plane were lost, as `2 chunks`; nothing where none was.

    Programs leave out chunks that are black. What lies beside a black chunk is mostly black, too;
    a chunk that is not there, beside pixels that are not, was lost or never written.
    """
    fill = data.fill_value or 0
    if pixels.size == 0 or pixels.ndim != 2 or pixels.min() > fill:
        return ""
    black = pixels == fill
    cuts = [
        _cuts(place, side, length)
        for place, side, length in zip(at, data.chunks, data.shape, strict=True)
        if isinstance(place, slice)
    ]
    missing = [
        (y, x)
        for y, x in product(*cuts)
        if black[y, x].all() and not _is_stored(data, at, y.start, x.start)
    ]
    known = np.ones(pixels.shape, bool)
    for place in missing:
        known[place] = False
    number = 0
    for y, x in missing:
        around = [
            (slice(max(y.start - 1, 0), y.start), x),
            (slice(y.stop, y.stop + 1), x),
            (y, slice(max(x.start - 1, 0), x.start)),
            (y, slice(x.stop, x.stop + 1)),
        ]
        beside = np.concatenate([black[place][known[place]] for place in around])
        number += int(beside.size > 0 and beside.mean() < 0.5)
    return f"{number} chunk{'s' * (number > 1)}" if number else ""


def _cuts(place: slice, side: int, length: int) -> list[slice]:
    """Where the chunks of an axis lie in what was read."""
    start, stop, _ = place.indices(length)
    edges = [start, *range((start // side + 1) * side, stop, side), stop]
    return [slice(a - start, b - start) for a, b in pairwise(edges)]


def _is_stored(data: Any, at: tuple[int | slice, ...], y: int, x: int) -> bool:
    """Whether the chunk of a pixel of a plane is there; of chunks in shards it is not known."""
    if data.shards:
        return False
    inside = iter((y, x))
    place = tuple(
        slice((n := (each.start or 0) + next(inside)), n + 1) if isinstance(each, slice) else each
        for each in at
    )
    return _has_chunks(data, place)


def _chunk_keys(data: Any, at: tuple[int | slice, ...]) -> Iterator[str]:
    """Keys of the chunks that hold a plane, or some rows of it."""
    ranges = _chunk_ranges(data, at)
    return (data.metadata.encode_chunk_key(chunk) for chunk in product(*ranges))


def _chunk_ranges(data: Any, at: tuple[int | slice, ...]) -> list[range]:
    each = data.shards or data.chunks
    ranges = []
    for place, side, length in zip(at, each, data.shape, strict=True):
        first, stop, _ = (
            place.indices(length) if isinstance(place, slice) else (place, place + 1, 1)
        )
        ranges.append(range(first // side, -(-stop // side)))
    return ranges


def _check_number(data: Any, at: tuple[int | slice, ...]) -> None:
    if np.prod([float(len(each)) for each in _chunk_ranges(data, at)]) > _MOST_CHUNKS:
        raise ImageError(f"a plane of it has more than {_MOST_CHUNKS} chunks")


def _scale(scales: dict[str, Any], level: dict[str, Any], number: int) -> tuple[str, float | None]:
    """Unit and step of an axis; the unit is empty and the step None where none is stated."""
    factor: float | None = None
    for value in _transformations(scales, level, "scale", number):
        factor = (factor or 1.0) * value
    return _unit(scales, number), factor


def _unit(scales: dict[str, Any], number: int) -> str:
    axis = scales["axes"][number]
    return str(axis.get("unit") or "") if isinstance(axis, dict) else ""


def _transformations(
    scales: dict[str, Any], level: dict[str, Any], kind: str, number: int
) -> list[float]:
    """What each transformation of a kind has for an axis."""
    return [
        float(each[kind][number])
        for owner in (level, scales)
        for each in owner.get("coordinateTransformations", ())
        if each.get("type") == kind
    ]


def _origin(scales: dict[str, Any], level: dict[str, Any], number: int) -> float | None:
    """Where an axis of space begins, in micrometres; None where nothing is said."""
    moved = _transformations(scales, level, "translation", number)
    factor = in_micrometres(1, _unit(scales, number) or "micrometer")
    return sum(moved) * factor if moved and factor else None


def _step(scales: dict[str, Any], level: dict[str, Any], number: int) -> float | None:
    """Step of an axis of space, in micrometres."""
    unit, factor = _scale(scales, level, number)
    if factor is None or (not unit and factor == 1):  # what uncalibrated files state
        return None
    return in_micrometres(factor, unit or "micrometer")
