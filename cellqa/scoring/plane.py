"""One plane of reference, raw image and mask, against which each method's plane is scored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellqa.enhance.filters import as_type
from cellqa.errors import Bound, ImageError, Undefined
from cellqa.metrics import alignment, consistency
from cellqa.metrics.case import Case, Family
from cellqa.metrics.consistency import consistency_map
from cellqa.metrics.detail import budget_of, enlarged
from cellqa.metrics.detail_map import TILE, map_of
from cellqa.metrics.fitted import error_of
from cellqa.metrics.foreground import EMPTY
from cellqa.metrics.metric import Metric
from cellqa.metrics.structural import ssim_map
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.planes.blocks import times
from cellqa.planes.labels import Mask
from cellqa.planes.plane import Plane
from cellqa.scoring.aligned import Aligned, against_raw, placed_objects, undone
from cellqa.scoring.data_range import data_range
from cellqa.scoring.distrust import of_plane, of_values
from cellqa.scoring.families import values_of
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.parts import Parts
from cellqa.scoring.segmenting import Finder
from cellqa.tables.rows import Row

_BOTH = {Role.REFERENCE, Role.RAW}


@dataclass(frozen=True)
class Shapes:
    """Of the whole reference and raw image; and where the raw image's part begins."""

    reference: tuple[int, ...] = ()
    raw: tuple[int, ...] = ()
    raw_origin: tuple[int, int] = (0, 0)


class Scored:
    """What is known of a method's plane.

    Attributes
    ----------
    row : Row
    """

    def __init__(self, row: Row, whole: Case, aligned: Aligned | None, shape: Shapes) -> None:
        self.row = row
        self._whole, self._aligned, self._shape = whole, aligned, shape

    def maps(self) -> dict[str, Array]:
        """The maps that exist: `ssim`, `error`, `invented` of the reference's shape, `consistency`.

        They are nan beyond what was compared.
        """
        maps: dict[str, Array] = {}
        if self._aligned is not None:
            case = self._aligned.case
            if not math.isnan(case.data_range):
                pair = [plane.pixels for plane in case.pair]
                maps["ssim"] = ssim_map(*pair, data_range=case.data_range)
            if not case.image.flat:
                maps["error"] = error_of(case)
            judged = case.raw is not None and self.row.method != Role.RAW
            judged = judged and min(case.image.shape) >= TILE
            if judged and not isinstance(case.once(budget_of), str):
                maps["invented"] = map_of(case)
            origin, shape = self._aligned.origin, self._shape.reference
            maps = {name: _placed(pixels, origin, shape) for name, pixels in maps.items()}
        image, raw = self._whole.image, self._whole.raw
        if raw is None or raw.flat or image.flat or self.row.method == Role.RAW:
            return maps
        if _enlarged(raw, image, self._whole.scale):
            of_raw = consistency_map(raw.pixels, image.pixels, scale=self._whole.scale)
            maps["consistency"] = _placed(of_raw, self._shape.raw_origin, self._shape.raw)
        return maps


def _placed(pixels: Array, origin: tuple[int, int], shape: tuple[int, ...]) -> Array:
    """A map of what was compared, within the whole image."""
    if pixels.shape == shape:
        return pixels
    top, left = origin
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
    valid : ndarray or None, shape of the reference
        0 where there is no picture.
    labels : dict, optional
        Method, or `gt`, to the labels of its objects.

    Raises
    ------
    ImageError
        Nothing of the reference is valid, or it holds NaN where it should be.

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
        valid: Array | None = None,
        labels: Mapping[str, Mask] | None = None,
    ) -> None:
        self.options, self._no_raw = options, no_raw
        self._parts = parts = Parts(reference, raw, options.scale, valid)
        self._shape = Shapes(
            reference.shape if reference else (),
            raw.shape if raw else (),
            parts.origin(raw) if raw else (0, 0),
        )
        region = parts.region(reference) if reference else None
        self._outliers = len(region.outliers) if region else 0
        self._margin = region is not None and region.margin
        self._origin = parts.origin(reference) if reference else (0, 0)
        self._finder = Finder(
            options.objects, options.objects_seconds, labels or {}, self._shape.reference, region
        )
        if reference is not None:
            reference = parts.taken(reference, "the ground truth", own=False)
        self.reference = reference
        self.raw = parts.taken(raw, "the raw image", own=True) if raw else None
        self._limits: tuple[float, float] | None = None
        self.data_range: float = Undefined("")
        self.mask = mask
        if reference is not None:
            self.data_range, self._limits = data_range(reference, options.data_range, value_range)
            if self.mask and region:
                self.mask = self.mask.fitting(self._shape.reference)
                if not region.whole:
                    self.mask = self.mask.cropped(region.rows, region.columns)
            if options.foreground == "otsu":
                self.mask = Mask.otsu(reference)
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
            The plane is of another size than its reference, displaced beyond it, or holds NaN
            where it is scored.
        """
        if method != Role.REFERENCE:
            self.check_shape(method, plane.shape)
        digest = plane.digest
        alike = plane.shape == self._shape.reference
        part, beside = self._taken(method, plane)
        # lengths in pixels are in those of the enhanced images
        pixels = float(self.options.scale) if method == Role.RAW else 1.0
        whole = replace(
            self._case(part, pixel_size or pixels), outlines=self._finder.outlines(method)
        )
        wanted = [m for m in self.options.metrics if m.applies(method, self.given)]
        told = list(notes)
        aligned = control = None
        if self._compared(method):
            aligned = Aligned(self._beside(whole, beside, alike), origin=self._origin)
            if self.options.register:
                aligned = undone(aligned, any({*m.needs} >= _BOTH for m in wanted))
                if isinstance(aligned.y, Undefined) and isinstance(aligned.x, Undefined):
                    told.append(f"{method} could not be registered")
        elif self._finder.controlled:
            control = Aligned(whole, origin=self._origin)
        values = self._values(method, wanted, whole, aligned)
        placed = aligned or control
        objects, found = placed_objects(placed) if placed else ((), None)
        if placed and found is None and self._finder.expected(method):
            told.append(f"{method}: objects were not compared, see `reason`")
        reasons = [v.reason for v in values.values() if isinstance(v, (Undefined, Bound))]
        row = Row(
            name,
            method,
            pixel_size=pixel_size,
            data_range=None if math.isnan(self.data_range) else self.data_range,
            values={m.name: values[m.name] for m in self.options.metrics if m.name in values},
            reason="; ".join(dict.fromkeys(r for r in reasons if r)),
            notes=(*told, *self._notes(method, part, values, alone=beside is not part)),
            limits=self._own_limits(),
            objects=objects,
            found=found,
            digest=digest,
        )
        return Scored(row, whole, aligned, self._shape)

    def _compared(self, method: str) -> bool:
        return self.reference is not None and method != Role.REFERENCE

    def _taken(self, method: str, plane: Plane) -> tuple[Plane, Plane]:
        """What is scored of an image: alone, and beside the reference; one object if they agree.

        Beside it, what the reference does not have counts as error.
        """
        part = self._parts.taken(plane, "the image", own=True)
        if not self._compared(method):
            return part, part
        beside = self._parts.taken(plane, "the image", own=False)
        return part, part if np.array_equal(part.pixels, beside.pixels) else beside

    def _beside(self, whole: Case, beside: Plane, alike: bool) -> Case:
        """An image as it is compared with the reference."""
        if self.reference is not None and not alike:
            # a raw image of larger pixels is compared as it is when enlarged
            dtype = whole.image.dtype
            finer = as_type(enlarged(beside, self.reference.shape).pixels, dtype)
            size = whole.pixel_size / self.options.scale
            return replace(whole, image=Plane(finer, dtype), pixel_size=size)
        if beside is not whole.image:
            return replace(whole, image=beside)
        return whole  # what is known of it serves all families

    def _values(
        self, method: str, wanted: Sequence[Metric], whole: Case, aligned: Aligned | None
    ) -> dict[str, float]:
        """Values of these metrics, each on the image as its family sees it."""
        compared = [m for m in wanted if Role.REFERENCE in m.needs]
        alone = [m for m in wanted if not _BOTH & {*m.needs}]
        of_raw = [m for m in wanted if m not in compared and m not in alone]
        values: dict[str, float] = {}
        if aligned is not None and self.options.register:  # what was undone is the displacement
            moves = {"shift_y": aligned.y, "shift_x": aligned.x}
            own = [m.name for m in compared if m.measure is alignment.measure]
            values = {n: moves[n] for n in own}
        left = [m for m in compared if m.name not in values]
        values |= self._measured(left, aligned.case if aligned else whole)
        moved = self.options.register and self.raw is not None and method != Role.RAW
        values |= self._measured(alone, whole)
        values |= self._measured(of_raw, against_raw(whole) if moved else whole)
        return values

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
            self._raw_noise(),
        )

    def _raw_noise(self) -> float | None:
        """Variance of the raw image's noise, where its camera is known."""
        if self.options.camera is None or self.raw is None:
            return None
        gain, offset, read = self.options.camera
        return max(gain * (self.raw.mean - offset), 0.0) + read**2

    def check_shape(self, method: str, shape: tuple[int, ...]) -> None:
        """Refuse a plane of another size than its reference's, before it is loaded.

        Raises
        ------
        ImageError
            It is, and no raw image that is smaller by the scale.
        """
        whole = self._shape.reference
        if self.reference is None or method == Role.REFERENCE or shape == whole:
            return
        if method != Role.RAW or tuple(self.options.scale * n for n in shape) != whole:
            ours, theirs = (" x ".join(map(str, s)) for s in (shape, whole))
            larger = times(shape, whole) if method == Role.RAW else 0
            hint = f" (if that is enlarged: --scale {larger})" if larger > 1 else ""
            raise ImageError(f"size {ours} differs from the ground truth's {theirs}{hint}")

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
                values |= values_of(family, case, [m.name for m in computed], computed[0].extra)
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

    def _notes(
        self, method: str, plane: Plane, values: Mapping[str, float], alone: bool
    ) -> list[str]:
        notes = []
        if method == Role.REFERENCE and self._margin:
            notes.append("a margin of one value was found and left out of every score")
        if method == Role.REFERENCE and self._outliers:
            notes.append(
                "gt has outliers (hot or dead pixels, alone and far out): the median of their "
                "neighbours took their place in every image"
            )
        if alone:
            notes.append(
                f"{method} has outliers (hot or dead pixels, alone and far out) that its ground "
                "truth has not: they count as errors, and no metric without ground truth sees them"
            )
        notes += of_plane(method, plane, self.reference, self._limits)
        return [*notes, *of_values(method, values, registered=self.options.register)]


def _enlarged(small: Plane, large: Plane, scale: int) -> bool:
    return tuple(scale * n for n in small.shape) == large.shape
