"""Time series of a run, followed from frame to frame: a second look at what was scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cellqa.engines import Engine
from cellqa.errors import CellqaError
from cellqa.io import may_crash
from cellqa.io.stores import absolute
from cellqa.metrics._following import Following
from cellqa.metrics.series import FEWEST, judged
from cellqa.pairs.pairing import AXES, Image, Pairing, place_of
from cellqa.pairs.roles import GIVEN, Role
from cellqa.pairs.times import Times
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.scoring.image import planes_of
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.parts import Parts
from cellqa.tables.tally import Tally
from cellqa.tables.time import FollowedSeries, frame_rows
from cellqa.terminal import Progress

_TIME = AXES.index("time")
_LOOKED_AT = 10  # images of a series whose names say whether a format may crash
_LARGE = 2**28  # bytes that a series has, about: each is a task of its own


@dataclass(frozen=True)
class Steps:
    """The images of a time series, each with its time; or one image that holds all times."""

    name: str
    images: tuple[tuple[float, Image], ...]
    named: bool = False  # whether names tell the times


def check_times(times: Times | None, pairing: Pairing, shard: tuple[int, int]) -> None:
    """See that what is asked for can be had, before anything is scored.

    Raises
    ------
    CellqaError
        There is nothing to compare with, a part of the images only, or names are not as `times`
        says.
    """
    if times is None:
        return
    if not {Role.RAW, Role.REFERENCE} & set(pairing.folders):
        raise CellqaError("--time compares with raw images or ground truth: give --input or --gt")
    if shard[1] > 1:
        raise CellqaError("--time needs all frames of a series: leave --shard out")
    times.series(pairing.images)


def follow(
    tally: Tally,
    *,
    pairing: Pairing,
    images: Sequence[Image],
    times: Times | None,
    options: ScoreOptions,
    engine: Engine,
    progress: Progress | None = None,
) -> list[FollowedSeries]:
    """Follow every series of a run; each method beside the raw images, else the ground truth.

    Parameters
    ----------
    tally : Tally
        Of all rows: it tells which files hold several times.
    pairing : Pairing
    images : sequence of Image
        In the order of the rows.
    times : Times or None
        What tells the times by name.
    options : ScoreOptions
    engine : Engine
    progress : callable, optional
        Called with the number of series that were followed and of all.
    """
    raw = next((role for role in (Role.RAW, Role.REFERENCE) if role in pairing.folders), None)
    if raw is None:
        return []
    if times is not None:
        series = times.series(pairing.images)
        todo = [Steps(name, tuple(steps), named=True) for name, steps in series.items()]
    else:
        todo = [Steps(image.name, ((0.0, image),)) for image in _with_times(tally, images)]
    if not todo:
        return []
    folders = {name: absolute(path) for name, path in pairing.folders.items()}
    work = partial(_follow_one, folders=folders, options=options, raw=raw)
    files = (image.files.values() for steps in todo for _, image in steps.images[:_LOOKED_AT])
    isolate = any(may_crash(name) for of_roles in files for names in of_roles for name in names)
    on_crash = partial(_crashed, raw=raw)
    found = engine.map(work, todo, on_crash=on_crash, isolate=isolate, bytes_each=_LARGE)
    followed: list[FollowedSeries] = []
    for done, each in enumerate(found, 1):
        followed += each
        if progress:
            progress(done, len(todo))
    return sorted(followed, key=lambda one: one.name)


def _with_times(tally: Tally, images: Sequence[Image]) -> list[Image]:
    """Images with planes of several times, enough to be followed."""
    if not tally.files.size:
        return []
    times = np.unique(tally.along(_TIME), return_inverse=True)[1]
    of_files = np.unique(np.stack([tally.files, times]), axis=1)[0]
    return [images[int(k) - 1] for k in np.flatnonzero(np.bincount(of_files) >= FEWEST)]


def _crashed(steps: Steps, reason: str, raw: str) -> list[FollowedSeries]:
    return [FollowedSeries.failed(steps.name, raw, f"following this series {reason}")]


class _Place:
    """One channel, focus and scene of a series."""

    def __init__(self, raw: str, scale: int) -> None:
        self.following = Following(raw, scale=scale)
        self.names: list[str] = []  # of the planes
        self.parts: Parts | None = None


def _follow_one(
    steps: Steps, *, folders: Mapping[str, Path], options: ScoreOptions, raw: Role
) -> list[FollowedSeries]:
    places: dict[str, _Place] = {}
    try:
        for time, image in steps.images:
            for name, planes, valid in planes_of(
                image,
                folders=folders,
                max_pixels=options.max_pixels,
                by_colour=options.colour == "channels",
            ):
                at = place_of(name)
                own = float(at[_TIME] or 0)
                if steps.named and own:
                    raise CellqaError(
                        f"--time: {image.name} holds several times itself; score it without --time"
                    )
                key = "".join(
                    f"{axis} {n} " for axis, n in zip(AXES, at, strict=True) if n and axis != "time"
                ).strip()
                place = places.setdefault(key, _Place(raw, options.scale))
                _add(place, time if steps.named else own, name, planes, raw, valid)
    except CellqaError as error:
        return [FollowedSeries.failed(steps.name, raw, str(error))]
    several = len(places) > 1
    return [
        FollowedSeries(
            f"{steps.name}#{key}" if several and key else steps.name,
            raw=str(raw),
            measures=tuple(judged(place.following)),
            frames=tuple(frame_rows(place.following, place.names)),
        )
        for key, place in places.items()
    ]


def _add(
    place: _Place,
    at: float,
    name: str,
    planes: dict[str, Plane],
    raw: Role,
    valid: Array | None,
) -> None:
    """One time of one place; what cannot be read was told when it was scored."""
    if raw not in planes:
        return
    reference = planes.get(Role.REFERENCE) if raw == Role.RAW else planes[raw]
    if place.parts is None:
        source = planes[raw] if raw == Role.RAW else None
        place.parts = Parts(reference, source, place.following.scale, valid)
    taken = {
        role: place.parts.taken(plane, role, own=True)
        for role, plane in planes.items()
        if role == raw or role == Role.REFERENCE or role not in (*GIVEN, Role.EGT)
    }
    methods = {role: taken[role] for role in taken if role not in (raw, Role.REFERENCE)}
    place.names.append(name)
    place.following.add(at, taken[raw], methods, taken.get(Role.REFERENCE))
