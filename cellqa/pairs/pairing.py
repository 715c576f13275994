"""Which files belong together: by relative path without suffix, never by position."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cellqa.disk import StrPath
from cellqa.errors import CellqaError, printable
from cellqa.io import FORMATS, is_image_folder, split_suffix
from cellqa.pairs.roles import GIVEN, UNSCORED, Role

_PLANE = re.compile(r"(#(?:s(\d+))?t(\d+)c(\d+)z(\d+))?(#(red|green|blue))?$")
AXES = ("scene", "time", "channel", "focus", "colour")


def without_plane(name: str) -> str:
    """Name of the image that a row's name is of.

    Examples
    --------
    >>> without_plane("a#1.tif#t0c1z3"), without_plane("a#1.tif#red"), without_plane("a#1.tif")
    ('a#1.tif', 'a#1.tif', 'a#1.tif')
    """
    return _PLANE.sub("", name)


def of_one_colour(name: str) -> bool:
    """Whether a row's name is of one colour of a picture (`--colour channels`)."""
    match = _PLANE.search(name)
    return match is not None and match[7] is not None


def place_of(name: str) -> tuple[str, ...]:
    """Where a row's plane lies in its file, along each of `AXES`; empty where there is one.

    Examples
    --------
    >>> place_of("a.tif#t0c1z3"), place_of("a.tif#red"), place_of("a.tif")
    (('', '0', '1', '3', ''), ('', '', '', '', 'red'), ('', '', '', '', ''))
    """
    match = _PLANE.search(name)
    assert match is not None  # it may match nothing at the end
    scene, time, channel, focus, colour = (match[k] or "" for k in (2, 3, 4, 5, 7))
    return scene, time, channel, focus, colour


@dataclass(frozen=True)
class Folder:
    """The images of one folder.

    Attributes
    ----------
    path : Path
    images : dict
        Relative path without suffix, with `/`, to the relative paths of the files that have it;
        more than one makes the name ambiguous.
    others : tuple of str
        Files of no known image format.
    """

    path: Path
    images: Mapping[str, tuple[str, ...]]
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Image:
    """One image with everything that goes by its name.

    Attributes
    ----------
    name : str
        The relative path, with suffix, of the ground truth, else of the first method that has it;
        control characters and bytes that are not UTF-8 as escapes.
    files : dict
        Method to the relative paths of its files (one, unless the name is ambiguous there);
        methods without such a file are absent.
    """

    name: str
    files: Mapping[str, tuple[str, ...]]

    @property
    def methods(self) -> tuple[str, ...]:
        """The roles that are scored: all but the masks."""
        return tuple(role for role in self.files if role not in UNSCORED)


@dataclass(frozen=True)
class Pairing:
    """The images to score and what could not be paired.

    Attributes
    ----------
    folders : dict
        Method to its folder, `gt` and `input` among them; and `mask` and `valid`, which are not
        scored.
    images : tuple of Image
        Sorted by name.
    unpaired : dict
        Method to the files without a partner.
    """

    folders: Mapping[str, Path]
    images: tuple[Image, ...]
    unpaired: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """The roles that are scored: all but the masks."""
        return tuple(role for role in self.folders if role not in UNSCORED)


def scan(path: StrPath, role: str) -> Folder:
    """List the images below a folder; hidden files and folders are passed over.

    Parameters
    ----------
    path : path
    role : str
        What the folder is for, as the user knows it (`--gt`), for messages.

    Raises
    ------
    CellqaError
        The folder does not exist, is a file, or holds no image.
    """
    top = Path(path)
    if not top.exists():
        raise CellqaError(f"{role}: there is no folder {os.fspath(path)!r}")
    if not top.is_dir():
        raise CellqaError(f"{role}: {os.fspath(path)!r} is a file; give the folder that holds it")
    if is_image_folder(top.name):
        raise CellqaError(f"{role}: {os.fspath(path)!r} is an image; give the folder that holds it")
    images: dict[str, list[str]] = {}
    others: list[str] = []
    for parent, folders, files in os.walk(top, onerror=_unreadable):
        stores = [name for name in folders if is_image_folder(name)]
        folders[:] = sorted(f for f in folders if f not in stores and not f.startswith("."))
        relative = Path(parent).relative_to(top)
        for name in sorted(files + stores):
            if name.startswith("."):
                continue
            stem, suffix = split_suffix(name)
            inside = (relative / name).as_posix()
            if suffix:
                images.setdefault((relative / stem).as_posix(), []).append(inside)
            else:
                others.append(inside)
    if not images:
        known = ", ".join(FORMATS)
        raise CellqaError(f"{role}: no images in {os.fspath(path)!r} (known formats: {known})")
    return Folder(top, {k: tuple(v) for k, v in images.items()}, tuple(others))


def pair_folders(
    pred: Mapping[str, StrPath],
    *,
    reference: StrPath | None = None,
    raw: StrPath | None = None,
    mask: StrPath | None = None,
    valid: StrPath | None = None,
) -> Pairing:
    """List the folders and pair their images by name.

    Parameters
    ----------
    pred : dict
        Method name to folder.
    reference, raw : path, optional
        The folders of the ground truth and of the unenhanced images (the method `input`).
    mask, valid : path, optional
        The folders of the masks of the foreground, and of where there is a picture.

    Raises
    ------
    CellqaError
        A folder is missing or empty, or shares no name with the ground truth.
    """
    folders: dict[str, Folder] = {}
    if raw is not None:
        folders[Role.RAW] = scan(raw, Role.RAW.option)
    for name, path in pred.items():
        if name in GIVEN or not name:
            raise CellqaError(f"a method cannot be called {name!r}; give another as NAME=DIR")
        folders[name] = scan(path, "--pred")
    if reference is not None:
        folders[Role.REFERENCE] = scan(reference, Role.REFERENCE.option)
    if mask is not None:
        folders[Role.MASK] = scan(mask, Role.MASK.option)
    if valid is not None:
        folders[Role.VALID] = scan(valid, Role.VALID.option)
    return pair(folders)


def _unreadable(error: OSError) -> None:
    raise CellqaError(f"{error.filename}: the folder cannot be read ({error.strerror})")


def pair(methods: Mapping[str, Folder]) -> Pairing:
    """Pair folders by name.

    With a folder `gt`, images are those that the ground truth and at least one other folder have;
    without, those that any folder has.

    Raises
    ------
    CellqaError
        A folder shares no name with the ground truth.

    Examples
    --------
    >>> gt = Folder(Path("gt"), {"a": ("a.tif",), "b": ("b.tif",)})
    >>> net = Folder(Path("net"), {"a": ("a.png",)})
    >>> paired = pair({"net": net, "gt": gt})
    >>> paired.images[0].files, paired.unpaired
    ({'net': ('a.png',), 'gt': ('a.tif',)}, {'gt': ('b.tif',)})
    """
    reference = methods.get(Role.REFERENCE)
    others = {name: f for name, f in methods.items() if name not in (Role.REFERENCE, *UNSCORED)}
    stems = sorted({stem for folder in others.values() for stem in folder.images})
    unpaired: dict[str, tuple[str, ...]] = {}
    if reference is not None:
        for name, folder in methods.items():
            if name != Role.REFERENCE and reference.images.keys().isdisjoint(folder.images):
                example = next(iter(folder.images.values()))[0]
                raise CellqaError(
                    f"{folder.path} ({name}) and {reference.path} (gt) have no image name in "
                    f"common: {example!r} has no partner, for example; names must match without "
                    "suffix"
                )
            alone = [f[0] for stem, f in folder.images.items() if stem not in reference.images]
            if name != Role.REFERENCE and alone:
                unpaired[name] = tuple(alone)
        lonely = [f[0] for stem, f in reference.images.items() if stem not in set(stems)]
        if lonely:
            unpaired[Role.REFERENCE] = tuple(lonely)
        stems = [stem for stem in stems if stem in reference.images]
    order = sorted(methods, key=lambda name: name != Role.REFERENCE)
    images = []
    for stem in stems:
        files = {n: f.images[stem] for n, f in methods.items() if stem in f.images}
        owner = next(name for name in order if name in files)
        images.append(Image(printable(files[owner][0]), files))
        for name in methods:
            if name not in files:
                unpaired[name] = (*unpaired.get(name, ()), f"{stem} (missing)")
    images.sort(key=lambda image: image.name)
    return Pairing({n: f.path for n, f in methods.items()}, tuple(images), unpaired)
