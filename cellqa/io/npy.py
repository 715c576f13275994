"""NumPy's .npy and .npz, as networks write their predictions; objects are never unpickled."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np

from cellqa.errors import ImageError
from cellqa.io.base import ImageFile, PlaneIndex, check_size, plane_indices, regrouped
from cellqa.planes import Array

_HEADER = 2**14  # bytes within which a header ends: an array's of numbers takes some hundred
_COLOURS = (3, 4)
_KEYS = 8  # that a message names


class _Stated(NamedTuple):
    """What a header states: the array's shape, order and type, and where its values begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int

    @property
    def bytes(self) -> int:
        """Of the values."""
        return _product(self.shape) * self.dtype.itemsize


class _Axes(NamedTuple):
    """How an array is seen: its axes but those of length 1, those of its planes, and a plane's."""

    shape: tuple[int, ...]
    outer: tuple[int, ...]
    plane: tuple[int, ...]


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open: (Y, X), or (Y, X, S) with 3 or 4 samples; axes before these count as focus.

    Axes of length 1 are left out. An .npz file holds one array, which is read as a whole.

    Raises
    ------
    ImageError
        It holds no or several arrays, no numbers, too many pixels, or ends too early.
    """
    archive = path.suffix.lower() == ".npz"
    with path.open("rb") as file:
        if not archive:
            stated = _stated(file)
            there = file.seek(0, io.SEEK_END) - stated.offset
        else:
            with zipfile.ZipFile(file) as zipped:
                entry = _only(zipped)
                with zipped.open(entry) as member:
                    stated = _stated(member)
                there = entry.file_size - stated.offset
    axes = _axes(stated.shape)
    if axes is None:
        raise ImageError(f"{path.name}: an array of shape {stated.shape} is no image")
    height, width = axes.plane[:2]
    check_size(path, height, width, max_pixels)
    if archive:  # compressed: its planes can only be had together
        check_size(path, max(1, _product(axes.outer)) * height, width, max_pixels)
    planes = plane_indices(z=_product(axes.outer))
    if there < stated.bytes:
        raise ImageError(f"{path.name}: truncated, {stated.bytes} bytes are stated, {there} there")
    native = stated.dtype.newbyteorder("=")
    held: list[Array] = []

    def array() -> Array:
        if not held:
            found = _unzipped(path, stated) if archive else _mapped(path, stated)
            held.append(found.reshape(axes.shape))  # leaves out axes of length 1: never a copy
        return held[0]

    def load(index: PlaneIndex, start: int = 0, stop: int | None = None) -> Array:
        if not archive and not stated.fortran:
            # read, not mapped: a file that is cut short meanwhile would end the process
            rows = (axes.plane[0] if stop is None else stop) - start
            each = _product(axes.plane[1:])
            first = (index.z * axes.plane[0] + start) * each * stated.dtype.itemsize
            found = np.fromfile(path, stated.dtype, rows * each, offset=stated.offset + first)
            return np.asarray(found.reshape((rows, *axes.plane[1:])), native)
        at = np.unravel_index(index.z, axes.outer) if axes.outer else ()
        # a copy: the file may be closed, or written over, once it is read
        return np.array(array()[at][start:stop], native, order="C")

    return ImageFile(
        path,
        planes,
        axes.plane,
        native,
        None,
        load,
        held.clear,
        decode_rows=load,
    )


def _product(lengths: tuple[int, ...]) -> int:
    """Without the overflow of NumPy's."""
    product = 1
    for length in lengths:
        product *= length
    return product


def _stated(file: IO[bytes]) -> _Stated:
    """The header of an open file, without memory for what it states.

    Raises
    ------
    ImageError
        It is of no array, or of one of objects, records, text or complex numbers.
    ValueError
        It is damaged.
    """
    start = io.BytesIO(file.read(_HEADER))
    version = np.lib.format.read_magic(start)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:  # 3.0 is for records with names in Unicode
        raise ImageError(f"version {version} of NumPy's format holds no images")
    with warnings.catch_warnings():  # of headers that Python 2 wrote
        warnings.simplefilter("ignore")
        shape, fortran, dtype = readers[version](start)
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or dtype.subdtype is not None:
        raise ImageError(f"values of type {dtype} are no pixels")
    if any(length < 0 for length in shape):
        raise ImageError(f"an array of shape {shape} is no image")
    return _Stated(tuple(map(int, shape)), bool(fortran), dtype, start.tell())


def _axes(shape: tuple[int, ...]) -> _Axes | None:
    """How an array of this shape is seen; None where it is no image.

    Examples
    --------
    >>> _axes((1, 5, 64, 48)).outer, _axes((64, 48, 3)).plane, _axes((64, 48, 1)).plane
    ((5,), (64, 48, 3), (64, 48))
    """
    seen = tuple(length for length in shape if length != 1)
    if len(seen) < 2:  # an image of one row, one column or one pixel
        if len(shape) < 2:
            return None
        seen = (1,) * (2 - len(seen)) + seen if shape[-1] != 1 else (*(seen or (1,)), 1)
    colour = len(seen) > 2 and seen[-1] in _COLOURS and min(seen[-3:-1]) > seen[-1]
    inner = 3 if colour else 2
    return _Axes(seen, seen[:-inner], seen[-inner:])


def _only(zipped: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The only array of an archive."""
    entries = [entry for entry in zipped.infolist() if entry.filename.endswith(".npy")]
    if len(entries) != 1:
        keys = [entry.filename.removesuffix(".npy") for entry in entries[:_KEYS]]
        named = ": " + ", ".join(keys) if keys else ""
        more = " ..." if len(entries) > _KEYS else ""
        raise ImageError(f"holds {len(entries)} arrays{named}{more}; save each image on its own")
    return entries[0]


def _mapped(path: Path, stated: _Stated) -> Array:
    order: Literal["F", "C"] = "F" if stated.fortran else "C"
    return np.asarray(np.memmap(path, stated.dtype, "r", stated.offset, stated.shape, order))


def _unzipped(path: Path, stated: _Stated) -> Array:
    with zipfile.ZipFile(path) as zipped, zipped.open(_only(zipped)) as member:
        member.read(stated.offset)
        values = member.read(stated.bytes)
        if len(values) < stated.bytes:
            raise ImageError(f"{path.name}: truncated, its values end too early")
        member.read(1)  # at its end, the checksum is compared
    order: Literal["F", "C"] = "F" if stated.fortran else "C"
    return np.asarray(np.frombuffer(values, stated.dtype)).reshape(stated.shape, order=order)


def keeps(path: Path, like: ImageFile, dtype: np.dtype[Any]) -> frozenset[str]:
    """Which of `cellqa.io.acquisition.FACTS` such a file has: none."""
    return frozenset()


def write_file(
    path: Path, blocks: Iterable[Array], like: ImageFile, note: str, dtype: np.dtype[Any]
) -> None:
    """Write (..., Y, X) or (..., Y, X, S), with an axis for each of S, T, C, Z longer than 1.

    Raises
    ------
    ImageError
        Planes differ in shape, or such an array would be seen as something else.
    """
    plane = like.shape
    if any(like.shape_of(index) != plane for index in like.planes):
        raise ImageError("scenes of different sizes do not fit into one array")
    lengths = tuple(1 + max(index[axis] for index in like.planes) for axis in range(4))
    shape = (*(n for n in lengths if n > 1), *plane)
    axes = _axes(shape)
    if axes is None or axes.plane != plane or _product(axes.outer) != len(like.planes):
        raise ImageError(f"an array of shape {shape} would not be seen as this image; write a TIFF")
    header = {
        "shape": shape,
        "fortran_order": False,
        "descr": np.lib.format.dtype_to_descr(dtype),
    }
    planes = iter(blocks)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _ in like.planes:
            for rows in regrouped(planes, plane[0], min(plane[0], 512)):
                file.write(np.ascontiguousarray(rows, dtype).data)
