"""One image under judgement, and what a family of metrics is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.planes.labels import Labels, Mask
from cellqa.planes.plane import Plane, as_pair
from cellqa.shown import one_line

Value = TypeVar("Value")

UNKNOWN_RANGE = Undefined("psnr, ssim, ms_ssim: the data range is unknown")


Segment = Callable[[Plane], Labels]  # finds the objects of a plane


@dataclass(frozen=True)
class Outlines:
    """How the objects of an image and of its ground truth are found.

    Attributes
    ----------
    segment : callable or None
        Of what has no labels; None where labels alone say what is an object.
    truth, image : Mask or None
        Labels that the user gave, of the shape of what is compared.
    """

    segment: Segment | None = None
    truth: Mask | None = None
    image: Mask | None = None

    def moved(self, by: tuple[float, float], rows: slice, columns: slice) -> Outlines:
        """With the image's labels moved back by whole pixels, and all labels cropped."""
        back = None
        if self.image is not None:
            back = self.image.moved_back(round(by[0]), round(by[1])).cropped(rows, columns)
        truth = self.truth.cropped(rows, columns) if self.truth is not None else None
        return Outlines(self.segment, truth, back)


@dataclass(frozen=True)
class Case:
    """One image under judgement, with what it is judged by.

    Attributes
    ----------
    image : Plane
    reference : Plane or None
        The ground truth, of the image's shape.
    raw : Plane or None
        The untouched image.
    mask : Labels or None
        The foreground.
    data_range : float
        L of PSNR and SSIM; `Undefined` where the reference is constant.
    pixel_size : float
        In micrometres; 1 where unknown.
    scale : int
        How many times the raw image's pixels the image has along each side.
    compat : bool
        The definitions of the CIEGAN authors' program.
    raw_noise : float or None
        Variance of the raw image's noise in its squared grey levels; None for an estimate.
    frc_threshold : str
        `1/7`, `0.5` or `half-bit`; see `cellqa.frc`.
    outlines : Outlines or None
        How objects are found; None for the built-in segmentation, and the mask's labels as the
        truth's where there are some.

    Examples
    --------
    >>> import numpy as np
    >>> case = Case.of(np.ones((4, 4)), reference=np.zeros((4, 4)))
    >>> case.once(lambda case: float(case.image.mean - case.reference.mean))
    1.0
    """

    image: Plane
    reference: Plane | None = None
    raw: Plane | None = None
    mask: Labels | None = None
    data_range: float = UNKNOWN_RANGE
    pixel_size: float = 1.0
    scale: int = 1
    compat: bool = False
    frc_threshold: str = "1/7"
    raw_noise: float | None = None
    outlines: Outlines | None = None
    _known: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    __repr__ = one_line

    @classmethod
    def of(
        cls,
        image: npt.ArrayLike,
        *,
        reference: npt.ArrayLike | None = None,
        raw: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        **options: Any,
    ) -> Case:
        """A case of arrays, which are checked.

        Parameters
        ----------
        image, reference, raw : array_like, shape (Y, X)
        mask : array_like, shape (Y, X)
            0 is background, everything else foreground.
        **options
            As the attributes.

        Raises
        ------
        ValueError, TypeError
            Image and reference, or reference and mask, differ in shape; a value is NaN or infinite.
        """
        compared = None
        plane = Plane.of(image, "image") if reference is None else None
        if plane is None:
            compared, plane = as_pair(reference, image)  # type: ignore[arg-type]
        labels = None
        if mask is not None:
            pixels = np.asarray(mask)
            if pixels.shape != plane.shape:
                raise ValueError(
                    f"`mask` must have the shape of `reference` {plane.shape}, got {pixels.shape}"
                )
            labels = Labels.of(pixels != 0)
        source = Plane.of(raw, "raw") if raw is not None else None
        return cls(plane, compared, source, labels, **options)

    @property
    def pair(self) -> tuple[Plane, Plane]:
        """Reference and image, for families that are called only where there are both."""
        assert self.reference is not None
        return self.reference, self.image

    def once(self, compute: Callable[[Case], Value]) -> Value:
        """`compute(self)`, kept: several metrics need how image and reference correlate."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        value: Value = self._known[compute]
        return value


# The metrics of a family, computed together: `measure(case, names)` gives their values by name.
# Those in `names` are wanted; what else it gives is passed over.
Family = Callable[[Case, Set[str]], Mapping[str, float]]
