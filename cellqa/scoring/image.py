"""Scoring one image: its files in, its rows out. The reference is decoded once for all methods."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cellqa.errors import CellqaError, ImageError, first_line
from cellqa.io import COLOURS, ImageFile, PlaneIndex, carriers, grey, open_image
from cellqa.io.stores import state
from cellqa.pairs.pairing import Image, of_one_colour
from cellqa.pairs.roles import LABELS, Role, is_scored, of_labels
from cellqa.planes import Array
from cellqa.planes.labels import Mask
from cellqa.planes.plane import Plane
from cellqa.scoring.maps import save_maps
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.plane import Scorer
from cellqa.tables.rows import Row, failed


@dataclass(frozen=True)
class Opened:
    """What a role or method has of an image, or of one plane of it; or why it has nothing.

    Attributes
    ----------
    role : str
        A method's name, or a role.
    file : ImageFile or None
    index : PlaneIndex or None
        Of the plane; None where the file has no such plane.
    plane : Plane or None
        Once it is loaded.
    colour : int or None
        Which of red, green and blue counts; None for the one picture that they show, or their
        luminance.
    note : str
        What was made of colours.
    order : str
        What to say of the order of its planes, where others have other axes.
    problem : str
        Why there is no file, or no plane; empty where there is.
    """

    role: str
    file: ImageFile | None = None
    index: PlaneIndex | None = None
    plane: Plane | None = None
    colour: int | None = None
    note: str = ""
    order: str = ""
    problem: str = ""

    def loaded(self) -> Opened:
        """With its plane, or with why that cannot be had."""
        if self.problem or self.plane is not None or self.file is None:
            return self
        name = self.file.path.name
        if self.index is None:
            return replace(self, problem=f"{name}: this plane is not in the file")
        try:
            pixels = self.file.load(self.index)
            plane = Plane.with_gaps(grey(pixels, self.colour), "image")
        except CellqaError as error:
            return replace(self, problem=str(error))
        except (ValueError, TypeError) as error:
            return replace(self, problem=f"{name}: {error}")
        return replace(self, plane=replace(plane, dtype=pixels.dtype), **self._coloured(pixels))

    def _coloured(self, pixels: Array) -> dict[str, Any]:
        """Which colour counts, and what to say of it."""
        if pixels.ndim == 2 or pixels.shape[2] < 3 or self.colour is not None:
            return {}
        there = carriers(pixels)
        if not there:
            return {"note": "colour: the luminance (ITU-R 601) was scored; see --colour"}
        if len(there) == 3:
            return {}  # grey, written as colour
        names = " and ".join(COLOURS[k] for k in there)
        return {"colour": there[0], "note": f"colour: a picture in {names} alone: it was scored"}

    @property
    def in_colour(self) -> bool:
        """Whether its pixels are red, green and blue."""
        return self.file is not None and len(self.file.shape) == 3 and self.file.shape[2] >= 3

    @property
    def pixel_size(self) -> float | None:
        """In micrometres, as the file says."""
        return self.file.size_of(self._place)[0] if self.file else None

    @property
    def _place(self) -> PlaneIndex:
        """Of the plane; the file's first where it lacks this one."""
        assert self.file is not None
        return self.index or self.file.planes[0]

    def sized(self, leader: Opened, options: ScoreOptions) -> tuple[float | None, list[str]]:
        """The pixel size that counts, and what to know of it.

        That of the leading image, so that all are measured alike; a raw image of fewer pixels
        (`scale`) has larger ones.
        """
        own, notes = self.pixel_size, []
        scale = options.scale if self.role == Role.RAW else 1
        theirs = leader.pixel_size
        if leader.role == Role.RAW and theirs:
            theirs /= options.scale
        size = options.pixel_size or theirs
        size = size * scale if size else own
        if own and size and not options.pixel_size and not math.isclose(own, size, rel_tol=0.01):
            notes.append(
                f"{self.role} states another pixel size than {scale} times that of its ground "
                "truth, which counts"
                if scale > 1
                else f"{self.role} states another pixel size than its ground truth, which counts"
            )
        stretched = self.file.stretched(self._place) if self.file else ""
        if stretched and not options.pixel_size:
            notes.append(f"{self.role}: {stretched}: lengths are in units of X")
        return size, notes


def score_image(
    image: Image,
    *,
    folders: Mapping[str, Path],
    options: ScoreOptions,
    value_range: tuple[float, float] | None = None,
) -> tuple[dict[str, list[list[int]]], list[Row]]:
    """Score every method's file of one image, plane by plane. Never raises for a bad file.

    Returns the states of the files as they were before, and the rows. A file that changes while
    it is read fails.
    """
    before = file_states(image, folders)
    rows = _score_files(image, folders, options, value_range)
    after = file_states(image, folders)
    changed = {method for method in before if before[method] != after[method]}
    if not changed:
        return before, rows
    reason = "changed while it was read"
    if Role.REFERENCE in changed:
        return before, [failed(image.name, m, f"ground truth: {reason}") for m in image.methods]
    return before, [
        failed(r.image, r.method, reason) if r.method in changed and r.status == "ok" else r
        for r in rows
    ]


def file_states(image: Image, folders: Mapping[str, Path]) -> dict[str, list[list[int]]]:
    """State of each file of an image, by role or method; see `cellqa.disk.state`."""
    return {
        method: [state(folders[method] / name) for name in names]
        for method, names in image.files.items()
    }


def _score_files(
    image: Image,
    folders: Mapping[str, Path],
    options: ScoreOptions,
    value_range: tuple[float, float] | None,
) -> list[Row]:
    with _opened(image, folders, image.files, options.max_pixels) as every:
        opened = {role: every[role] for role in image.methods}
        leader = _leader(opened.values())
        reference = opened.get(Role.REFERENCE)
        if leader is None or (reference is not None and reference.problem):
            return [failed(image.name, m, _why(opened, m)) for m in image.methods]
        rows: list[Row] = []
        for name, planes in _planes(image.name, opened, leader, options.colour == "channels"):
            masks = {
                role: _mask(role, every.get(role), planes, leader)
                for role in folders
                if not is_scored(role)
            }
            if Role.RAW in folders and Role.RAW not in planes:
                planes[Role.RAW] = Opened(Role.RAW, problem="there is none of this name")
            rows += _score_plane(name, planes, image.methods, leader, masks, options, value_range)
        return rows


def _score_plane(
    name: str,
    planes: dict[str, Opened],
    methods: Sequence[str],
    leader: ImageFile,
    masks: Mapping[str, Mask],
    options: ScoreOptions,
    value_range: tuple[float, float] | None,
) -> list[Row]:
    """The rows of one plane: reference and raw image are loaded first, then method by method."""
    for role in {Role.REFERENCE, Role.RAW} & planes.keys():
        planes[role] = planes[role].loaded()
    reference, raw = planes.get(Role.REFERENCE), planes.get(Role.RAW)
    if reference is not None and reference.colour is not None:
        # what is compared with it is of the same colour
        same = {role: replace(p, colour=reference.colour) for role, p in planes.items()}
        planes |= {r: p for r, p in same.items() if planes[r].plane is None and p.in_colour}
    first = next(each for each in planes.values() if each.file is leader)
    if reference is not None and reference.problem:
        reason = f"ground truth: {reference.problem}"
        return [
            failed(name, method, reference.problem if method == Role.REFERENCE else reason)
            for method in methods
        ]
    valid = masks.get(Role.VALID)
    try:
        if valid is not None and valid.labels is None:
            raise ImageError(f"--valid: {valid.missing}")
        scorer = Scorer(
            reference.plane if reference else None,
            options,
            value_range,
            raw=raw.plane if raw else None,
            mask=masks.get(Role.MASK),
            no_raw=raw.problem if raw else "",
            valid=valid.labels.labels if valid and valid.labels else None,
            labels=of_labels(masks),
        )
    except (CellqaError, ArithmeticError) as error:
        return [failed(name, method, first_line(error)) for method in methods]
    return [_score_method(name, planes[m], first, scorer) for m in methods]


def _score_method(name: str, opened: Opened, leader: Opened, scorer: Scorer) -> Row:
    method, options = opened.role, scorer.options
    try:
        size, notes = opened.sized(leader, options)
        if opened.file and opened.index and not opened.problem:
            scorer.check_shape(method, opened.file.shape_of(opened.index)[:2])
        opened = opened.loaded()
        notes += filter(None, [opened.note, opened.order])
        if opened.plane is None:
            raise ImageError(opened.problem)
        scored = scorer.score(name, method, opened.plane, size, notes)
        if options.maps is not None:
            # the input's maps have the ground truth's pixels, too
            finer = size / options.scale if size and method == Role.RAW else size
            save_maps(Path(options.maps), method, name, scored.maps(), finer, options.scale)
    except CellqaError as error:
        return failed(name, method, str(error))
    except ArithmeticError as error:  # of values beyond what can be squared, say
        return failed(name, method, f"cannot be computed: {first_line(error)}")
    return scored.row


def _leader(opened: Iterable[Opened]) -> ImageFile | None:
    """The file whose planes name those of the others: the reference's, else the first there is."""
    files = {each.role: each.file for each in opened if each.file}
    return files.get(Role.REFERENCE, next(iter(files.values()), None))


def _planes(
    image: str, opened: Mapping[str, Opened], leader: ImageFile, by_colour: bool
) -> Iterator[tuple[str, dict[str, Opened]]]:
    """Each plane's name, and what each role and method has of it.

    Planes belong together by their index; files with as many planes but other axes (a plain
    stack beside a time series) by order. A plane that one file has is a plane for all.
    """
    places: dict[str, dict[PlaneIndex, PlaneIndex]] = {}
    orders = dict.fromkeys(opened, "")
    for role, each in opened.items():
        planes = each.file.planes if each.file else ()
        alike = len(planes) == len(leader.planes)
        if alike and planes != leader.planes and max(_axes(planes), _axes(leader.planes)) > 1:
            orders[role] = (
                f"{role} has other axes than what it is compared with: planes were paired in the "
                "order of times, channels, focus, which need not be that of its pages (ImageJ's "
                "begins with channels); save it with its axes"
            )
        places[role] = dict(zip(leader.planes if alike else planes, planes, strict=True))
    every = sorted({index for of_role in places.values() for index in of_role})
    scenes = every[-1].s > 0
    for index in every:
        name = f"{image}#{index.label(scenes)}" if len(every) > 1 else image
        there = {
            role: replace(o, index=places[role].get(index), order=orders[role])
            for role, o in opened.items()
        }
        if not by_colour or not any(o.in_colour for o in there.values()):
            yield name, there
            continue
        for k, colour in enumerate(COLOURS):
            parts = {r: replace(o, colour=k if o.in_colour else None) for r, o in there.items()}
            yield f"{name}#{colour}", parts


def _axes(planes: Sequence[PlaneIndex]) -> int:
    """Along how many axes planes differ."""
    return sum(len(set(places)) > 1 for places in zip(*planes, strict=True))


@contextmanager
def _opened(
    image: Image, folders: Mapping[str, Path], roles: Iterable[str], max_pixels: int
) -> Iterator[dict[str, Opened]]:
    """What each role and method has of an image."""
    with ExitStack() as stack:
        opened = {}
        for role in roles:
            opened[role] = each = _open(role, folders[role], image.files[role], max_pixels)
            if each.file:
                stack.enter_context(each.file)
        yield opened


def _open(role: str, folder: Path, names: Sequence[str], max_pixels: int) -> Opened:
    """The open file, or why there is none."""
    if len(names) > 1:
        both = " and ".join(names)
        return Opened(role, problem=f"ambiguous name: {both} differ only in their suffix")
    try:
        return Opened(role, open_image(folder / names[0], max_pixels))
    except CellqaError as error:
        return Opened(role, problem=str(error))


def _why(opened: Mapping[str, Opened], method: str) -> str:
    """Why nothing of a method can be scored."""
    return opened[method].problem or f"ground truth: {opened[Role.REFERENCE].problem}"


def _mask(role: str, mask: Opened | None, planes: Mapping[str, Opened], leader: ImageFile) -> Mask:
    """The mask of a plane: the plane of the same place, or a single one for all; or why not."""
    if mask is None:
        what = "are no labels" if role.startswith(LABELS) else f"is no --{role}"
        return Mask(None, f"there {what} of this name")
    if mask.file is None:
        return Mask(None, mask.problem)
    file = mask.file
    of_leader = (p.index for p in planes.values() if p.file is leader and p.index is not None)
    place = next(of_leader)
    if len(file.planes) == 1:
        place = file.planes[0]
    elif place not in file.planes:
        order = leader.planes.index(place) if len(file.planes) == len(leader.planes) else None
        if order is None:
            return Mask(None, f"{file.path.name}: this plane is not in the mask")
        place = file.planes[order]
    try:
        pixels = file.load(place)
        # of where there is a picture, every value but 0 says the same
        valid = role == Role.VALID
        return Mask.of(grey(pixels) != 0 if valid else pixels, labels=role.startswith(LABELS))
    except CellqaError as error:
        return Mask(None, str(error))


def planes_of(
    image: Image, *, folders: Mapping[str, Path], max_pixels: int, by_colour: bool
) -> Iterator[tuple[str, dict[str, Plane], Array | None]]:
    """Each row's name, its planes by role, and where they are valid, if that was given.

    Planes that cannot be read are absent.
    """
    roles = [role for role in image.files if is_scored(role) or role == Role.VALID]
    with _opened(image, folders, roles, max_pixels) as every:
        opened = {role: every[role] for role in image.methods}
        leader = _leader(opened.values())
        if leader is None:
            return
        for name, planes in _planes(image.name, opened, leader, by_colour):
            valid = None
            if Role.VALID in every:
                mask = _mask(Role.VALID, every[Role.VALID], planes, leader)
                valid = mask.labels.labels if mask.labels else None
            yield name, _all_loaded(planes), valid


def load_plane(
    image: Image, name: str, *, folders: Mapping[str, Path], max_pixels: int
) -> dict[str, Plane]:
    """The planes of one row's name, by role; those that cannot be read are absent."""
    with _opened(image, folders, image.methods, max_pixels) as opened:
        leader = _leader(opened.values())
        if leader is None:
            return {}
        for plane, planes in _planes(image.name, opened, leader, of_one_colour(name)):
            if plane == name:
                return _all_loaded(planes)
    return {}


def _all_loaded(planes: Mapping[str, Opened]) -> dict[str, Plane]:
    loaded = (each.loaded() for each in planes.values())
    return {each.role: each.plane for each in loaded if each.plane is not None}
