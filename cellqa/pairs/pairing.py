"""Which files belong together: by relative path without suffix, never by position."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cellqa.disk import StrPath
from cellqa.errors import CellqaError, printable
from cellqa.io import FORMATS, images_in, is_image_folder, open_image, split_suffix, store_of
from cellqa.io.stores import is_there, shown, url_of
from cellqa.io.tiff_sets import parts_of_sets
from cellqa.pairs.naming import Affixes, Naming, common_affixes, no_partner, read_table
from cellqa.pairs.roles import GIVEN, LABELS, Role, is_scored
from cellqa.shown import one_line

_PLANE = re.compile(r"(#(?:s(\d+))?t(\d+)c(\d+)z(\d+))?(#(red|green|blue))?$")
_KINDS = 10  # of passed over files that are named
_log = logging.getLogger(__name__)
_NO_IMAGES = (
    ".csv", ".tsv", ".json", ".jsonl", ".txt", ".md", ".log", ".xml", ".html", ".ini", ".toml",
    ".yaml", ".yml", ".py", ".pdf", ".db",
)  # fmt: skip
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
        """The roles that are scored: all but masks and labels."""
        return tuple(filter(is_scored, self.files))


@dataclass(frozen=True)
class Pairing:
    """The images to score and what could not be paired.

    Attributes
    ----------
    folders : dict
        Method to its folder; `gt`, `input`, `mask` and `valid` among them, if given.
    images : tuple of Image
        Sorted by name.
    unpaired : dict
        Method to the files without a partner.
    naming : Naming
        How names became those of images.
    notes : tuple of str
        What was taken off names, and which files were passed over.
    """

    folders: Mapping[str, Path]
    images: tuple[Image, ...]
    unpaired: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    naming: Naming = field(default_factory=Naming)
    notes: tuple[str, ...] = ()
    __repr__ = one_line

    @property
    def methods(self) -> tuple[str, ...]:
        """The roles that are scored: all but masks and labels."""
        return tuple(filter(is_scored, self.folders))


def scan(path: StrPath, role: str) -> Folder:
    """List the images below a folder, or in a store; hidden files and folders are passed over.

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
    if store_of(top) is not None and is_there(top):
        return _scan_store(top, role)
    if not top.exists():
        hint = "; a URL has to be a store's, which ends in .zarr" if url_of(top) else ""
        raise CellqaError(f"{role}: there is no folder {shown(path)}{hint}")
    if not top.is_dir():
        raise CellqaError(f"{role}: {shown(path)} is a file; give the folder that holds it")
    images: dict[str, list[str]] = {}
    others: list[str] = []
    for parent, folders, files in os.walk(top, onerror=_unreadable):
        stores = [name for name in folders if is_image_folder(name)]
        folders[:] = sorted(f for f in folders if f not in stores and not f.startswith("."))
        relative = Path(parent).relative_to(top)
        parts = parts_of_sets(Path(parent), files)
        for name in sorted(files + stores):
            if name.startswith(".") or name in parts:
                continue
            stem, suffix = split_suffix(name)
            inside = (relative / name).as_posix()
            if not suffix:
                others.append(inside)
            elif store_of(name):
                for each in images_in(top / inside):
                    key = (relative / stem / each).as_posix()
                    images.setdefault(key, []).append((relative / name / each).as_posix())
            else:
                images.setdefault((relative / stem).as_posix(), []).append(inside)
    if not images:
        known = ", ".join(FORMATS)
        raise CellqaError(f"{role}: no images in {shown(path)} (known formats: {known})")
    return Folder(top, {k: tuple(v) for k, v in images.items()}, tuple(others))


def _scan_store(top: Path, role: str) -> Folder:
    """The images inside a store, by their paths there."""
    inside = images_in(top)
    if inside == ("",):
        with open_image(top):  # which says what is wrong with a store that cannot be read
            pass
        raise CellqaError(f"{role}: {shown(top)} is an image; give the folder that holds it")
    return Folder(top, {name: (name,) for name in inside})


def list_images(path: StrPath, role: str) -> Folder:
    """As `scan`, and the log tells which files are passed over."""
    folder = scan(path, role)
    if line := passed_over(folder.others, role):
        _log.warning(line)
    return folder


def pair_folders(
    pred: Mapping[str, StrPath],
    *,
    reference: StrPath | None = None,
    raw: StrPath | None = None,
    mask: StrPath | None = None,
    valid: StrPath | None = None,
    labels: Mapping[str, StrPath] | None = None,
    naming: Naming | None = None,
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
    labels : dict, optional
        Method, or `gt`, to the folder of the labels of its objects.
    naming : Naming, optional
        What names have beside the image's. By default, affixes are found.

    Raises
    ------
    CellqaError
        A folder is missing or empty, or shares no name with the ground truth.
    """
    folders: dict[str, Folder] = {}
    if raw is not None:
        folders[Role.RAW] = scan(raw, Role.RAW.option)
    for name, path in pred.items():
        if name in GIVEN or not name or name.startswith(LABELS):
            raise CellqaError(f"a method cannot be called {name!r}; give another as NAME=DIR")
        folders[name] = scan(path, "--pred")
    for role, place in ((Role.REFERENCE, reference), (Role.MASK, mask), (Role.VALID, valid)):
        if place is not None:
            folders[role] = scan(place, role.option)
    for name, path in (labels or {}).items():
        if name not in folders or not is_scored(name):
            raise CellqaError(f"labels of {name!r}: there is no such method")
        folders[f"{LABELS}{name}"] = scan(path, f"--objects {LABELS}{name}")
    return pair(folders, naming)


def _unreadable(error: OSError) -> None:
    raise CellqaError(f"{error.filename}: the folder cannot be read ({error.strerror})")


def pair(methods: Mapping[str, Folder], naming: Naming | None = None) -> Pairing:
    """Pair folders by name.

    With a folder `gt`, images are those that the ground truth and at least one other folder have;
    without, those that any folder has. A folder that has no name in common with the ground truth
    (else the input, else the first) is paired by what all its names have beside the image's, if
    that leaves one partner to each.

    Raises
    ------
    CellqaError
        A folder shares no name with the ground truth, or `naming` does not fit.

    Examples
    --------
    >>> gt = Folder(Path("gt"), {"a": ("a.tif",), "b": ("b.tif",)})
    >>> net = Folder(Path("net"), {"a_out": ("a_out.png",)})
    >>> paired = pair({"net": net, "gt": gt})
    >>> paired.images[0].files, paired.unpaired
    ({'net': ('a_out.png',), 'gt': ('a.tif',)}, {'gt': ('b.tif',)})
    >>> paired.notes
    ("paired by taking '_out' off the names of net",)
    """
    naming = naming or Naming()
    named, left_out = _named(methods, naming)
    notes = [line for name, folder in methods.items() if (line := passed_over(folder.others, name))]
    notes += [] if naming else _without_affixes(named)
    reference = named.get(Role.REFERENCE)
    unpaired = {name: list(files) for name, files in left_out.items()}
    stems = {
        stem: None
        for name, images in named.items()
        if name != Role.REFERENCE and is_scored(name)
        for stem in images
    }
    if reference is not None:
        for name, own in named.items():
            if name != Role.REFERENCE and reference.keys().isdisjoint(own):
                raise CellqaError(_nothing_in_common(methods, named, name))
            there = stems if name == Role.REFERENCE else reference
            unpaired.setdefault(name, []).extend(
                f[0] for stem, f in own.items() if stem not in there
            )
        stems = {stem: None for stem in stems if stem in reference}
    images = []
    for stem in sorted(stems):
        files = {n: own[stem] for n, own in named.items() if stem in own}
        owner = next(name for name in (Role.REFERENCE, *named) if name in files)
        images.append(Image(printable(files[owner][0]), files))
        for name in named:
            if name not in files:
                unpaired.setdefault(name, []).append(f"{stem} (missing)")
    images.sort(key=lambda image: image.name)
    return Pairing(
        {n: f.path for n, f in methods.items()},
        tuple(images),
        {name: tuple(files) for name, files in unpaired.items() if files},
        naming,
        tuple(notes),
    )


_Named = dict[str, dict[str, tuple[str, ...]]]


def _named(
    methods: Mapping[str, Folder], naming: Naming
) -> tuple[_Named, dict[str, tuple[str, ...]]]:
    """Role to name to files, and the files that have no name."""
    if naming.table:
        return _by_table(methods, Path(naming.table))
    named: _Named = {}
    left_out = {}
    for role, folder in methods.items():
        own: dict[str, tuple[str, ...]] = {}
        lost: list[str] = []
        for stem, files in folder.images.items():
            key = naming.key(role, stem)
            if key is None:
                lost += files
            else:
                own[key] = (*own.get(key, ()), *files)
        if not own:
            raise CellqaError(
                f"--match: none of {len(lost)} names of {folder.path} ({role}) fits, "
                f"{printable(lost[0])!r} for example"
            )
        named[role] = own
        left_out[role] = tuple(lost)
    return named, left_out


def _by_table(
    methods: Mapping[str, Folder], table: Path
) -> tuple[_Named, dict[str, tuple[str, ...]]]:
    """By rows, which are numbered; files that no row names are left out."""
    named: _Named = {role: {} for role in methods}
    for number, row in enumerate(read_table(table, {r: f.path for r, f in methods.items()})):
        for role, file in row.items():
            named[role][f"{number:08d}"] = (file,)
    left_out = {}
    for role, folder in methods.items():
        used = {files[0] for files in named[role].values()}
        left_out[role] = tuple(f for fs in folder.images.values() for f in fs if f not in used)
    return named, left_out


def _without_affixes(named: _Named) -> list[str]:
    """Take common affixes off the names of folders that share none; what was done, a line each."""
    order = (Role.REFERENCE, Role.RAW, *named)
    anchor = next((role for role in order if role in named), "")
    notes = []
    for role, own in named.items():
        if role == anchor or not named[anchor].keys().isdisjoint(own):
            continue
        found = common_affixes(own.keys(), named[anchor].keys())
        if found is None:
            continue
        ours, theirs = found
        named[role] = {_renamed(stem, ours, theirs): files for stem, files in own.items()}
        off = [
            f"{taken} off the names of {name}"
            for taken, name in zip(found, (role, anchor), strict=True)
            if taken
        ]
        notes.append(f"paired by taking {', and '.join(off)}")
    return notes


def _renamed(stem: str, ours: Affixes, theirs: Affixes) -> str:
    return theirs.before + ours.core(stem) + theirs.after


def _nothing_in_common(methods: Mapping[str, Folder], named: _Named, name: str) -> str:
    paths = f"{methods[name].path} ({name}) and {methods[Role.REFERENCE].path} (gt)"
    why = no_partner(named[name].keys(), named[Role.REFERENCE].keys())
    return f"{paths} have no image name in common: {why}"


def passed_over(others: Sequence[str], where: str) -> str:
    """A line on files that are no images of a format that is read, by suffix; "" if none matter."""
    kinds = Counter(PurePosixPath(name).suffix.lower() or "without suffix" for name in others)
    kinds -= Counter({kind: kinds[kind] for kind in _NO_IMAGES})
    if not kinds:
        return ""
    shown = ", ".join(f"{n} {printable(kind)}" for kind, n in kinds.most_common(_KINDS))
    more = f" and {len(kinds) - _KINDS} kinds more" if len(kinds) > _KINDS else ""
    return f"{where}: {shown}{more}: not read here, see `cellqa plugins` for the formats that are"
