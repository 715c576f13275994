"""Layers as `cellqa.score` takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cellqa
from cellqa.arrays.scores import Scores
from cellqa.errors import ImageError
from cellqa.metrics.metric import Metric
from cellqa.metrics.table import METRICS
from cellqa.pairs.roles import GIVEN, Role
from cellqa.terminal import Progress
from napari_cellqa import layers, memory
from napari_cellqa.layers import Picture

# Bytes of a pixel of the plane that is scored: 48 of every metric with ground truth and raw image
# (a plane of 2048 pixels a side), and room for what is not freed at once.
_WORK = 100.0

_NO_NAME = re.compile(r"[^\w .+()=,@-]")


@dataclass(frozen=True)
class Request:
    """What is to be scored.

    Attributes
    ----------
    judged : sequence of Picture
    truth, raw : Picture or None
        Of one plane, or of as many as the judged ones; the raw one may be smaller by a whole
        number.
    metrics : sequence of str or None
        Names; None for all that what is given allows.
    pixel_size : float or None
        In micrometres; None takes it from the layers.
    notes : sequence of str
        What was noted before, as of layers that are left out.
    """

    judged: Sequence[Picture]
    truth: Picture | None = None
    raw: Picture | None = None
    metrics: Sequence[str] | None = None
    pixel_size: float | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Judged:
    """Scores of layers.

    Attributes
    ----------
    scores : Scores
    layers : dict
        Method, as tables and the page have it, to the layer's name.
    named : bool
        Whether the metrics were named, and are all shown.
    notes : tuple of str
    """

    scores: Scores
    layers: dict[str, str]
    named: bool = False
    notes: tuple[str, ...] = field(default=())


def offered() -> list[Metric]:
    """Metrics that layers can be scored by: all but those that need a mask."""
    return [metric for metric in METRICS.values() if Role.MASK not in metric.needs]


def usual(metric: Metric) -> bool:
    """Whether every run computes it."""
    return not metric.option


def score(request: Request, progress: Progress | None = None) -> Judged:
    """Score layers as `cellqa.score` does, stacks plane by plane.

    Parameters
    ----------
    request : Request
    progress : callable, optional
        Called with the number of planes done and of all; what it raises ends the work.

    Raises
    ------
    ValueError, TypeError
        A metric needs what is not given, or a type is no image's.
    CellqaError
        There is nothing to score, sizes or numbers of planes differ, or memory does not suffice.
    """
    if not request.judged:
        raise ImageError("no layer to score: show an image layer, or choose one")
    leader = request.judged[0]
    for other in request.judged[1:]:
        layers.check_same_number(leader, other, shared=False)
    for given in filter(None, (request.truth, request.raw)):
        layers.check_same_number(leader, given, shared=True)
    scale = layers.scale_between(request.truth or leader, request.raw)
    if request.truth is not None and len(request.judged) == 1:
        layers.check_same_side([leader, request.truth])  # of several, those that differ fail alone
    every = [*request.judged, *filter(None, (request.truth, request.raw))]
    needed = sum(each.lazy_bytes for each in every) + _WORK * max(each.pixels for each in every)
    memory.check(needed, "scoring")
    names = method_names([each.name for each in request.judged])
    scores = cellqa.score(
        {name: list(each.planes()) for name, each in zip(names, request.judged, strict=True)},
        _images(request.truth),
        raw=_images(request.raw),
        names=_plane_names(leader),
        metrics=request.metrics,
        pixel_size=request.pixel_size or pixel_size(request),
        scale=scale,
        progress=progress,
    )
    shown = dict(zip(names, (each.name for each in request.judged), strict=True))
    for role, picture in ((Role.REFERENCE, request.truth), (Role.RAW, request.raw)):
        if picture is not None:
            shown[str(role)] = picture.name
    notes = (*request.notes, *_notes(request, every))
    return Judged(scores, shown, request.metrics is not None, notes)


def _images(picture: Picture | None) -> list[Any] | None:
    return None if picture is None else list(picture.planes())


def _plane_names(picture: Picture) -> list[str]:
    """Of planes by their places along the leading axes, as 3 or 0-3, with equal digits."""
    if len(picture.places) == 1:
        return ["image"]
    digits = [len(str(length - 1)) for length in picture.data.shape[:-2]]
    return [
        "-".join(f"{at:0{n}d}" for at, n in zip(place, digits, strict=True))
        for place in picture.places
    ]


def pixel_size(request: Request) -> float | None:
    """In micrometres: the ground truth's, else the first judged layer's that has one."""
    pictures = [request.truth] if request.truth else []
    pictures += request.judged
    return next((p.pixel_size.micrometres for p in pictures if p.pixel_size.micrometres), None)


def _notes(request: Request, every: Sequence[Picture]) -> list[str]:
    """What is to be known of layers beside each other."""
    notes = [note for each in every for note in each.notes]
    same = [*request.judged, *([request.truth] if request.truth else [])]
    sizes = {each.pixel_size.micrometres for each in same}
    if len(sizes) > 1 and not request.pixel_size:
        told = ", ".join(f"{p.name} {p.pixel_size.micrometres or 'none'}" for p in same)
        notes.append(f"the layers have different pixel sizes (µm: {told}); one was taken for all")
    first = request.truth or request.judged[0]
    notes += [
        f"{each.name} is not where {first.name} is (translate): pixels were compared by their "
        "numbers, not by their places"
        for each in every
        if each.side == first.side and _elsewhere(first, each)
    ]
    return notes


def _elsewhere(first: Picture, other: Picture) -> bool:
    ours, theirs = (p.place.get("translate", (0.0, 0.0))[-2:] for p in (first, other))
    return any(abs(a - b) > 1e-9 for a, b in zip(ours, theirs, strict=True))


def method_names(names: Iterable[str]) -> list[str]:
    """Layers' names as tables and folders can have them, each once.

    Examples
    --------
    >>> method_names(["te", "te [1]", "gt", "a/b", "?"])
    ['te', 'te (1)', 'gt layer', 'a_b', 'layer']
    """
    made: list[str] = []
    for name in names:
        bare = _NO_NAME.sub("_", name.replace("[", "(").replace("]", ")"))
        bare = bare.lstrip("_ .+()=,@-").rstrip(" .") or "layer"
        if bare in (*GIVEN, Role.EGT):
            bare += " layer"
        number, unique = 2, bare
        while unique in made:
            number, unique = number + 1, f"{bare} {number}"
        made.append(unique)
    return made


def report(judged: Judged, parent: Path) -> Path:
    """Write the page, and all tables, into a new folder there; return the page's path.

    Raises
    ------
    CellqaError
        It cannot be written.
    """
    folder, number = parent / "cellqa-report", 2
    while folder.exists():
        folder, number = parent / f"cellqa-report-{number}", number + 1
    return judged.scores.report(folder)


def gather(
    of_layers: Iterable[Any], take: Callable[[Any], Picture]
) -> tuple[list[Picture], list[str]]:
    """Pictures of several layers, and a line for each that is left out, or unlike the first."""
    pictures: list[Picture] = []
    notes: list[str] = []
    for layer in of_layers:
        try:
            picture = take(layer)
            if pictures:
                layers.check_same_number(pictures[0], picture, shared=False)
            pictures.append(picture)
        except ImageError as error:
            notes.append(f"left out: {error}")
    return pictures, notes
