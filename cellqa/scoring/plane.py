"""One plane of reference, raw image and mask, against which each method's plane is scored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cellqa.errors import Bound, ImageError, Undefined, first_line
from cellqa.metrics import alignment, consistency
from cellqa.metrics.alignment import displacement, moved_back
from cellqa.metrics.case import Case, Family
from cellqa.metrics.consistency import consistency_map
from cellqa.metrics.fitted import error_of
from cellqa.metrics.foreground import EMPTY, Object, objects
from cellqa.metrics.metric import Metric
from cellqa.metrics.structural import ssim_map
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.planes.labels import Mask
from cellqa.planes.plane import Plane
from cellqa.scoring.options import ScoreOptions
from cellqa.tables.rows import Row

LARGEST_SHIFT = 0.3  # pixels; beyond, a run warns
SATURATED = 0.005  # share of pixels at the type's largest value from which a run warns
_STILL = 0.01  # pixels: a displacement below is none


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


class Scored:
    """What is known of a method's plane.

    Attributes
    ----------
    row : Row
    """

    def __init__(self, row: Row, whole: Case, aligned: Aligned | None) -> None:
        self.row = row
        self._whole, self._aligned = whole, aligned

    def maps(self) -> dict[str, Array]:
        """The maps that exist: `ssim` and `error` of the reference's shape, `consistency`.

        Where a displacement was undone, the first two are nan beyond what was compared.
        """
        maps: dict[str, Array] = {}
        if self._aligned is not None:
            case = self._aligned.case
            if not math.isnan(case.data_range):
                pair = [plane.pixels for plane in case.pair]
                maps["ssim"] = ssim_map(*pair, data_range=case.data_range)
            if not case.image.flat:
                maps["error"] = error_of(case)
            maps = {name: self._placed(pixels) for name, pixels in maps.items()}
        image, raw = self._whole.image, self._whole.raw
        if raw is None or raw.flat or image.flat or self.row.method == Role.RAW:
            return maps
        if _enlarged(raw, image, self._whole.scale):
            maps["consistency"] = consistency_map(raw.pixels, image.pixels, scale=self._whole.scale)
        return maps

    def _placed(self, pixels: Array) -> Array:
        """A map of what was compared, within the whole reference."""
        assert self._aligned is not None
        shape = self._whole.pair[0].shape
        if pixels.shape == shape:
            return pixels
        top, left = self._aligned.origin
        whole = np.full(shape, np.nan, np.float32)
        whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        return whole


class Scorer:
    """One plane of reference, raw image and mask, for any number of methods.

    Parameters
    ----------
    reference, raw : Plane or None
        The ground truth, and the untouched image.
    options : ScoreOptions
    value_range : (float, float) or None
        Over all references, for the data range `set`.
    mask : Mask or None
    no_raw : str
        Why the raw image could not be read.

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import Scorer, ScoreOptions
    >>> from cellqa.planes.plane import Plane
    >>> truth, image = (Plane.of(np.eye(64) * k, "image") for k in (200, 190))
    >>> scored = Scorer(truth, ScoreOptions()).score("", "net", image)
    >>> round(scored.row.values["psnr"], 1)
    44.1
    """

    def __init__(
        self,
        reference: Plane | None,
        options: ScoreOptions,
        value_range: tuple[float, float] | None = None,
        *,
        raw: Plane | None = None,
        mask: Mask | None = None,
        no_raw: str = "",
    ) -> None:
        self.reference, self.raw, self.options = reference, raw, options
        self._no_raw = no_raw
        self._limits: tuple[float, float] | None = None
        self.data_range: float = Undefined("")
        self.mask = mask
        if reference is not None:
            self.data_range, self._limits = _data_range(reference, options.data_range, value_range)
            if options.foreground == "otsu":
                self.mask = Mask.otsu(reference)
            self.mask = self.mask.fitting(reference.shape) if self.mask else None
        there = {
            Role.REFERENCE: reference is not None,
            Role.RAW: raw is not None or bool(no_raw),
            Role.MASK: self.mask is not None,
        }
        self.given = {role for role, is_there in there.items() if is_there}

    def score(
        self,
        name: str,
        method: str,
        plane: Plane,
        pixel_size: float | None = None,
        notes: Sequence[str] = (),
    ) -> Scored:
        """Score a method's plane.

        Parameters
        ----------
        name : str
            Of the plane, for its row.
        method : str
            Its name; or a role, of which nothing is compared with itself.
        plane : Plane
        pixel_size : float or None
            In micrometres.
        notes : sequence of str
            What is known to distrust.

        Raises
        ------
        ImageError
            The plane is of another size than its reference, or displaced beyond it.
        """
        # lengths in pixels are in those of the enhanced images
        pixels = float(self.options.scale) if method == Role.RAW else 1.0
        whole = self._case(plane, pixel_size or pixels)
        wanted = [m for m in self.options.metrics if m.applies(method, self.given)]
        compared = [m for m in wanted if Role.REFERENCE in m.needs]
        others = [m for m in wanted if Role.REFERENCE not in m.needs]
        told = list(notes)
        values: dict[str, float] = {}
        aligned = None
        if self.reference is not None and method != Role.REFERENCE:
            if plane.shape == self.reference.shape:
                aligned = Aligned(whole)
            else:
                values = self._of_another_size(method, plane, compared)
        if aligned is not None and self.options.register:
            needs_raw = any(Role.RAW in m.needs for m in compared)
            aligned = _undone(aligned.case, needs_raw)
            moves = {"shift_y": aligned.y, "shift_x": aligned.x}
            own = [m.name for m in compared if m.measure is alignment.measure]
            values = {n: moves[n] for n in own}
            if isinstance(aligned.y, Undefined) and isinstance(aligned.x, Undefined):
                told.append(f"{method} could not be registered")
        left = [m for m in compared if m.name not in values]
        values |= self._measured(left, aligned.case if aligned else whole)
        values |= self._measured(others, whole)
        reasons = [v.reason for v in values.values() if isinstance(v, (Undefined, Bound))]
        row = Row(
            name,
            method,
            pixel_size=pixel_size,
            data_range=None if math.isnan(self.data_range) else self.data_range,
            values={m.name: values[m.name] for m in self.options.metrics if m.name in values},
            reason="; ".join(dict.fromkeys(r for r in reasons if r)),
            notes=(*told, *self._notes(method, plane, values)),
            limits=self._own_limits(),
            objects=tuple(_objects(aligned)) if aligned else (),
            digest=plane.digest,
        )
        return Scored(row, whole, aligned)

    def _case(self, plane: Plane, pixel_size: float) -> Case:
        return Case(
            plane,
            self.reference,
            self.raw,
            self.mask.labels if self.mask else None,
            self.data_range,
            pixel_size,
            self.options.scale,
            self.options.compat == "ciegan",
            self.options.frc_threshold,
        )

    def _of_another_size(
        self, method: str, plane: Plane, compared: Iterable[Metric]
    ) -> dict[str, float]:
        """Why nothing of a smaller raw image is compared.

        Raises
        ------
        ImageError
            It is no raw image, or not smaller by the scale.
        """
        assert self.reference is not None
        scale = self.options.scale
        if method != Role.RAW or not _enlarged(plane, self.reference, scale):
            ours, theirs = (" x ".join(map(str, p.shape)) for p in (plane, self.reference))
            raise ImageError(f"size {ours} differs from the ground truth's {theirs}")
        smaller = Undefined(f"the input is smaller than its ground truth (--scale {scale})")
        return {m.name: smaller for m in compared}

    def _measured(self, wanted: Iterable[Metric], case: Case) -> dict[str, float]:
        """Values of these metrics, family by family."""
        families: dict[Family, list[Metric]] = {}
        for each in wanted:
            families.setdefault(each.measure, []).append(each)
        values: dict[str, float] = {}
        for family, metrics in families.items():
            lacking = {m.name: reason for m in metrics if (reason := self._lacking(m, case))}
            values |= {name: Undefined(reason) for name, reason in lacking.items()}
            computed = [m for m in metrics if m.name not in lacking]
            if computed:
                values |= _computed(family, case, [m.name for m in computed], computed[0].extra)
        return values

    def _lacking(self, metric: Metric, case: Case) -> str:
        """Why a metric cannot be computed; empty if it can."""
        if Role.RAW in metric.needs and case.raw is None:
            of = "rsp, rse" if metric.measure is consistency.measure else metric.name
            return f"{of}: input: {self._no_raw}"
        if Role.MASK in metric.needs and case.mask is None:
            return f"foreground scores: {self.mask.missing if self.mask else ''}"
        if Role.MASK in metric.needs and case.mask is not None and not case.mask.names.size:
            return EMPTY
        return ""

    def _own_limits(self) -> tuple[float, float] | None:
        """Extremes of a reference whose data range is a matter of choice."""
        if self.reference is None or self.reference.dtype == np.uint8:
            return None
        return self.reference.extremes

    def _notes(self, method: str, plane: Plane, values: Mapping[str, float]) -> list[str]:
        notes = []
        if self.reference is not None and plane.dtype != self.reference.dtype:
            notes.append(
                f"{method} is {plane.dtype} but its ground truth {self.reference.dtype}: "
                "values were compared as they are"
            )
        if self._limits is not None:
            low, high = self._limits
            if plane.extremes[0] < low or plane.extremes[1] > high:
                notes.append(f"{method} has values beyond the data range")
        if _saturated(plane):
            notes.append(
                f"{method} is saturated: over {SATURATED:.1%} of the pixels are at the type's "
                "largest value, where structure is lost"
            )
        shift = math.hypot(values.get("shift_y", math.nan), values.get("shift_x", math.nan))
        if shift > LARGEST_SHIFT and not self.options.register:
            notes.append(
                f"{method} is displaced against its ground truth by more than {LARGEST_SHIFT} "
                "pixels (shift_y, shift_x), which lowers its scores: see --register"
            )
        return notes


def _computed(family: Family, case: Case, names: Sequence[str], extra: str) -> Mapping[str, float]:
    """What a family computes of these; of others' code, an error is a value that does not exist."""
    if getattr(family, "__module__", "").partition(".")[0] == "cellqa":
        known = family(case, set(names))
        return {name: known[name] for name in names}
    try:
        known = family(case, set(names))
        return {name: _number(name, known) for name in names}
    except Exception as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        if isinstance(error, ModuleNotFoundError) and extra:
            why = f"needs {error.name}; install the extra {extra!r} of its package"
        return {name: Undefined(f"{name}: {why}") for name in names}


def _number(name: str, known: Mapping[str, Any]) -> float:
    """A value as a number, where somebody else's family gives one."""
    if name not in known:
        return Undefined(f"{name}: its family gives no value")
    value = known[name]
    if isinstance(value, (Undefined, Bound)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return Undefined(f"{name}: its family gives no number ({type(value).__name__})")


def _undone(case: Case, needs_raw: bool) -> Aligned:
    """The displacement, and the case over what both images show once it is undone.

    Raises
    ------
    ImageError
        Nothing is left.
    """
    reference, image = case.pair
    told = displacement(reference, image)
    by = _known(told)
    if math.hypot(*by) < _STILL:
        return Aligned(case, *told)
    moved, _ = moved_back(image.pixels, by)
    again = _known(displacement(reference, Plane(np.ascontiguousarray(moved), image.dtype)))
    if math.hypot(*again) < 1:
        by = by[0] + again[0], by[1] + again[1]
    moved, (rows, columns) = moved_back(image.pixels, by)

    def cropped(pixels: Array, of: Plane) -> Plane:
        return Plane(np.ascontiguousarray(pixels[rows, columns]), of.dtype)

    shown = cropped(reference.pixels, reference)
    if not shown.pixels.size:
        raise ImageError(f"displaced by more than its size ({by[0]:.1f}, {by[1]:.1f} pixels)")
    raw = None
    if needs_raw and case.raw is not None and case.raw.shape == image.shape:
        raw = cropped(moved_back(case.raw.pixels, by)[0], case.raw)  # as its enhanced image
    registered = replace(
        case,
        image=cropped(moved, image),
        reference=shown,
        raw=raw,
        mask=case.mask.cropped(rows, columns) if case.mask else None,
    )
    y, x = (t if math.isnan(t) else b for t, b in zip(told, by, strict=True))
    return Aligned(registered, y, x, (rows.start, columns.start))


def _known(displaced: tuple[float, float]) -> tuple[float, float]:
    """What can be undone of a displacement: along the lines of a grating, nothing can be told."""
    y, x = (0.0 if math.isnan(d) else float(d) for d in displaced)
    return y, x


def _objects(aligned: Aligned) -> Iterator[Object]:
    """Scores of each object of the mask, with its place in the whole reference."""
    top, left = aligned.origin
    for each in objects(aligned.case):
        yield each._replace(y=each.y + top, x=each.x + left)


def _saturated(plane: Plane) -> bool:
    """Whether more than a few pixels are at the largest value of an integer type."""
    if plane.dtype.kind not in "iu" or plane.extremes[1] < np.iinfo(plane.dtype).max:
        return False
    return bool((plane.pixels == plane.extremes[1]).mean() > SATURATED)


def _enlarged(small: Plane, large: Plane, scale: int) -> bool:
    return tuple(scale * n for n in small.shape) == large.shape


def _data_range(
    reference: Plane, how: str | float, of_set: tuple[float, float] | None
) -> tuple[float, tuple[float, float] | None]:
    """L, and the limits that values should keep."""
    if isinstance(how, (int, float)):
        return float(how), (0.0, float(how))
    if how == "dtype":
        if reference.dtype.kind not in "iu":
            reason = f"psnr, ssim, ms_ssim: --data-range dtype means nothing for {reference.dtype}"
            return Undefined(reason), None
        info = np.iinfo(reference.dtype)
        return float(info.max), (float(info.min), float(info.max))
    if how == "auto" and reference.dtype == np.uint8:
        return 255.0, (0.0, 255.0)
    low, high = of_set or reference.extremes
    if low == high:
        return Undefined("psnr, ssim, ms_ssim: the ground truth is constant, its range 0"), None
    return high - low, (low, high)
