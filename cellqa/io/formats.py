"""The table of formats, and what follows from a name: which format it is, and what it becomes."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from cellqa.disk import StrPath
from cellqa.errors import ImageError
from cellqa.plugins import Registry, instance_of
from cellqa.shown import one_line


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
        Module with `write_file(path, blocks, like, note, dtype)`, and `keeps(path, like, dtype)`,
        which says what of `cellqa.io.acquisition.FACTS` is kept; empty where it is not written.
    extra : str
        Of cellqa, that installs what it needs; empty for none.
    packages : tuple of str
        What the extra installs, for the versions in run.json.
    becomes : str
        Suffix of what an image that is not written in this format is written as.
    folder : bool
        An image is a folder.
    store : bool
        It may hold several images, each with a path inside: the fields of a plate.
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
    becomes: str = ".ome.tif"
    folder: bool = False
    store: bool = False
    several: bool = True
    may_crash: bool = False

    __repr__ = one_line


def _wrong(entry: Any) -> str:
    if problem := instance_of(Format)(entry):
        return problem
    others = ((suffix, known.name) for known in FORMATS.values() for suffix in known.suffixes)
    taken = next(
        (f"{suffix} is read as {name}" for suffix, name in others if suffix in entry.suffixes), ""
    )
    return f"{entry.name}: {taken} already" if taken else ""


_KNOWN = (
    Format(
        "TIFF",
        (".ome.tif", ".ome.tiff", ".tif", ".tiff"),
        "cellqa.io.tiff",
        "cellqa.io.tiff_write",
    ),
    Format(
        "BigTIFF",
        (".ome.btf", ".btf", ".tf8", ".tf2"),
        "cellqa.io.tiff",
        "cellqa.io.tiff_write",
    ),
    Format("LSM, STK", (".lsm", ".stk"), "cellqa.io.tiff"),
    Format(
        "PNG, JPEG, BMP",
        (".png", ".jpg", ".jpeg", ".bmp"),
        "cellqa.io.raster",
        "cellqa.io.raster",
        several=False,
    ),
    Format("NumPy", (".npy",), "cellqa.io.npy", "cellqa.io.npy"),
    Format("NumPy archive", (".npz",), "cellqa.io.npy"),
    Format("CZI", (".czi",), "cellqa.io.czi", "", "czi", ("pylibCZIrw",), may_crash=True),
    Format("ND2", (".nd2",), "cellqa.io.nd2", "", "nd2", ("nd2",), may_crash=True),
    Format("LIF", (".lif",), "cellqa.io.lif", "", "lif", ("liffile",)),
    Format("OIB", (".oib",), "cellqa.io.oib", "", "oif", ("oiffile",)),
    Format("Imaris", (".ims",), "cellqa.io.ims", "", "hdf5", ("h5py",), may_crash=True),
    Format("MRC", (".mrc", ".map", ".rec"), "cellqa.io.mrc"),
    Format(
        "OME-Zarr",
        (".ome.zarr", ".zarr"),
        "cellqa.io.zarr",
        "cellqa.io.zarr_write",
        "zarr",
        ("zarr",),
        folder=True,
        store=True,
        may_crash=True,
    ),
    Format(
        "zipped OME-Zarr",
        (".ozx", ".ome.zarr.zip", ".zarr.zip"),
        "cellqa.io.zarr",
        "",
        "zarr",
        ("zarr",),
        becomes=".ome.zarr",
        store=True,
        may_crash=True,
    ),
)


def _chosen(environment: Mapping[str, str], taken: frozenset[str]) -> tuple[Format, ...]:
    """The format of suffixes that the user gives to bioio, as `.vsi,.dv`; those taken stay.

    Examples
    --------
    >>> _chosen({"CELLQA_BIOIO": ".vsi, DV,.tif"}, frozenset({".tif"}))[0].suffixes
    ('.vsi', '.dv')
    """
    words = environment.get("CELLQA_BIOIO", "").lower().replace(",", " ").split()
    suffixes = tuple(dict.fromkeys("." + word.strip(".") for word in words if word.strip(".")))
    free = tuple(suffix for suffix in suffixes if suffix not in taken)
    if not free:
        return ()
    return (Format("BioIO", free, "cellqa.io.bioio", "", "bioio", ("bioio",), may_crash=True),)


FORMATS: Registry[Format] = Registry(
    "cellqa.formats",
    (*_KNOWN, *_chosen(os.environ, frozenset(s for known in _KNOWN for s in known.suffixes))),
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


def format_of(path: StrPath) -> Format | None:
    """Format of a file or folder of this name, or of an image inside a store; None for others.

    Examples
    --------
    >>> format_of("a01.tif").name, format_of("plate.ome.zarr/A/1/0").name
    ('TIFF', 'OME-Zarr')
    """
    own = _by_suffix().get(split_suffix(PurePath(path).name)[1].lower())
    store = None if own else store_of(path)
    return format_of(store[0].name) if store else own


def store_of(path: StrPath) -> tuple[Path, str] | None:
    """The store that a path is, or lies in, and the path inside; None outside of stores.

    Examples
    --------
    >>> root, inside = store_of("data/plate.ome.zarr/A/1/0")
    >>> root.as_posix(), inside
    ('data/plate.ome.zarr', 'A/1/0')
    """
    whole = Path(path)
    for each in (whole, *whole.parents):
        known = _by_suffix().get(split_suffix(each.name)[1].lower())
        if known is not None:
            inside = whole.relative_to(each).as_posix()
            return (each, "" if inside == "." else inside) if known.store else None
    return None


def spoken(path: Path) -> str:
    """What an image is called in messages: its name, and where it lies inside a store.

    Examples
    --------
    >>> spoken(Path("data/a.tif")), spoken(Path("data/plate.zarr/A/1/0"))
    ('a.tif', 'plate.zarr/A/1/0')
    """
    store = None if split_suffix(path.name)[1] else store_of(path)
    return f"{store[0].name}/{store[1]}" if store else path.name


def may_crash(path: StrPath) -> bool:
    """Whether the format's reader is a C library that a damaged file can bring down.

    A name without a suffix is that of an image inside a store.
    """
    known = format_of(path)
    return known is None or known.may_crash


def is_image_folder(name: str) -> bool:
    """Whether a folder of this name is an image, or a store of images (OME-Zarr)."""
    known = _by_suffix().get(split_suffix(name)[1].lower())
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
    """What an image is called when it is written: its own name, or that of another format.

    Examples
    --------
    >>> written_name("a.png"), written_name("b/a.czi"), written_name("plate.ozx/A/1/0")
    ('a.png', 'b/a.ome.tif', 'plate.ome.zarr/A/1/0')
    """
    path = PurePath(name)
    store = store_of(name)
    own = PurePath(store[0]) if store else path
    known = format_of(own.name)
    if known is not None and known.writer:
        return name
    becomes = known.becomes if known else ".ome.tif"
    renamed = own.with_name(f"{split_suffix(own.name)[0]}{becomes}")
    return (renamed / path.relative_to(own)).as_posix()


def written_formats() -> str:
    """Names of the formats that are written, for messages."""
    return ", ".join(known.name for known in FORMATS.values() if known.writer)
