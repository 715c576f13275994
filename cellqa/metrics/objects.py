"""Whether the same objects are found, and measure the same."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from cellqa.errors import CellqaError, ImageError, Undefined
from cellqa.metrics._matching import Matched, match
from cellqa.metrics.case import Case, Outlines, Segment
from cellqa.planes import Array
from cellqa.planes.labels import Labels, Mask
from cellqa.planes.plane import Plane, as_pair
from cellqa.planes.segment import segmented
from cellqa.planes.tensors import as_array

_FEWEST = 3  # matched objects that a line is put through

_OF_PAIRS = ("object_area", "object_intensity")
_OF_LINES = ("intensity_slope", "intensity_r2")
NAMES = ("ap50", "ap", "count_error", "splits", "merges", *_OF_PAIRS, *_OF_LINES)


class Found(NamedTuple):
    """What an image has of an object: what a line of objects.csv has beside the truth's.

    Attributes
    ----------
    state : str
        `matched`; `missed`, of the truth alone; `invented`, of the image alone.
    iou : float
        Intersection over union of a pair.
    gt_total, gt_eccentricity : float
        Of the truth's object in the truth: `total` above the background.
    found_label, found_area : int or None
    found_y, found_x, found_mean, found_total, found_eccentricity : float
        Of the image's object in the image.
    """

    state: str
    iou: float = math.nan
    gt_total: float = math.nan
    gt_eccentricity: float = math.nan
    found_label: int | None = None
    found_area: int | None = None
    found_y: float = math.nan
    found_x: float = math.nan
    found_mean: float = math.nan
    found_total: float = math.nan
    found_eccentricity: float = math.nan


MATCHED, MISSED, INVENTED = "matched", "missed", "invented"


def found_objects(of: Matched) -> list[Found]:
    """A line for each object of the truth, in its order, then one for each that is invented."""
    truth, image = of.of_truth, of.of_image
    of_image = list(
        zip(
            image.names.tolist(),
            image.area.tolist(),
            *(each.tolist() for each in (image.y, image.x, image.mean, image.total)),
            image.eccentricity.tolist(),
            strict=True,
        )
    )
    partner = {t: (o, iou) for (t, o), iou in zip(of.places.tolist(), of.iou.tolist(), strict=True)}
    lines = []
    own = zip(truth.total.tolist(), truth.eccentricity.tolist(), strict=True)
    for t, (total, eccentricity) in enumerate(own):
        if t in partner:
            o, iou = partner[t]
            lines.append(Found(MATCHED, iou, total, eccentricity, *of_image[o]))
        else:
            lines.append(Found(MISSED, gt_total=total, gt_eccentricity=eccentricity))
    taken = set(of.places[:, 1].tolist())
    nothing = (math.nan,) * 3
    lines += [Found(INVENTED, *nothing, *of_image[o]) for o in range(of.found) if o not in taken]
    return lines


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
        return match(first, second, segmented_plane(first), segmented_plane(second))
    truth, ours = (_checked(each, first.shape) for each in labels)
    return match(first, second, truth, ours)


def _checked(labels: npt.ArrayLike, shape: tuple[int, ...]) -> Labels:
    array = as_array(labels, "labels")
    if array.shape != shape or array.dtype.kind not in "iub":
        raise ValueError(
            f"`labels` must be whole numbers of shape {shape}, got {array.dtype} {array.shape}"
        )
    if array.dtype.kind == "i" and array.min(initial=0) < 0:
        raise ValueError("`labels` must not be negative")
    mask = Mask.of(array, labels=True).labels
    assert mask is not None  # of whole numbers, none negative
    return parts_of(mask)


def numbered(labels: Array) -> Labels:
    """Labels that a segmentation numbered one after the other."""
    return Labels(labels, np.arange(1, int(labels.max(initial=0)) + 1))


def parts_of(mask: Labels) -> Labels:
    """Objects of a mask: its labels, or, of true and false, the parts that hang together."""
    if not mask.truth:
        return mask
    return numbered(cv2.connectedComponents((mask.labels > 0).astype(np.uint8), connectivity=4)[1])


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


def segmented_plane(plane: Plane) -> Labels:
    """Objects by the built-in segmentation."""
    return numbered(segmented(plane))


@dataclass(frozen=True)
class _Tried:
    """A segmentation whose failure is kept, too: a ground truth is segmented once."""

    segment: Segment

    def __call__(self, plane: Plane) -> Labels | CellqaError:
        try:
            return self.segment(plane)
        except CellqaError as error:
            return error


def outlined(case: Case) -> tuple[Labels, Labels] | Undefined:
    """Objects of the ground truth and of the image; or why there are none to compare.

    Raises
    ------
    ImageError
        A segmentation failed.
    """
    usual = parts_of(case.mask) if case.mask is not None else None
    of = case.outlines or Outlines(segmented_plane)
    found = []
    for plane, mask, name in (
        (case.pair[0], of.truth, "ground truth: "),
        (case.pair[1], of.image, ""),
    ):
        if mask is not None:
            if mask.labels is None:
                return Undefined(f"objects: {name}{mask.missing}")
            found.append(parts_of(mask.labels))
        elif usual is not None and case.outlines is None and not found:
            found.append(usual)
        elif of.segment is None:
            return Undefined(f"objects: {name or 'the image: '}no labels were given")
        else:
            tried = plane.once(_Tried(of.segment))
            if isinstance(tried, CellqaError):
                raise ImageError(f"{name}{tried}")
            found.append(tried)
    return found[0], found[1]


def match_of(case: Case) -> Matched | Undefined:
    """The match of a case; or why there is none."""
    found = case.once(outlined)
    return found if isinstance(found, Undefined) else match(*case.pair, *found)


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family, of one match; the truth's objects are those of the mask where it has labels."""
    found = case.once(match_of)
    return dict.fromkeys(NAMES, found) if isinstance(found, Undefined) else _values(found)
