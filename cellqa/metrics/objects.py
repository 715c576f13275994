"""Whether the same objects are found, and measure the same."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics.case import Case
from cellqa.planes import Array
from cellqa.planes.labels import Labels
from cellqa.planes.plane import Plane, as_pair
from cellqa.planes.segment import segmented

_THRESHOLDS = np.arange(0.5, 1.0, 0.05)  # of the intersection over union
_EQUAL = 1e-12  # of an intersection over union, that rounding may take
_PART = 0.5  # of an object within another, that makes it a part of it
_FEWEST = 3  # matched objects that a line is put through

_OF_PAIRS = ("object_area", "object_intensity")
_OF_LINES = ("intensity_slope", "intensity_r2")
NAMES = ("ap50", "ap", "count_error", "splits", "merges", *_OF_PAIRS, *_OF_LINES)


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


def match_objects(
    reference: npt.ArrayLike,
    image: npt.ArrayLike,
    *,
    labels: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Matched:
    """Find the objects of an image and of its ground truth, and match them.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)
    labels : (array_like, array_like), optional
        Objects of the truth and of the image, whole numbers, 0 for background; by default both are
        segmented alike (`cellqa.planes.segment.segmented`).

    Returns
    -------
    Matched

    Raises
    ------
    ValueError, TypeError
        Shapes differ, a value is NaN or infinite, or labels are not whole numbers.

    References
    ----------
    Average precision as in Schmidt et al. 2018, doi 10.1007/978-3-030-00934-2_30 (StarDist's
    `accuracy`), and the Data Science Bowl: Caicedo et al. 2019, doi 10.1038/s41592-019-0612-7.

    Examples
    --------
    >>> from cellqa import match_objects
    >>> from cellqa.simulate import nuclei
    >>> scene = nuclei((256, 256), photons=500, seed=1)
    >>> same = match_objects(scene.ideal, scene.image)
    >>> same.ap50 > 0.8, same.truths > 5
    (True, True)
    """
    first, second = as_pair(reference, image)
    if labels is None:
        return match(first, second, _found(segmented(first)), _found(segmented(second)))
    truth, ours = (_checked(each, first.shape) for each in labels)
    return match(first, second, truth, ours)


def _checked(labels: npt.ArrayLike, shape: tuple[int, ...]) -> Labels:
    array = np.asarray(labels)
    if array.shape != shape or array.dtype.kind not in "iub":
        raise ValueError(
            f"`labels` must be whole numbers of shape {shape}, got {array.dtype} {array.shape}"
        )
    return Labels.of(array)


def _found(labels: Array) -> Labels:
    """Labels that a segmentation numbered one after the other."""
    return Labels(labels, np.arange(1, int(labels.max(initial=0)) + 1))


def _objects_of(mask: Labels) -> Labels:
    """Objects of a mask: its labels, or, where it has one value, the parts that hang together."""
    if mask.names.size != 1:
        return mask
    return _found(cv2.connectedComponents((mask.labels > 0).astype(np.uint8), connectivity=4)[1])


def match(reference: Plane, image: Plane, truth: Labels, ours: Labels) -> Matched:
    """Match the objects of planes that are known to fit; see `match_objects`."""
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


def _values(found: Matched) -> dict[str, float]:
    """The metrics, of one match."""
    values: dict[str, float] = {
        "ap50": found.ap50,
        "ap": found.ap,
        "splits": float(found.splits),
        "merges": float(found.merges),
    }
    if not found.truths:
        none = Undefined("objects: there is none in the ground truth")
        return dict.fromkeys(NAMES, none) | (
            dict.fromkeys(("ap50", "ap"), 0.0) if found.found else {}
        )
    values["count_error"] = found.found / found.truths - 1
    if not len(found.pairs):
        none = Undefined("objects: none is matched")
        return values | dict.fromkeys((*_OF_PAIRS, *_OF_LINES), none)
    values["object_area"] = float(np.median(found.area[:, 1] / found.area[:, 0]))
    truth, ours = (found.area * found.mean).T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = ours / truth
    finite = ratios[np.isfinite(ratios)]
    values["object_intensity"] = float(np.median(finite)) if finite.size else math.nan
    if len(truth) < _FEWEST:
        few = Undefined(f"objects: fewer than {_FEWEST} are matched")
        return values | dict.fromkeys(_OF_LINES, few)
    if not np.ptp(truth) > 0:
        alike = Undefined("objects: all of the ground truth are as bright")
        return values | dict.fromkeys(_OF_LINES, alike)
    covariance = np.cov(truth, ours)
    spread = covariance[0, 0] * covariance[1, 1]
    alike = Undefined("objects: all of the image are as bright")
    return values | {
        "intensity_slope": float(covariance[0, 1] / covariance[0, 0]),
        "intensity_r2": float(covariance[0, 1] ** 2 / spread) if spread > 0 else alike,
    }


def object_measures(reference: npt.ArrayLike, image: npt.ArrayLike) -> dict[str, float]:
    """All metrics of the objects of an image against those of its ground truth, by name.

    `ap50`, `ap` (higher is better), `count_error` (found / there - 1), `splits`, `merges`;
    `object_area` and `object_intensity` (median of image / truth over matched objects, 1 is best;
    intensity is the sum above the background); `intensity_slope` and `intensity_r2` (least
    squares of the image's intensities on the truth's). nan that carries its reason where undefined.
    See `match_objects` for parameters, errors and sources.

    Examples
    --------
    >>> from cellqa import object_measures
    >>> from cellqa.simulate import nuclei
    >>> image = nuclei((256, 256), photons=500, seed=1).image
    >>> same = object_measures(image, image)
    >>> same["ap"], same["count_error"], same["object_area"]
    (1.0, 0.0, 1.0)
    """
    return _values(match_objects(reference, image))


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family, of one match; the truth's objects are those of the mask where it has labels."""
    reference, image = case.pair
    truth = _found(reference.once(segmented)) if case.mask is None else _objects_of(case.mask)
    return _values(match(reference, image, truth, _found(segmented(image))))
