"""OME-TIFF sets: planes of one acquisition in several files, which name each other."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from cellqa.disk import leaves
from cellqa.errors import ImageError
from cellqa.io.base import MAX_PLANES
from cellqa.io.ome import elements, parsed

_SUFFIXES = (".ome.tif", ".ome.tiff")
# stated planes from which, and for each page, they are unbelievable
_FEW, _LACKING = 1000, 100
_LARGEST = 2**28  # bytes of a companion file


def parts_of_sets(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Files of a folder whose planes another file has, too, and the name of that one.

    Where an image lies in several files, the file that describes them stands for all: the one that
    the others refer to, or, where each describes all, the first. Other files stand for themselves.
    """
    known = [name for name in names if name.lower().endswith(_SUFFIXES)]
    if len(known) < 2:
        return {}
    there, parts = set(known), {}
    for name in sorted(known):
        if name in parts:
            continue
        text = _description(folder / name)
        if "FileName" not in text or "BinaryOnly" in text or is_apart(text):
            continue
        for other in _named(text):
            if other != name and other in there and other not in parts:
                parts[other] = name
    return parts


@lru_cache(maxsize=256)
def is_apart(text: str) -> bool:
    """Whether each image of a set lies in one file, so that each file is read by itself."""
    root = parsed(text) if "FileName" in text else None
    if root is None:
        return False
    files = [set(_names(image)) for image in elements(root, "Image")]
    return all(len(own) == 1 for own in files) and len(set.union(*files)) > 1


def members(path: Path, text: str) -> set[str]:
    """Names of other files of a set, as a description has them, that are there."""
    return {n for n in _named(text) if n != path.name and (path.parent / n).is_file()}


def check_stated_planes(path: Path, tif: tifffile.TiffFile) -> None:
    """Refuse absurd numbers of planes before tifffile lists them.

    Raises
    ------
    ImageError
        There are more than a million, or a hundred times as many as pages.
    """
    text = (tif.ome_metadata or "") if tif.is_ome else ""
    stated = 0.0
    for pixels in re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", text):
        sizes = re.findall(r"\bSize[ZCT]\s*=\s*[\"'](\d+)[\"']", pixels)
        stated += float(np.prod([float(n) for n in sizes]))
    if stated > MAX_PLANES:
        raise ImageError(f"{path.name}: its metadata state more than {MAX_PLANES} planes")
    # an acquisition that was stopped lacks some; each is told of
    if stated > _FEW and stated > _LACKING * len(tif.pages) * (1 + len(members(path, text))):
        raise ImageError(
            f"{path.name}: damaged, its metadata state {stated:.0f} planes, and it has "
            f"{len(tif.pages)} pages"
        )


def check_members(path: Path, text: str) -> None:
    """Refuse a set that would read what lies elsewhere, or never ends, as a pipe does.

    Raises
    ------
    ImageError
        It names such a file.
    """
    root = parsed(text) if "FileName" in text else None
    named = [] if root is None else elements(root, "UUID")
    for name in dict.fromkeys(each.get("FileName", "") for each in named):
        place = path.parent / name
        if not name or not place.exists():
            continue
        if Path(name).name != name and leaves(place, path.parent):
            raise ImageError(f"{path.name}: its planes are said to lie in another folder, {name!r}")
        if not place.is_file():
            raise ImageError(
                f"{path.name}: its planes are said to lie in {name!r}, which is no file"
            )


def own_series(path: Path, tif: tifffile.TiffFile) -> list[Any]:
    """The series of a file; not those that other files of its set have for themselves."""
    if tif.is_ome:
        check_members(path, tif.ome_metadata or "")
    every = list(tif.series)
    if not tif.is_ome or not is_apart(tif.ome_metadata or ""):
        return every
    return [each for each in every if each.keyframe.parent is tif] or every


def metadata_of(path: Path, text: str) -> str:
    """OME-XML of a file: its own, or what the file that it refers to says of it.

    Empty where that is not there, or does not name the file.
    """
    match = re.search(r"<(?:\w+:)?BinaryOnly\b[^>]*\bMetadataFile=\"([^\"]+)\"", text)
    if match is None:
        return _reduced(text, path.name) if is_apart(text) else text
    place = path.with_name(Path(match[1].replace("\\", "/")).name)
    if place == path or not place.is_file():
        return ""
    status = place.stat()
    return _about(place, path.name, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _about(place: Path, name: str, size: int, changed: int) -> str:
    """What the description of a set says of one of its files."""
    return _reduced(_description(place), name)


def _reduced(text: str, name: str) -> str:
    """OME-XML of the images that lie in a file; empty where there is none."""
    root = parsed(text)
    if root is None:
        return ""
    for image in elements(root, "Image"):
        if name not in _names(image):
            root.remove(image)
    return ElementTree.tostring(root, "unicode") if elements(root, "Image") else ""


def _description(path: Path) -> str:
    """OME-XML in a TIFF file, or in a file of its own; empty where there is none to read."""
    try:
        if not path.name.lower().endswith((".tif", ".tiff")):
            small = path.stat().st_size <= _LARGEST
            return path.read_text(encoding="utf-8", errors="replace") if small else ""
        with tifffile.TiffFile(path) as tif:
            return (tif.ome_metadata or "") if tif.is_ome else ""
    except Exception:  # opening it will say what is wrong
        return ""


def _named(text: str) -> list[str]:
    root = parsed(text)
    return [] if root is None else _names(root)


def _names(root: ElementTree.Element) -> list[str]:
    found = (each.get("FileName", "") for each in elements(root, "UUID"))
    return [name.replace("\\", "/").rpartition("/")[2] for name in found if name]
