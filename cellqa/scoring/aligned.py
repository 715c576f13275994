"""An image beside its reference, its displacement undone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cellqa.errors import ImageError, Undefined
from cellqa.metrics.alignment import displacement, known_part, moved_back, undoing
from cellqa.metrics.case import Case
from cellqa.metrics.detail import enlarged
from cellqa.metrics.foreground import Object, objects, of_labels
from cellqa.metrics.objects import Found, found_objects, match_of, outlined
from cellqa.planes import Array
from cellqa.planes.plane import Plane

_STILL = 0.01  # pixels: a displacement below is none
_NONE = Object(None, None, *(math.nan,) * 7)  # of the ground truth, where an object is invented


@dataclass(frozen=True)
class Aligned:
    """An image beside its reference, as both are compared.

    Attributes
    ----------
    case : Case
        Over what both show once the displacement is undone.
    y, x : float
        The displacement, in pixels; undefined where none was looked for or found.
    origin : (int, int)
        Where the case begins in the whole reference.
    """

    case: Case
    y: float = math.nan
    x: float = math.nan
    origin: tuple[int, int] = (0, 0)


def against_raw(case: Case) -> Case:
    """The case with the image's displacement against its raw image undone, both cropped."""
    scale = case.scale
    if case.raw is None or tuple(scale * n for n in case.raw.shape) != case.image.shape:
        return case
    by = known_part(displacement(enlarged(case.raw, case.image.shape), case.image))
    if math.hypot(*by) < _STILL:
        return case
    moved, shown = moved_back(case.image.pixels, by)
    coarse = [slice(-(-part.start // scale), part.stop // scale) for part in shown]
    raw = case.raw.cropped(*coarse)
    if not raw.pixels.size:
        return case
    rows, columns = (slice(scale * part.start, scale * part.stop) for part in coarse)
    image = Plane(np.ascontiguousarray(moved[rows, columns]), case.image.dtype)
    return replace(case, image=image, raw=raw, reference=None, mask=None)


def undone(beside: Aligned, needs_raw: bool) -> Aligned:
    """The displacement, and the case over what both images show once it is undone.

    Raises
    ------
    ImageError
        Nothing is left.
    """
    case = beside.case
    reference, image = case.pair
    told = displacement(reference, image)
    by = known_part(told)
    if math.hypot(*by) < _STILL:
        return Aligned(case, *told, beside.origin)
    moved, _ = moved_back(image.pixels, by)
    again = known_part(displacement(reference, Plane(np.ascontiguousarray(moved), image.dtype)))
    if math.hypot(*again) < 1:
        done = undoing(by)
        by = done[0] + again[0], done[1] + again[1]
    moved, (rows, columns) = moved_back(image.pixels, by)

    def cropped(pixels: Array, of: Plane) -> Plane:
        return Plane(np.ascontiguousarray(pixels[rows, columns]), of.dtype)

    shown = reference.cropped(rows, columns)
    if not shown.pixels.size:
        raise ImageError(f"displaced by more than its size ({by[0]:.1f}, {by[1]:.1f} pixels)")
    raw = None
    if needs_raw and case.raw is not None:
        finer = enlarged(case.raw, image.shape)
        raw = cropped(moved_back(finer.pixels, by)[0], finer)  # as its enhanced image
    registered = replace(
        case,
        image=cropped(moved, image),
        reference=shown,
        raw=raw,
        scale=1,
        mask=case.mask.cropped(rows, columns) if case.mask else None,
        outlines=case.outlines.moved(by, rows, columns) if case.outlines else None,
    )
    y, x = (t if math.isnan(t) else b for t, b in zip(told, by, strict=True))
    top, left = beside.origin
    return Aligned(registered, y, x, (top + rows.start, left + columns.start))


Lines = tuple[tuple[Object, ...], tuple[Found, ...] | None]


def placed_objects(aligned: Aligned) -> Lines:
    """Scores of each object with its place in the whole reference, and what the image has of it.

    Of the mask; or, where objects were asked for, of those that were found. Without these, the
    second is None.
    """
    case = aligned.case
    top, left = aligned.origin
    if case.outlines is None:
        return tuple(each._replace(y=each.y + top, x=each.x + left) for each in objects(case)), None
    found = case.once(match_of)
    labels = case.once(outlined)
    if isinstance(found, Undefined) or isinstance(labels, Undefined):
        return (), None
    known = [each._replace(y=each.y + top, x=each.x + left) for each in of_labels(case, labels[0])]
    lines = [
        each._replace(found_y=each.found_y + top, found_x=each.found_x + left)
        for each in found_objects(found)
    ]
    known += [_NONE] * (len(lines) - len(known))
    return tuple(known), tuple(lines)
