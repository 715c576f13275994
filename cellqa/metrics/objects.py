"""Whether the same objects are found, and measure the same."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass, replace

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
_PART = 0.5  # of an object within another, that makes it a part of it
_FEWEST = 3  # matched objects that a line is put through

NAMES = (
    "ap50",
    "ap",
    "count_error",
    "splits",
    "merges",
    "object_area",
    "object_intensity",
    "intensity_slope",
    "intensity_r2",
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
        Labels of matched objects, truth and image, of an intersection over union above 0.5.
    area, mean : ndarray, shape (n, 2)
        Pixels, and mean grey value above the background (the median outside of objects), of each
        of a pair, by its own outline and in its own image.
    shift : ndarray, shape (n,)
        Pixels between their centres.
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
        return _match(first, second, segmented(first), segmented(second))
    truth, ours = (_checked(each, first.shape) for each in labels)
    found = _match(first, second, truth.labels, ours.labels)
    names = [truth.names[found.pairs[:, 0] - 1], ours.names[found.pairs[:, 1] - 1]]
    return replace(found, pairs=np.stack(names, axis=1))


def _checked(labels: npt.ArrayLike, shape: tuple[int, ...]) -> Labels:
    array = np.asarray(labels)
    if array.shape != shape or array.dtype.kind not in "iub":
        raise ValueError(
            f"`labels` must be whole numbers of shape {shape}, got {array.dtype} {array.shape}"
        )
    return Labels.of(array)


def _objects_of(mask: Labels) -> Array:
    """Objects of a mask: its labels, or, where it has one value, the parts that hang together."""
    if mask.names.size != 1:
        return mask.labels
    parts: Array = cv2.connectedComponents((mask.labels > 0).astype(np.uint8), connectivity=4)[1]
    return parts


def _match(reference: Plane, image: Plane, truth: Array, ours: Array) -> Matched:
    truths, found = int(truth.max(initial=0)), int(ours.max(initial=0))
    shared = np.zeros((truths + 1, found + 1))
    np.add.at(shared, (truth.ravel(), ours.ravel()), 1)
    areas_t, areas_o = shared.sum(axis=1)[1:], shared.sum(axis=0)[1:]
    inner = shared[1:, 1:]
    union = areas_t[:, None] + areas_o[None] - inner
    overlap = np.divide(inner, union, out=np.zeros_like(inner), where=union > 0)
    # above one half a match is the only one; at one half exactly, the first is taken
    best = [_accuracy(overlap, t, truths, found) for t in _THRESHOLDS]
    pairs = np.argwhere(overlap > _THRESHOLDS[0])
    within_truth = inner > _PART * areas_o[None]
    within_ours = inner > _PART * areas_t[:, None]
    t, o = pairs.T
    means = np.stack([_means(reference, truth)[t], _means(image, ours)[o]], axis=1)
    centres = [_centres(labels)[:, place] for labels, place in ((truth, t), (ours, o))]
    return Matched(
        truths,
        found,
        best[0],
        float(np.mean(best)),
        int((within_truth.sum(axis=1) > 1).sum()),
        int((within_ours.sum(axis=0) > 1).sum()),
        pairs + 1,
        np.stack([areas_t[t], areas_o[o]], axis=1),
        means,
        np.hypot(*(centres[0] - centres[1])),
    )


def _accuracy(overlap: Array, threshold: float, truths: int, found: int) -> float:
    """Matched / (matched + missed + added); nan where there is nothing at all."""
    if not truths + found:
        return math.nan
    over = overlap >= threshold - 1e-12
    matched = min(int(over.any(axis=1).sum()), int(over.any(axis=0).sum()))
    return matched / (truths + found - matched)


def _means(plane: Plane, labels: Array) -> Array:
    """Mean grey value of each object above the background, the median outside of objects."""
    flat, pixels = labels.ravel(), plane.real.ravel().astype(np.float64)
    outside = pixels[flat == 0]
    background = float(np.median(outside)) if outside.size else 0.0
    return np.asarray(
        np.bincount(flat, pixels)[1:] / np.maximum(np.bincount(flat)[1:], 1) - background
    )


def _centres(labels: Array) -> Array:
    """(2, n): y and x of each object's centre."""
    flat = labels.ravel()
    counts = np.maximum(np.bincount(flat)[1:], 1)
    places = np.indices(labels.shape).reshape(2, -1)
    return np.stack([np.bincount(flat, place)[1:] / counts for place in places])


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
        return values | dict.fromkeys(NAMES[5:], none)
    values["object_area"] = float(np.median(found.area[:, 1] / found.area[:, 0]))
    truth, ours = (found.area * found.mean).T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = ours / truth
    finite = ratios[np.isfinite(ratios)]
    values["object_intensity"] = float(np.median(finite)) if finite.size else math.nan
    if len(truth) < _FEWEST:
        few = Undefined(f"objects: fewer than {_FEWEST} are matched")
        return values | {"intensity_slope": few, "intensity_r2": few}
    if not np.ptp(truth) > 0:
        alike = Undefined("objects: all of the ground truth are as bright")
        return values | {"intensity_slope": alike, "intensity_r2": alike}
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
    truth = reference.once(segmented) if case.mask is None else _objects_of(case.mask)
    return _values(_match(reference, image, truth, segmented(image)))
