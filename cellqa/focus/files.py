"""The sharpest plane of each stack in files and folders."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cellqa.disk import StrPath
from cellqa.engines.local import ordered_map
from cellqa.errors import CellqaError, first_line, printable
from cellqa.focus.vote import Focus, vote
from cellqa.io import PlaneIndex, grey, may_crash, open_image, write_tiff
from cellqa.io.store_images import holds_images
from cellqa.io.stores import is_there
from cellqa.metrics.focus import Sharpness, sharpness
from cellqa.pairs.pairing import list_images
from cellqa.planes.plane import Plane
from cellqa.tables.cells import cell
from cellqa.tables.files import write_csv
from cellqa.terminal import Progress


def measure_files(
    paths: Sequence[StrPath],
    *,
    modality: str = "fluorescence",
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[list[tuple[Focus, list[tuple[Path, PlaneIndex]]]], list[tuple[str, str, str]]]:
    """Find the sharpest plane of each stack: of each scene, time and channel of a file.

    The files of a folder that hold one focus plane each are one stack for each time and channel, in
    order of the positions in their names (z-1.5, z0, z10), else in natural order (a2 before a10);
    folders within it are stacks of their own. A
    folder of stacks is as many as its files hold.

    Returns
    -------
    stacks : list of (Focus, planes)
        With the file and the index of each plane.
    failures : list of (file, plane, reason)
        A plane that cannot be read keeps its place in the stack, without values.

    Raises
    ------
    CellqaError
        A path does not exist, or a folder mixes stacks and planes.
    """
    failures: list[tuple[str, str, str]] = []
    stacks: list[tuple[str, list[tuple[Path, PlaneIndex]]]] = []
    for path in paths:
        stacks += _stacks(Path(path), failures)
    work = [place for _, places in stacks for place in places]
    isolate = any(may_crash(path) for path, _ in work)
    of_planes: list[Any] = []
    for value in ordered_map(_measure_place, work, jobs, on_crash=_crashed, isolate=isolate):
        of_planes.append(value)
        if progress:
            progress(len(of_planes), len(work))
    results = []
    for name, places in stacks:
        values, of_planes = of_planes[: len(places)], of_planes[len(places) :]
        bad = [k for k, value in enumerate(values) if isinstance(value, str)]
        failures += [(str(places[k][0]), places[k][1].label(), values[k]) for k in bad]
        shapes = {value[0] for value in values if not isinstance(value, str)}
        if len(shapes) > 1:
            sizes = ", ".join(" x ".join(map(str, shape)) for shape in sorted(shapes))
            failures.append((name, "stack", f"planes of unequal size ({sizes})"))
        elif len(values) < 3:
            failures.append((name, "stack", f"a focus needs three planes, there are {len(values)}"))
        elif len(bad) < len(values):
            rows = [None if isinstance(value, str) else value[1] for value in values]
            focus = vote(name, _labels(places), rows, modality)
            if not _in_order(places):
                focus = replace(focus, note="; ".join(filter(None, [focus.note, _NO_ORDER])))
            results.append((focus, places))
    return results, failures


def save_planes(
    paths: Sequence[Path], stacks: Sequence[tuple[Focus, Sequence[tuple[Path, PlaneIndex]]]]
) -> list[Path]:
    """Save the sharpest plane of each stack as TIFF, in its own type and with its pixel size.

    A stack without a sharpest plane gets no file.
    """
    written = []
    for target, (focus, places) in zip(paths, stacks, strict=True):
        if focus.best is None:
            continue
        source, index = places[focus.best]
        note = f"sharpest plane of {focus.name}: {focus.planes[focus.best]} (cellqa)"
        with open_image(source) as file:
            pixels, size = file.load(index), file.size_of(index)[0]
        note = note.encode("ascii", "backslashreplace").decode()
        written.append(write_tiff(target, pixels, size, note))
    return written


def focus_rows(focus: Focus) -> list[list[str]]:
    """Each plane's value of every measure, a star at the measure's vote, an arrow at the best."""
    rows = [["", "plane", *focus.values]]
    for k, plane in enumerate(focus.planes):
        cells = []
        for measure, curve in focus.values.items():
            voted = measure in focus.votes and round(focus.votes[measure]) == k
            value = "-" if math.isnan(curve[k]) else f"{curve[k]:.4g}"
            cells.append(value + ("*" if voted else " "))
        rows.append([">" if k == focus.best else " ", plane, *cells])
    return rows


def write_focus(path: Path, foci: Sequence[Focus]) -> Path:
    """Write the values of every measure: a line for each stack and plane."""
    header = ["stack", "plane", *foci[0].values, "sharpest", "position"]
    lines = (
        [
            focus.name,
            plane,
            *(cell(float(curve[k])) for curve in focus.values.values()),
            str(int(k == focus.best)),
            cell(focus.position),
        ]
        for focus in foci
        for k, plane in enumerate(focus.planes)
    )
    return write_csv(path, header, lines)


_NO_ORDER = "the names hold no position: the planes were taken in alphabetical order"
_POSITION = re.compile(r"(?i)(?<![a-z])z[_=]?([-+]?)(\d+(?:\.\d+)?)")


def _by_position(names: Sequence[str]) -> list[str]:
    """Names of each folder in the order of their positions, where all have one; else natural.

    A hyphen is a minus where some of the names have none, or a position has a fraction: otherwise
    it stands between z and its number (z-01, z-02).
    """
    folders: dict[str, list[str]] = {}
    for name in sorted(names, key=_natural):
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    return [name for each in folders.values() for name in _ordered(each)]


def _ordered(names: list[str]) -> list[str]:
    found = [_POSITION.search(name.rpartition("/")[2]) for name in names]
    if not all(found):
        return names
    parts = [(match[1], match[2]) for match in found if match]
    signed = not all(sign == "-" for sign, _ in parts) or any("." in number for _, number in parts)
    places = [float(number) * (-1 if signed and sign == "-" else 1) for sign, number in parts]
    if len(set(places)) < len(places):
        return names  # z is not what tells them apart
    return [name for _, name in sorted(zip(places, names, strict=True))]


def _in_order(places: Sequence[tuple[Path, PlaneIndex]]) -> bool:
    """Whether the planes of a stack have an order: of a file, or by numbers in their names."""
    files = {path for path, _ in places}
    return len(files) == 1 or all(re.search(r"\d", path.name.partition(".")[0]) for path in files)


_Stack = tuple[str, list[tuple[Path, PlaneIndex]]]


def _stacks(path: Path, failures: list[tuple[str, str, str]]) -> Iterator[_Stack]:
    """Name and planes of each stack at a path."""
    if not is_there(path):
        raise CellqaError(f"STACK: {str(path)!r} does not exist")
    if not holds_images(path):
        yield from _stacks_of_file(path, failures)
        return
    folder = list_images(path, "STACK")
    files = _by_position([n for names in folder.images.values() for n in names])
    within: dict[str, list[list[_Stack]]] = {}
    for name in files:
        listed = list(_stacks_of_file(path / name, failures))
        if listed:
            within.setdefault(name.rpartition("/")[0], []).append(listed)
    for place, of_files in within.items():
        single = [all(len(planes) == 1 for _, planes in listed) for listed in of_files]
        if any(single) and not all(single):
            plane = of_files[single.index(True)][0][0]
            stack = of_files[single.index(False)][0][0]
            raise CellqaError(
                f"STACK: {str(path / place)!r} holds single planes ({plane}) and stacks ({stack}); "
                "keep them apart"
            )
        if not all(single):
            for listed in of_files:
                yield from listed
            continue
        groups: dict[PlaneIndex, list[tuple[Path, PlaneIndex]]] = {}
        for planes in (planes for listed in of_files for _, planes in listed):
            groups.setdefault(planes[0][1]._replace(z=0), []).extend(planes)
        for first, planes in groups.items():
            yield printable(f"{path / place}{_group_label(first, len(groups))}"), planes


def _stacks_of_file(path: Path, failures: list[tuple[str, str, str]]) -> Iterator[_Stack]:
    """Planes of each scene, time and channel."""
    try:
        with open_image(path) as file:
            planes = file.planes
    except CellqaError as error:
        failures.append((str(path), "file", str(error)))
        return
    groups: dict[PlaneIndex, list[tuple[Path, PlaneIndex]]] = {}
    for index in planes:
        groups.setdefault(index._replace(z=0), []).append((path, index))
    for first, places in groups.items():
        yield printable(f"{path}{_group_label(first, len(groups))}"), places


def _group_label(first: PlaneIndex, groups: int) -> str:
    return f"#s{first.s}t{first.t}c{first.c}" if groups > 1 else ""


def _measure_place(
    place: tuple[Path, PlaneIndex],
) -> tuple[tuple[int, ...], Sharpness | None] | str:
    path, index = place
    try:
        with open_image(path) as file:
            plane = Plane.of(grey(file.load(index)), "image")
        return plane.shape, sharpness(plane)
    except (CellqaError, ValueError, TypeError) as error:
        return first_line(error)


def _crashed(place: tuple[Path, PlaneIndex], reason: str) -> str:
    return f"reading this file {reason}"


def _labels(places: Sequence[tuple[Path, PlaneIndex]]) -> list[str]:
    """Names of planes: of the files where each has its own, else their index."""
    if len({path for path, _ in places}) == len(places) > 1:
        return [printable(path.name) for path, _ in places]
    return [index.label() for _, index in places]


def _natural(name: str) -> list[tuple[int, float, str]]:
    """Sort key: numbers by value, also negative and decimal ones after a separator."""
    parts = re.split(r"((?:(?<![0-9A-Za-z])-)?\d+(?:\.\d+)?)", name)
    return [
        (0, float(part), "") if k % 2 else (1, 0.0, part.lower()) for k, part in enumerate(parts)
    ]
