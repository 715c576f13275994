"""Reading and writing images.

A new format is a module with `open_file`, and a line in `FORMATS` (`formats.py`); or it comes from
another package through the entry point `cellqa.formats`.
"""

from __future__ import annotations

import importlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cellqa.disk import StrPath, appearing
from cellqa.errors import CellqaError, ImageError, MissingExtraError, first_line
from cellqa.extras import install_line
from cellqa.io.acquisition import Acquisition, Channel, Objective
from cellqa.io.base import LARGE, MAX_PIXELS, ImageFile, PlaneIndex
from cellqa.io.formats import (
    FORMATS,
    Format,
    check_room,
    format_of,
    is_image_folder,
    keeps_planes,
    may_crash,
    split_suffix,
    spoken,
    store_of,
    written_formats,
    written_name,
)
from cellqa.io.seen import COLOURS, carriers, grey, luminance
from cellqa.io.store_images import images_in
from cellqa.io.stores import url_of
from cellqa.planes import Array

__all__ = [
    "COLOURS",
    "FORMATS",
    "LARGE",
    "MAX_PIXELS",
    "Acquisition",
    "Channel",
    "Format",
    "ImageFile",
    "Objective",
    "PlaneIndex",
    "carriers",
    "check_room",
    "format_of",
    "grey",
    "images_in",
    "is_image_folder",
    "keeps_planes",
    "lost",
    "luminance",
    "may_crash",
    "open_image",
    "split_suffix",
    "spoken",
    "store_of",
    "write_image",
    "write_tiff",
    "written_formats",
    "written_name",
]


def _module(known: Format, module: str, task: str) -> ModuleType:
    """The module that reads or writes a format.

    Raises
    ------
    MissingExtraError
        The package that it needs is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not known.extra:
            raise
        raise MissingExtraError(
            f"{task} {known.name} needs {error.name}; install it with: {install_line(known.extra)}"
        ) from None


def open_image(path: StrPath, max_pixels: int = MAX_PIXELS) -> ImageFile:
    """Open an image file of any known format, for use in a `with` statement.

    Parameters
    ----------
    path : path
    max_pixels : int
        Planes that state more pixels are refused before memory is taken for them.

    Raises
    ------
    ImageError
        The file does not exist, is of no known format, damaged, or too large.
    MissingExtraError
        The format's package is not installed.

    Examples
    --------
    >>> with open_image("cells.tif") as file:  # doctest: +SKIP
    ...     for index in file.planes:
    ...         print(index.label(), file.load(index).mean(), file.pixel_size)
    """
    path = Path(path)
    known, name = format_of(path), spoken(path)
    if known is None:
        raise ImageError(f"{name}: not an image format that can be read ({', '.join(FORMATS)})")
    try:
        module = _module(known, known.reader, "reading")
        if not url_of(path):
            _check_kind(path, known)
        file: ImageFile = module.open_file(path, max_pixels)
    except CellqaError as error:
        text = str(error)
        raise type(error)(text if text.startswith(name) else f"{name}: {text}") from None
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror or first_line(error)}") from None
    except Exception as error:  # a hostile file can bring any error up in a library
        raise ImageError(
            f"{name}: not a readable {known.name} file ({first_line(error)})"
        ) from None
    return file


def _check_kind(path: Path, known: Format) -> None:
    """Refuse what is no file or folder, as the format has it, before anything is read."""
    store = store_of(path)
    place = store[0] if store and not known.folder else path
    status = place.stat()
    if not (stat.S_ISDIR if known.folder else stat.S_ISREG)(status.st_mode):
        kind = "a folder" if known.folder else "a regular file"
        raise ImageError(f"{place.name}: {known.name} images are {kind}, this is not")
    if not known.folder and status.st_size == 0:
        raise ImageError(f"{place.name}: the file is empty (0 bytes)")


def write_image(
    path: StrPath, planes: Iterable[Array], like: ImageFile, note: str, dtype: np.dtype[Any]
) -> Path:
    """Write planes under a name like the source's: same format, bit depth, pixel size and axes.

    Formats that are only read become OME-TIFF (`written_name`). The file appears under its name
    only when it is complete.

    Parameters
    ----------
    path : path
        Where to; its suffix must be of a format that is written (PNG, JPEG, BMP, TIFF, Zarr).
    planes : iterable of ndarray
        In the order of `like.planes`, each whole or as blocks of its rows, of any height.
    like : ImageFile
        The source.
    note : str
        What was done to the image; kept in its metadata where the format has room.
    dtype : numpy.dtype
        The type of the planes.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ImageError
        The format is not written, or cannot hold the pixels.
    MissingExtraError
        The format's package is not installed.
    OSError
        The folder cannot be written.
    """
    path = Path(path)
    known, module = _writer(path)
    check_room(os.fspath(path), len(like.planes))
    with appearing(path, folder=known.folder) as temporary:
        module.write_file(temporary, planes, like, note, dtype)
    return path


def _writer(path: Path) -> tuple[Format, ModuleType]:
    known = format_of(path)
    if known is None or not known.writer:
        raise ImageError(f"{spoken(path)}: not a format that is written ({written_formats()})")
    return known, _module(known, known.writer, f"{spoken(path)}: writing")


def lost(path: StrPath, like: ImageFile, dtype: np.dtype[Any]) -> tuple[str, ...]:
    """What a file says of itself that one of this name will not say, in words.

    Parameters
    ----------
    path : path
        As `write_image` takes it.
    like : ImageFile
        The source.
    dtype : numpy.dtype
        The type of the planes.

    Raises
    ------
    ImageError
        The format is not written.
    """
    path = Path(path)
    _, module = _writer(path)
    keeps = getattr(module, "keeps", None)  # other packages' writers may not say
    kept: frozenset[str] = keeps(path, like, dtype) if keeps else frozenset()
    return tuple(fact for fact in like.facts() if fact not in kept)


def write_tiff(path: StrPath, pixels: Array, pixel_size: float | None, note: str = "") -> Path:
    """Write one plane as TIFF, compressed without loss; it appears when it is complete.

    Parameters
    ----------
    path : path
    pixels : ndarray, shape (Y, X) or (Y, X, S)
    pixel_size : float or None
        In micrometres.
    note : str
        Kept as the image's description.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    from cellqa.io import tiff_write

    path = Path(path)
    with appearing(path) as temporary:
        tiff_write.write_plane(temporary, pixels, pixel_size, note)
    return path
