"""Objects of two label images: what each measures, and which of them are the same."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cellqa.planes import Array
from cellqa.planes.labels import Labels
from cellqa.planes.plane import Plane
from cellqa.shown import one_line

_THRESHOLDS = np.arange(0.5, 1.0, 0.05)  # of the intersection over union
_EQUAL = 1e-12  # of an intersection over union, that rounding may take
_PART = 0.5  # of an object within another, that makes it a part of it


@dataclass(frozen=True)
class Measured:
    """The objects of one image, an entry for each.

    Attributes
    ----------
    names : ndarray of int, shape (n,)
        Labels, as whoever made them wrote them.
    area : ndarray
        Pixels.
    y, x : ndarray
        Centre, pixels from the upper left one.
    mean : ndarray
        Grey value, by the object's own outline and in its own image.
    total : ndarray
        Sum of grey values above the background.
    eccentricity : ndarray
        Of the ellipse of the same second moments: 0 for a circle, 1 for a line.
    background : float
        Median grey value outside of objects; 0 where there is no outside.
    """

    names: Array
    area: Array
    y: Array
    x: Array
    mean: Array
    total: Array
    eccentricity: Array
    background: float

    @classmethod
    def of(cls, plane: Plane, mask: Labels) -> Measured:
        """Measure the objects of a plane."""
        flat, pixels = mask.labels.ravel(), plane.real.ravel()
        places = np.flatnonzero(flat)
        of = flat[places] - 1
        n = mask.names.size
        outside = pixels[flat == 0] if places.size < flat.size else pixels[:0]
        background = float(np.median(outside)) if outside.size else 0.0
        area = np.bincount(of, minlength=n)
        mean = np.bincount(of, pixels[places], n) / area
        row, column = (
            place.astype(np.float64) for place in np.divmod(places, mask.labels.shape[1])
        )
        y, x = np.bincount(of, row, n) / area, np.bincount(of, column, n) / area
        row -= y[of]
        column -= x[of]
        yy, xx, yx = (
            np.bincount(of, product, n) / area
            for product in (row * row, column * column, row * column)
        )
        apart = np.hypot(yy - xx, 2 * yx)
        longest = (yy + xx + apart) / 2
        shares = np.divide(apart, longest, out=np.zeros(n), where=longest > 0)
        return cls(
            mask.names, area, y, x, mean, area * (mean - background), np.sqrt(shares), background
        )


@dataclass(frozen=True)
class Matched:
    """Objects of an image against those of its ground truth.

    Attributes
    ----------
    truths, found : int
        Objects.
    ap50 : float
        Average precision at an intersection over union of 0.5: matched / (matched + missed +
        added).
    ap : float
        The mean of that at 0.5, 0.55, ... 0.95.
    splits, merges : int
        Objects of the truth of which two or more of the image are parts (more than half of each
        lies within), and the other way round.
    pairs : ndarray of int, shape (n, 2)
        Labels of matched objects, truth and image, of an intersection over union of 0.5 or more.
    area, mean : ndarray, shape (n, 2)
        Pixels, and mean grey value above the background (the median outside of objects), of each
        of a pair, by its own outline and in its own image.
    shift : ndarray, shape (n,)
        Pixels between their centres.
    places : ndarray of int, shape (n, 2)
        Where each of a pair stands in `of_truth` and `of_image`.
    iou : ndarray, shape (n,)
        Intersection over union of each pair.
    of_truth, of_image : Measured
        All objects, matched or not.
    """

    truths: int
    found: int
    ap50: float
    ap: float
    splits: int
    merges: int
    pairs: Array
    area: Array
    mean: Array
    shift: Array
    places: Array
    iou: Array
    of_truth: Measured
    of_image: Measured

    __repr__ = one_line


def match(reference: Plane, image: Plane, truth: Labels, ours: Labels) -> Matched:
    """Match the objects of planes that are known to fit; see `cellqa.match_objects`."""
    of_truth, of_image = Measured.of(reference, truth), Measured.of(image, ours)
    truths, found = truth.names.size, ours.names.size
    t, o, inner = _overlaps(truth.labels, ours.labels, found)
    areas, others = of_truth.area[t], of_image.area[o]
    overlap = inner / (areas + others - inner)
    best = [_accuracy(t, o, overlap, limit, truths, found) for limit in _THRESHOLDS]
    # above one half a match is the only one; of two at one half exactly, the first is taken
    over = np.flatnonzero(overlap >= _THRESHOLDS[0] - _EQUAL)
    for each in (t, o):
        over = over[np.sort(np.unique(each[over], return_index=True)[1])]
    t_in, o_in = t[inner > _PART * others], o[inner > _PART * areas]
    t, o = t[over], o[over]
    ends = (of_truth, t), (of_image, o)
    return Matched(
        truths,
        found,
        best[0],
        float(np.mean(best)),
        int((np.bincount(t_in) > 1).sum()),
        int((np.bincount(o_in) > 1).sum()),
        np.stack([each.names[k] for each, k in ends], axis=1),
        np.stack([each.area[k] for each, k in ends], axis=1),
        np.stack([each.mean[k] - each.background for each, k in ends], axis=1),
        np.hypot(of_truth.y[t] - of_image.y[o], of_truth.x[t] - of_image.x[o]),
        np.stack([t, o], axis=1),
        overlap[over],
        of_truth,
        of_image,
    )


def _overlaps(truth: Array, ours: Array, found: int) -> tuple[Array, Array, Array]:
    """Places of objects that share pixels, of truth and image, and how many they share."""
    both = (truth > 0) & (ours > 0)
    codes = (truth[both].astype(np.int64) - 1) * found + (ours[both] - 1)
    known, inner = np.unique(codes, return_counts=True)
    t, o = np.divmod(known, max(found, 1))
    return t, o, inner


def _accuracy(t: Array, o: Array, overlap: Array, limit: float, truths: int, found: int) -> float:
    """Matched / (matched + missed + added); nan where there is nothing at all."""
    if not truths + found:
        return math.nan
    over = overlap >= limit - _EQUAL
    matched = min(np.unique(t[over]).size, np.unique(o[over]).size)
    return matched / (truths + found - matched)
