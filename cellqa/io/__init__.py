"""Reading and writing images. A new format is one module with `open_file`, and one line here."""

from __future__ import annotations

import importlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cellqa.errors import CellqaError, ImageError, MissingExtraError, first_line
from cellqa.io.base import (
    LARGE,
    MAX_PIXELS,
    Acquisition,
    ImageFile,
    PlaneIndex,
    luminance,
    regrouped,
)

Array = npt.NDArray[Any]

__all__ = [
    "FORMATS",
    "LARGE",
    "MAX_PIXELS",
    "Acquisition",
    "ImageFile",
    "PlaneIndex",
    "appearing",
    "is_image_folder",
    "luminance",
    "may_crash",
    "open_image",
    "split_suffix",
    "write_image",
    "write_tiff",
]


class Format(NamedTuple):
    """A file format: its suffixes, the module that reads it, the extra that it needs.

    `folder` says that an image of this format is a folder.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    extra: str = ""
    folder: bool = False


FORMATS = (
    Format("TIFF", (".ome.tif", ".ome.tiff", ".tif", ".tiff"), "cellqa.io.tiff"),
    Format("PNG, JPEG, BMP", (".png", ".jpg", ".jpeg", ".bmp"), "cellqa.io.raster"),
    Format("CZI", (".czi",), "cellqa.io.czi", "czi"),
    Format("ND2", (".nd2",), "cellqa.io.nd2", "nd2"),
    Format("OME-Zarr", (".ome.zarr", ".zarr"), "cellqa.io.zarr", "zarr", True),
)
_BY_SUFFIX = {suffix: known for known in FORMATS for suffix in known.suffixes}


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
    for suffix in sorted(_BY_SUFFIX, key=len, reverse=True):
        if lower.endswith(suffix) and len(lower) > len(suffix):
            return name[: -len(suffix)], name[-len(suffix) :]
    return name, ""


def may_crash(name: str) -> bool:
    """Whether the format's reader is a C library that a damaged file can bring down."""
    found = _BY_SUFFIX.get(split_suffix(name)[1].lower())
    return found is not None and bool(found.extra)


def is_image_folder(name: str) -> bool:
    """Whether a folder of this name is an image (OME-Zarr)."""
    found = _BY_SUFFIX.get(split_suffix(name)[1].lower())
    return found is not None and found.folder


def open_image(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> ImageFile:
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
    found = _BY_SUFFIX.get(split_suffix(path.name)[1].lower())
    if found is None:
        known = ", ".join(f.name for f in FORMATS)
        raise ImageError(f"{path.name}: not an image format that can be read ({known})")
    try:
        module = importlib.import_module(found.module)
    except ModuleNotFoundError as error:
        if not found.extra:
            raise
        raise MissingExtraError(
            f"{path.name}: reading {found.name} needs {error.name}; "
            f"install it with: pip install 'cellqa[{found.extra}]'"
        ) from None
    try:
        status = path.stat()
        if not (stat.S_ISDIR if found.folder else stat.S_ISREG)(status.st_mode):
            kind = "a folder" if found.folder else "a regular file"
            raise ImageError(f"{path.name}: {found.name} images are {kind}, this is not")
        if not found.folder and status.st_size == 0:
            raise ImageError(f"{path.name}: the file is empty (0 bytes)")
        file: ImageFile = module.open_file(path, max_pixels)
    except CellqaError as error:
        text = str(error)
        raise type(error)(text if text.startswith(path.name) else f"{path.name}: {text}") from None
    except OSError as error:
        raise ImageError(f"{path.name}: {error.strerror or first_line(error)}") from None
    except Exception as error:  # a hostile file can bring any error up in a library
        raise ImageError(
            f"{path.name}: not a readable {found.name} file ({first_line(error)})"
        ) from None
    return file


def write_image(
    path: Path, planes: Iterable[Array], like: ImageFile, note: str, dtype: np.dtype[Any]
) -> Path:
    """Write planes under a name like the source's: same format, bit depth, pixel size and axes.

    CZI and ND2 are not written: they become OME-TIFF. The file appears under its name only when it
    is complete.

    Parameters
    ----------
    path : Path
        Where to; its suffix must be one of PNG, JPEG, BMP, TIFF or Zarr.
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
        The format cannot hold the pixels.
    OSError
        The folder cannot be written.
    """
    suffix = split_suffix(path.name)[1]
    with appearing(path, suffix) as temporary:
        if suffix.lower() in _BY_SUFFIX and _BY_SUFFIX[suffix.lower()].module == "cellqa.io.tiff":
            from cellqa.io import tiff_write

            tiff_write.write_file(temporary, planes, like, note, dtype)
        elif is_image_folder(path.name):
            try:
                from cellqa.io import zarr_write
            except ModuleNotFoundError as error:
                raise MissingExtraError(
                    f"{path.name}: writing OME-Zarr needs {error.name}; "
                    "install it with: pip install 'cellqa[zarr]'"
                ) from None
            zarr_write.write_folder(temporary, planes, like, note, dtype)
        else:
            from cellqa.io import raster

            (plane,) = regrouped(iter(planes), like.shape[0], like.shape[0])
            raster.write_file(temporary, plane, like.path, note)
    return path


def write_tiff(path: Path, pixels: Array, pixel_size: float | None, note: str = "") -> Path:
    """Write one plane as TIFF, compressed without loss; it appears when it is complete.

    Parameters
    ----------
    path : Path
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

    with appearing(path, ".tif") as temporary:
        tiff_write.write_plane(temporary, pixels, pixel_size, note)
    return path


@contextmanager
def appearing(path: Path, suffix: str) -> Iterator[Path]:
    """A file that appears under its name when it is complete; an earlier one stays whole till then.

    Yields the name to write to, of that suffix and in the same folder. Images that are folders
    appear alike.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    if is_image_folder(path.name):
        with tempfile.TemporaryDirectory(prefix=".cellqa-", dir=path.parent) as place:
            folder = Path(place) / path.name
            yield folder
            if path.exists():
                path.replace(Path(place) / "earlier")
            folder.replace(path)
        return
    handle, name = tempfile.mkstemp(prefix=".cellqa-", suffix=suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's files are for their owner only
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
