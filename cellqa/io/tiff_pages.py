"""Pages of a TIFF file: their pixels, whole or some rows, and what tifffile only logs of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cellqa.errors import ImageError
from cellqa.io.base import LARGE, absent
from cellqa.io.coded import stated_size
from cellqa.planes import Array

_PADDED = 15  # pixels: some programs fill up to whole blocks of the codec
# of JPEG, JPEG 2000, XR, XL, LERC, PNG, WebP
_CODECS = frozenset(
    {6, 7, 22610, 33003, 33004, 33005, 33007, 34712, 34887, 34892, 34927, 34933, 34934}
    | {50001, 50002, 52546}
)
# What tifffile only logs, although planes are lost by it.
_LOST = re.compile(r"invalid page offset|corrupt|invalid strip|truncat", re.IGNORECASE)


@contextmanager
def logged(path: Path) -> Iterator[None]:
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


def present(path: Path, page: Any) -> Any:
    """The page, or None where the file lacks it and zeros are taken.

    Raises
    ------
    ImageError
        It lacks it, and they are not.
    """
    if page is None:
        absent(f"{path.name}: the page of this plane is missing from the file")
    return page


def has_parts(page: Any, apart: int | None = None) -> bool:
    """Whether rows of a page, or of one sample, can be read without most of the others."""
    if (
        page is None
        or (page.planarconfig != 1 and apart is None)
        or page.bitspersample % 8
        or page.imagedepth != 1
    ):
        return False
    if page.is_tiled:
        return bool(page.tilelength * page.imagewidth <= LARGE)
    return bool(page.compression == 1 or page.rowsperstrip * page.imagewidth <= LARGE)


@contextmanager
def file_of(page: Any) -> Iterator[Any]:
    """The file that holds a page, open: of a set, tifffile closes all but the first."""
    file = page.parent.filehandle
    closed = file.closed
    if closed:
        file.open()
    try:
        yield file
    finally:
        if closed:
            file.close()


def read_rows(
    path: Path,
    page: Any,
    shape: tuple[int, ...],
    start: int,
    stop: int,
    apart: int | None = None,
) -> Array:
    """Rows of a page, or of a sample that is stored apart, from the strips or tiles of them."""
    with file_of(page) as file:
        return _rows_in(file, path, page, shape, start, stop, apart or 0)


def _rows_in(
    file: Any, path: Path, page: Any, shape: tuple[int, ...], start: int, stop: int, sample: int
) -> Array:
    keyframe = page.keyframe
    check_extent(path, page)
    if keyframe.compression == 1 and keyframe.fillorder == 1 and page.is_contiguous:
        each = int(np.prod(shape[1:]))
        dtype = np.dtype(page.parent.byteorder + keyframe.dtype.char)
        offset = page.dataoffsets[0] + (sample * shape[0] + start) * each * dtype.itemsize
        rows = file.read_array(dtype, (stop - start) * each, offset)
        return np.asarray(rows.astype(keyframe.dtype, copy=False)).reshape(stop - start, *shape[1:])
    height = keyframe.tilelength if keyframe.is_tiled else keyframe.rowsperstrip
    across = -(-shape[1] // keyframe.tilewidth) if keyframe.is_tiled else 1
    out = np.full((stop - start, *shape[1:]), keyframe.nodata, keyframe.dtype)
    before = sample * -(-shape[0] // height) * across
    first, last = before + start // height * across, before + -(-stop // height) * across
    for number in range(first, min(last, len(page.dataoffsets))):
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        if not count:
            continue  # sparse: never written
        file.seek(offset)
        data = file.read(count)
        check_inner(path, keyframe, data)
        decoded, place, size = keyframe.decode(data, number, jpegtables=page.jpegtables)
        top, left = place[2], place[3]
        part = np.asarray(decoded).reshape(size)[0, :, :, :]
        rows = slice(max(start - top, 0), min(stop - top, shape[0] - top, part.shape[0]))
        columns = min(shape[1] - left, part.shape[1])
        part = part[rows, :columns]
        at = top + rows.start - start
        out[at : at + len(part), left : left + columns] = part.reshape(
            len(part), columns, *shape[2:]
        )
    return out


def check_inner(path: Path, page: Any, data: bytes) -> None:
    """Refuse a strip or tile that holds a larger image than its page states.

    Parameters
    ----------
    path : Path
        Of the file, for the message.
    page : tifffile.TiffPage
        The one that says how pages of the series are stored.
    data : bytes
        Of the strip or tile, as stored.

    Raises
    ------
    ImageError
        It does.
    """
    found = stated_size(data) if is_coded(page) else None
    if found is None:
        return
    tiled = page.is_tiled
    height = page.tilelength if tiled else min(page.rowsperstrip, page.imagelength)
    width = page.tilewidth if tiled else page.imagewidth
    if found[0] > height + _PADDED or found[1] > width + _PADDED:
        what = "tile" if tiled else "strip"
        raise ImageError(
            f"{path.name}: damaged, a {what} of {height} x {width} pixels holds an image of "
            f"{found[0]} x {found[1]}"
        )


def is_coded(page: Any) -> bool:
    """Whether strips and tiles of a page are images with a size of their own."""
    return page.compression in _CODECS


def check_page(path: Path, page: Any) -> None:
    """Refuse a page that is cut off, or holds more than it states, before it is decoded."""
    check_extent(path, page)
    if not is_coded(page):
        return
    with file_of(page) as file:
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
            file.seek(offset)
            check_inner(path, page.keyframe, file.read(count))


def check_extent(path: Path, page: Any) -> None:
    """Every strip and tile must lie within the file: decoders pad what is missing."""
    size = page.parent.filehandle.size  # of a set, the page's own file
    pairs = zip(page.dataoffsets, page.databytecounts, strict=False)
    if any(offset + count > size for offset, count in pairs):
        raise ImageError(f"{path.name}: truncated, its pixels end after the file does")
