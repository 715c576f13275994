"""The images inside a store: fields of plates and wells, series of bioformats2raw."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cellqa.errors import ImageError
from cellqa.io.formats import store_of
from cellqa.io.stores import attributes, is_there, names_in

SERIES = "bioformats2raw.layout"
_MOST = 1_000_000  # images that a store may list
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, ImageError)


def holds_images(path: Path) -> bool:
    """Whether a place is a folder of images, or a store of several; not an image itself."""
    if store_of(path) is not None:
        return is_there(path) and images_in(path) != ("",)
    return path.is_dir()


def is_image(path: Path) -> bool:
    """Whether a store is an image itself."""
    try:
        return listed(path) == ("",)
    except _DAMAGED:
        return False


def images_in(path: Path) -> tuple[str, ...]:
    """Paths of the images inside a store, or below a place inside it; one empty path for an image.

    The fields of a plate's wells are `A/1/0`, the series of bioformats2raw `0`, `1` ... What
    cannot be read counts as one image, so that opening it says what is wrong: a damaged plate as
    itself, a damaged well as `A/1`.
    """
    try:
        return listed(path) or ("",)
    except _DAMAGED:
        return ("",)


def listed(path: Path) -> tuple[str, ...]:
    """As `images_in`, but a store that cannot be read is an error.

    Raises
    ------
    OSError, ValueError, KeyError, TypeError, AttributeError, ImageError
        Its metadata are not there, damaged, or list more than a million images.
    """
    about = attributes(path)
    if "plate" in about:
        found: dict[str, None] = {}
        for well in _paths(about["plate"]["wells"]):
            found |= dict.fromkeys(_of_well(path, well))
            _check_number(len(found))
        return tuple(found)
    if "well" in about:
        return _paths(about["well"]["images"])
    if "multiscales" in about:
        return ("",)
    return _series(path) if SERIES in about else ()


def _of_well(path: Path, well: str) -> list[str]:
    """Fields of a well; the well itself where it cannot be read."""
    try:
        fields = attributes(path / well)["well"]["images"]
        return [f"{well}/{name}" for name in _paths(fields)]
    except _DAMAGED:
        return [well]


def _series(path: Path) -> tuple[str, ...]:
    """Images of bioformats2raw: as it lists them, else all numbers up to the last."""
    try:
        names = attributes(path / "OME")["series"]
    except (FileNotFoundError, NotADirectoryError, KeyError):
        names = None
    if isinstance(names, list):
        return _paths(names)
    there = names_in(path)
    if there is None:  # a web server
        return _counted(path)
    numbers = [int(name) for name in there if name.isascii() and name.isdigit() and len(name) < 8]
    return _paths(range(max(numbers, default=-1) + 1))


def _counted(path: Path) -> tuple[str, ...]:
    """Numbers from 0 to the first that is not there."""
    number = 0
    while number < _MOST:
        try:
            attributes(path / str(number))
        except FileNotFoundError:
            break
        number += 1
    return tuple(map(str, range(number)))


def _paths(entries: Iterable[Any]) -> tuple[str, ...]:
    """Paths that metadata list, each once; one that leads elsewhere as a name that is not there."""
    texts = (str(each["path"] if isinstance(each, dict) else each).strip("/") for each in entries)
    found = dict.fromkeys(text if _is_inside(text) else _escaped(text) for text in texts)
    found.pop("", None)
    _check_number(len(found))
    return tuple(found)


def _is_inside(text: str) -> bool:
    plain = text.isprintable() and not set(text) & set("\\:%")
    return plain and not {"", ".", ".."} & set(text.split("/"))


def _escaped(text: str) -> str:
    return quote(text, safe="").replace(".", "%2E")


def _check_number(found: int) -> None:
    if found > _MOST:
        raise ValueError(f"it lists more than {_MOST:,} images")
