"""Ground truths of a run before anything is scored against them: without margins and outliers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from cellqa.pairs.pairing import Image
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.planes.region import Region
from cellqa.scoring.image import planes_of
from cellqa.scoring.options import ScoreOptions

ROLES: tuple[str, ...] = (Role.REFERENCE, Role.VALID)


def extremes(
    image: Image, *, folders: Mapping[str, Path], options: ScoreOptions
) -> tuple[float, float] | None:
    """Smallest and largest value of an image's reference; None where a plane cannot be read."""
    parts = list(parts_of(image, folders=folders, options=options))
    known = [part.extremes for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None  # its failure is reported when it is scored
    lows, highs = zip(*known, strict=True)
    return min(lows), max(highs)


def parts_of(
    image: Image, *, folders: Mapping[str, Path], options: ScoreOptions
) -> Iterator[Plane | None]:
    """What is judged of each plane of an image's reference; None where there is nothing."""
    files = {role: names for role, names in image.files.items() if role in ROLES}
    for _, planes, valid in planes_of(
        replace(image, files=files),
        folders=folders,
        max_pixels=options.max_pixels,
        by_colour=options.colour == "channels",
    ):
        yield judged_part(planes.get(Role.REFERENCE), valid)


def judged_part(plane: Plane | None, valid: Array | None) -> Plane | None:
    """The part of a plane that is judged, `valid` being 0 elsewhere; None where there is none."""
    if plane is None or (valid is not None and valid.shape != plane.shape):
        return None
    try:
        return Region.of([plane], valid).taken(plane)
    except ValueError:
        return None
