"""Reading and writing images.

A new format is a module with `open_file`, and a line in `FORMATS`; or it comes from another package
through the entry point `cellqa.formats`.
"""

from __future__ import annotations

import functools
import importlib
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cellqa.disk import StrPath, appearing
from cellqa.errors import CellqaError, ImageError, MissingExtraError, first_line
from cellqa.io.base import (
    LARGE,
    MAX_PIXELS,
    Acquisition,
    ImageFile,
    PlaneIndex,
)
from cellqa.io.seen import COLOURS, carriers, grey, luminance
from cellqa.planes import Array
from cellqa.plugins import Registry, instance_of

__all__ = [
    "COLOURS",
    "FORMATS",
    "LARGE",
    "MAX_PIXELS",
    "Acquisition",
    "Format",
    "ImageFile",
    "PlaneIndex",
    "carriers",
    "format_of",
    "grey",
    "is_image_folder",
    "luminance",
    "may_crash",
    "open_image",
    "split_suffix",
    "write_image",
    "write_tiff",
    "written_name",
]


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name : str
    suffixes : tuple of str
        In small letters.
    reader : str
        Module with `open_file(path, max_pixels)`, which returns an `ImageFile`.
    writer : str
        Module with `write_file(path, blocks, like, note, dtype)`; empty where it is not written:
        images of such a format become OME-TIFF.
    extra : str
        Of cellqa, that installs what it needs; empty for none.
    packages : tuple of str
        What the extra installs, for the versions in run.json.
    folder : bool
        An image is a folder.
    several : bool
        A file may hold several planes.
    may_crash : bool
        The reader is a C library that a damaged file can bring down: it is read in a process of
        its own.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str
    writer: str = ""
    extra: str = ""
    packages: tuple[str, ...] = ()
    folder: bool = False
    several: bool = True
    may_crash: bool = False


def _wrong(entry: Any) -> str:
    if problem := instance_of(Format)(entry):
        return problem
    others = ((suffix, known.name) for known in FORMATS.values() for suffix in known.suffixes)
    taken = next(
        (f"{suffix} is read as {name}" for suffix, name in others if suffix in entry.suffixes), ""
    )
    return f"{entry.name}: {taken} already" if taken else ""


FORMATS: Registry[Format] = Registry(
    "cellqa.formats",
    (
        Format(
            "TIFF",
            (".ome.tif", ".ome.tiff", ".tif", ".tiff"),
            "cellqa.io.tiff",
            "cellqa.io.tiff_write",
        ),
        Format(
            "PNG, JPEG, BMP",
            (".png", ".jpg", ".jpeg", ".bmp"),
            "cellqa.io.raster",
            "cellqa.io.raster",
            several=False,
        ),
        Format("CZI", (".czi",), "cellqa.io.czi", "", "czi", ("pylibCZIrw",), may_crash=True),
        Format("ND2", (".nd2",), "cellqa.io.nd2", "", "nd2", ("nd2",), may_crash=True),
        Format(
            "OME-Zarr",
            (".ome.zarr", ".zarr"),
            "cellqa.io.zarr",
            "cellqa.io.zarr_write",
            "zarr",
            ("zarr",),
            folder=True,
            may_crash=True,
        ),
    ),
    wrong=_wrong,
)


@functools.cache
def _by_suffix() -> Mapping[str, Format]:
    """Format of each suffix, the longest first."""
    pairs = ((suffix, known) for known in FORMATS.values() for suffix in known.suffixes)
    return dict(sorted(pairs, key=lambda pair: -len(pair[0])))


def split_suffix(name: str) -> tuple[str, str]:
    """Split an image's name into stem and suffix; the suffix is empty for other files.

    Examples
    --------
    >>> split_suffix("a01.ome.tif")
    ('a01', '.ome.tif')
    >>> split_suffix("notes.txt")
    ('notes.txt', '')
    """
    lower = name.lower()
    for suffix in _by_suffix():
        if lower.endswith(suffix) and len(lower) > len(suffix):
            return name[: -len(suffix)], name[-len(suffix) :]
    return name, ""


def format_of(name: str) -> Format | None:
    """Format of a file or folder of this name; None where it is no image."""
    return _by_suffix().get(split_suffix(name)[1].lower())


def may_crash(name: str) -> bool:
    """Whether the format's reader is a C library that a damaged file can bring down."""
    known = format_of(name)
    return known is not None and known.may_crash


def is_image_folder(name: str) -> bool:
    """Whether a folder of this name is an image (OME-Zarr)."""
    known = format_of(name)
    return known is not None and known.folder


def check_room(name: str, planes: int) -> None:
    """Refuse to write several planes where a file of this name has room for one.

    Raises
    ------
    ImageError
        The line names the formats that have.
    """
    if planes > 1 and not keeps_planes(name):
        formats = " or ".join(f.name for f in FORMATS.values() if f.writer and f.several)
        raise ImageError(f"{planes} planes only fit into a file of {formats}")


def keeps_planes(name: str) -> bool:
    """Whether a file of this name can be written with several planes."""
    known = format_of(name)
    return known is not None and bool(known.writer) and known.several


def written_name(name: str) -> str:
    """What an image is called when it is written: its own name, or that of an OME-TIFF file.

    Examples
    --------
    >>> written_name("a.png"), written_name("a.czi")
    ('a.png', 'a.ome.tif')
    """
    known = format_of(name)
    return name if known and known.writer else f"{split_suffix(name)[0]}.ome.tif"


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
            f"{task} {known.name} needs {error.name}; "
            f"install it with: pip install 'cellqa[{known.extra}]'"
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
    known = format_of(path.name)
    if known is None:
        raise ImageError(
            f"{path.name}: not an image format that can be read ({', '.join(FORMATS)})"
        )
    try:
        module = _module(known, known.reader, "reading")
        status = path.stat()
        if not (stat.S_ISDIR if known.folder else stat.S_ISREG)(status.st_mode):
            kind = "a folder" if known.folder else "a regular file"
            raise ImageError(f"{path.name}: {known.name} images are {kind}, this is not")
        if not known.folder and status.st_size == 0:
            raise ImageError(f"{path.name}: the file is empty (0 bytes)")
        file: ImageFile = module.open_file(path, max_pixels)
    except CellqaError as error:
        text = str(error)
        raise type(error)(text if text.startswith(path.name) else f"{path.name}: {text}") from None
    except OSError as error:
        raise ImageError(f"{path.name}: {error.strerror or first_line(error)}") from None
    except Exception as error:  # a hostile file can bring any error up in a library
        raise ImageError(
            f"{path.name}: not a readable {known.name} file ({first_line(error)})"
        ) from None
    return file


def write_image(
    path: StrPath, planes: Iterable[Array], like: ImageFile, note: str, dtype: np.dtype[Any]
) -> Path:
    """Write planes under a name like the source's: same format, bit depth, pixel size and axes.

    CZI and ND2 are not written: they become OME-TIFF (`written_name`). The file appears under its
    name only when it is complete.

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
    known = format_of(path.name)
    if known is None or not known.writer:
        raise ImageError(f"{path.name}: not a format that is written ({written_formats()})")
    check_room(path.name, len(like.planes))
    module = _module(known, known.writer, f"{path.name}: writing")
    with appearing(path, folder=known.folder) as temporary:
        module.write_file(temporary, planes, like, note, dtype)
    return path


def written_formats() -> str:
    """Names of the formats that are written, for messages."""
    return ", ".join(known.name for known in FORMATS.values() if known.writer)


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
