"""One plane of ground truth, input and mask, against each method's plane."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cellqa.errors import Bound, ImageError, Undefined
from cellqa.io import MAX_PIXELS
from cellqa.metrics._family import Labels, Settings
from cellqa.metrics.alignment import displacement, moved_back
from cellqa.metrics.consistency import consistency_map
from cellqa.metrics.fitted import error_map
from cellqa.metrics.foreground import EMPTY, Object, objects
from cellqa.metrics.registry import Metric, for_run
from cellqa.metrics.structural import ssim_map
from cellqa.planes.plane import Plane
from cellqa.tables.rows import Row

Array = npt.NDArray[Any]

LARGEST_SHIFT = 0.3  # pixels; beyond, a run warns
SATURATED = 0.005  # share of pixels at the type's largest value from which a run warns


@dataclass(frozen=True)
class ScoreOptions:
    """What a scoring run may be told.

    Attributes
    ----------
    metrics : tuple of Metric
    data_range : str or float
        `auto`: 255 for uint8, else max - min of the image's ground truth; `dtype`: the type's
        maximum; `set`: max - min over all ground truths; a number: 0 to that number.
    pixel_size : float or None
        In micrometres; None takes it from the files.
    compat : str or None
        `ciegan` for the definitions of the CIEGAN authors' program.
    max_pixels : int
        Larger planes are refused before memory is taken.
    foreground : str or None
        `otsu`: pixels of the ground truth above Otsu's threshold are the mask.
    register : bool
        Undo each image's displacement before it is compared with its ground truth.
    scale : int
        How many times the pixels of the input the other images have along each side.
    maps : str or None
        Folder for maps of SSIM, error and consistency.
    """

    metrics: tuple[Metric, ...] = field(default_factory=for_run)
    data_range: str | float = "auto"
    pixel_size: float | None = None
    compat: str | None = None
    max_pixels: int = MAX_PIXELS
    foreground: str | None = None
    register: bool = False
    scale: int = 1
    maps: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.data_range, str) and self.data_range not in ("auto", "dtype", "set"):
            raise ValueError(
                f"`data_range` must be auto, dtype, set or a number, got {self.data_range!r}"
            )
        if not isinstance(self.data_range, str) and not 0 < self.data_range < math.inf:
            raise ValueError(f"`data_range` must be above 0, got {self.data_range}")
        if self.pixel_size is not None and not 0 < self.pixel_size < math.inf:
            raise ValueError(f"`pixel_size` must be above 0 micrometres, got {self.pixel_size}")
        if self.foreground not in (None, "otsu"):
            raise ValueError(f"`foreground` must be otsu, got {self.foreground!r}")
        if self.scale < 1:
            raise ValueError(f"`scale` must be 1 or more, got {self.scale}")
        if self.compat not in (None, "ciegan"):
            raise ValueError(f"`compat` must be ciegan, got {self.compat!r}")


@dataclass(frozen=True)
class Mask:
    """The foreground of a plane, or why there is none.

    Attributes
    ----------
    labels : Labels or None
    missing : str
    """

    labels: Labels | None
    missing: str = ""

    @classmethod
    def of(cls, pixels: Array) -> Mask:
        """Take a mask's pixels as labels, or as true and false.

        Whole numbers are labels where two values or more are above 0, where the one value is
        neither 1 nor 255, and where the one value is 1 in more than 8 bits, as programs that label
        write a field of one cell. Anything else is true where it is not 0.
        """
        if pixels.ndim == 3:
            if (pixels[..., :3] != pixels[..., :1]).any():
                return cls(None, "the mask is in colour: give labels as whole numbers")
            pixels = pixels[..., 0]
        if pixels.dtype.kind == "b":
            return cls(Labels.of(pixels))
        low, high = float(pixels.min()), float(pixels.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            return cls(None, "the mask holds NaN or infinity")
        if low < 0:
            return cls(None, "the mask holds negative values")
        values = np.unique(pixels[pixels > 0])
        labelled = high < 2**53 and bool(np.all(values % 1 == 0))
        if values.size == 1 and values[0] in (1, 255):
            labelled = values[0] == 1 and pixels.dtype.itemsize > 1
        return cls(Labels.of(pixels if labelled else pixels != 0))

    @classmethod
    def otsu(cls, plane: Plane) -> Mask:
        """Pixels above Otsu's threshold (1979), which splits the histogram in two."""
        if plane.extremes[0] == plane.extremes[1]:
            return cls(None, "the ground truth is constant: nothing stands out")
        from skimage.filters import threshold_otsu  # slow to import

        return cls(Labels.of(plane.raw > threshold_otsu(plane.raw)))


class Scorer:
    """One plane of ground truth, prepared once, against each method's plane.

    Parameters
    ----------
    truth, raw : Plane or None
        The ground truth, and the unenhanced image.
    options : ScoreOptions
    value_range : (float, float) or None
        Over all ground truths, for the data range `set`.
    mask : Mask or None
    no_raw : str
        Why the unenhanced image could not be read.
    """

    def __init__(
        self,
        truth: Plane | None,
        options: ScoreOptions,
        value_range: tuple[float, float] | None,
        *,
        raw: Plane | None = None,
        mask: Mask | None = None,
        no_raw: str = "",
    ) -> None:
        self.truth, self.raw, self.no_raw = truth, raw, no_raw
        self.options = options
        self.limits: tuple[float, float] | None = None
        self.data_range: float = Undefined("")
        self.mask = mask
        if truth is not None:
            self.data_range, self.limits = _data_range(truth, options.data_range, value_range)
            if options.foreground == "otsu":
                self.mask = Mask.otsu(truth)
            self.mask = _checked(self.mask, truth)
        roles = (("gt", truth), ("input", raw or no_raw), ("mask", self.mask))
        self.given = {role for role, found in roles if found is not None and found != ""}
        self.prepared: dict[int, Any] = {}
        self.origin = (0, 0)  # where a cropped ground truth starts in the whole one

    def row(
        self, name: str, method: str, plane: Plane, pixel_size: float | None, notes: list[str]
    ) -> Row:
        """Score a method's plane."""
        truth = self.truth if method != "gt" else None
        wanted = [m for m in self.options.metrics if m.applies(method, self.given)]
        values: dict[str, float] = {}
        pair = self, plane
        if truth is not None and plane.raw.shape != truth.raw.shape:
            if not (method == "input" and _enlarged(plane, truth, self.options.scale)):
                ours, theirs = (" x ".join(map(str, p.raw.shape)) for p in (plane, truth))
                raise ImageError(f"size {ours} differs from the ground truth's {theirs}")
            smaller = Undefined(
                f"the input is smaller than its ground truth (--scale {self.options.scale})"
            )
            values = {m.name: smaller for m in wanted if "gt" in m.needs}
            wanted = [m for m in wanted if "gt" not in m.needs]
        elif truth is not None and self.options.register:
            found, pair = self._registered(plane)
            values = {m.name: found[m.name[-1]] for m in wanted if m.name in ("shift_y", "shift_x")}
            wanted = [m for m in wanted if m.name not in values]
            if isinstance(found["y"], Undefined):
                notes.append(f"{method} could not be registered")
        against = [m for m in wanted if "gt" in m.needs]
        values |= pair[0].measure(against, pair[1], pixel_size)
        values |= self.measure([m for m in wanted if "gt" not in m.needs], plane, pixel_size)
        reasons = [v.reason for v in values.values() if isinstance(v, (Undefined, Bound))]
        return Row(
            name,
            method,
            pixel_size=pixel_size,
            data_range=None if math.isnan(self.data_range) else self.data_range,
            values={m.name: values[m.name] for m in self.options.metrics if m.name in values},
            reason="; ".join(dict.fromkeys(r for r in reasons if r)),
            notes=(*notes, *self._notes(method, plane, values)),
            limits=self._own_limits(),
            objects=tuple(pair[0].objects(method, pair[1])),
        )

    def measure(
        self, wanted: list[Metric], plane: Plane, pixel_size: float | None
    ) -> dict[str, float]:
        """Values of these metrics, family by family."""
        settings = self._settings(pixel_size)
        values: dict[str, float] = {}
        for family in {id(m.family): m.family for m in wanted}.values():
            names = {m.name for m in wanted if m.family is family}
            missing = {m.name: self._missing(m) for m in wanted if m.name in names}
            values.update({n: Undefined(reason) for n, reason in missing.items() if reason})
            names -= values.keys()
            if not names:
                continue
            if id(family) not in self.prepared:
                every = {m.name for m in self.options.metrics if m.family is family}
                self.prepared[id(family)] = family.prepare(self.truth, settings, every)
            found = family.measure(self.prepared[id(family)], plane, settings, names)
            values.update({n: found[n] for n in names})
        return values

    def objects(self, method: str, plane: Plane) -> Iterator[Object]:
        """Scores of each object of the mask."""
        labels = self.mask.labels if self.mask else None
        if self.truth is None or method == "gt" or labels is None:
            return
        if plane.raw.shape == labels.labels.shape:
            top, left = self.origin
            for found in objects(self.truth, plane, self._settings(None)):
                yield found._replace(y=found.y + top, x=found.x + left)

    def maps(self, method: str, plane: Plane) -> dict[str, Array]:
        """The maps of a method's plane that exist: `ssim`, `error`, `consistency`."""
        found: dict[str, Array] = {}
        truth = self.truth
        if truth is not None and method != "gt" and plane.raw.shape == truth.raw.shape:
            scorer, moved = self._registered(plane)[1] if self.options.register else (self, plane)
            found = scorer.comparisons(moved, truth.raw.shape)
        raw = self.raw
        comparable = raw is not None and not raw.flat and not plane.flat and method != "input"
        if raw is not None and comparable and _enlarged(raw, plane, self.options.scale):
            found["consistency"] = consistency_map(raw.raw, plane.raw, scale=self.options.scale)
        return found

    def comparisons(self, plane: Plane, shape: tuple[int, ...]) -> dict[str, Array]:
        """Maps against the ground truth, of this shape; nan beyond what was compared."""
        assert self.truth is not None
        pair = self.truth.raw, plane.raw
        found: dict[str, Array] = {}
        if not math.isnan(self.data_range):
            found["ssim"] = ssim_map(*pair, data_range=self.data_range)
        if not plane.flat:
            found["error"] = error_map(*pair)
        top, left = self.origin
        height, width = plane.raw.shape
        for name, pixels in found.items() if (height, width) != shape else ():
            found[name] = np.full(shape, np.nan, np.float32)
            found[name][top : top + height, left : left + width] = pixels
        return found

    def _settings(self, pixel_size: float | None) -> Settings:
        return Settings(
            self.data_range,
            pixel_size or 1.0,
            self.options.compat == "ciegan",
            self.raw,
            self.options.scale,
            self.mask.labels if self.mask else None,
        )

    def _missing(self, metric: Metric) -> str:
        """Why a metric cannot be computed; empty if it can."""
        if "input" in metric.needs and self.raw is None:
            return f"rsp, rse: input: {self.no_raw}"
        if "mask" in metric.needs and self.mask is not None:
            if self.mask.labels is None:
                return f"foreground scores: {self.mask.missing}"
            if not self.mask.labels.names.size:
                return EMPTY
        return ""

    def _registered(self, plane: Plane) -> tuple[dict[str, float], tuple[Scorer, Plane]]:
        """The displacement, and scorer and plane over what both images show once it is undone."""
        assert self.truth is not None
        y, x = displacement(self.truth, plane)
        if math.isnan(y) or math.hypot(y, x) < 0.01:
            return {"y": y, "x": x}, (self, plane)
        moved, _ = moved_back(plane.raw, (y, x))
        again = displacement(self.truth, Plane(np.ascontiguousarray(moved), plane.dtype))
        if not math.isnan(again[0]) and math.hypot(*again) < 1:
            y, x = y + again[0], x + again[1]
        moved, (rows, columns) = moved_back(plane.raw, (y, x))

        def cropped(pixels: Array) -> Array:
            return np.ascontiguousarray(pixels[rows, columns])

        mask = self.mask
        if mask is not None and mask.labels is not None:
            mask = Mask(mask.labels.cropped(rows, columns))
        truth = Plane(cropped(self.truth.raw), self.truth.dtype)
        if not truth.raw.size:
            raise ImageError(f"displaced by more than its size ({y:.1f}, {x:.1f} pixels)")
        scorer = Scorer(truth, replace(self.options, foreground=None), None, mask=mask)
        scorer.data_range, scorer.limits = self.data_range, self.limits
        scorer.origin = rows.start, columns.start
        return {"y": y, "x": x}, (scorer, Plane(cropped(moved), plane.dtype))

    def _own_limits(self) -> tuple[float, float] | None:
        """Extremes of a ground truth whose data range is a matter of choice."""
        if self.truth is None or self.truth.dtype == np.uint8:
            return None
        return self.truth.extremes

    def _notes(self, method: str, plane: Plane, values: Mapping[str, float]) -> list[str]:
        notes = []
        if self.truth is not None and plane.dtype != self.truth.dtype:
            notes.append(
                f"{method} is {plane.dtype} but its ground truth {self.truth.dtype}: "
                "values were compared as they are"
            )
        if self.limits is not None:
            low, high = self.limits
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


def _saturated(plane: Plane) -> bool:
    """Whether more than a few pixels are at the largest value of an integer type."""
    if plane.dtype.kind not in "iu" or plane.extremes[1] < np.iinfo(plane.dtype).max:
        return False
    return bool((plane.raw == plane.extremes[1]).mean() > SATURATED)


def _enlarged(small: Plane, large: Plane, scale: int) -> bool:
    return tuple(scale * n for n in small.raw.shape) == large.raw.shape


def _checked(mask: Mask | None, truth: Plane) -> Mask | None:
    if mask is None or mask.labels is None or mask.labels.labels.shape == truth.raw.shape:
        return mask
    ours, theirs = (
        " x ".join(map(str, shape)) for shape in (mask.labels.labels.shape, truth.raw.shape)
    )
    return Mask(None, f"the mask's size {ours} differs from the ground truth's {theirs}")


def _data_range(
    truth: Plane, how: str | float, of_set: tuple[float, float] | None
) -> tuple[float, tuple[float, float] | None]:
    """L, and the limits that values should keep."""
    if isinstance(how, (int, float)):
        return float(how), (0.0, float(how))
    if how == "dtype":
        if truth.dtype.kind not in "iu":
            reason = f"psnr, ssim, ms_ssim: --data-range dtype means nothing for {truth.dtype}"
            return Undefined(reason), None
        info = np.iinfo(truth.dtype)
        return float(info.max), (float(info.min), float(info.max))
    if how == "auto" and truth.dtype == np.uint8:
        return 255.0, (0.0, 255.0)
    low, high = of_set or truth.extremes
    if low == high:
        return Undefined("psnr, ssim, ms_ssim: the ground truth is constant, its range 0"), None
    return high - low, (low, high)
