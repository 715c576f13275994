"""Which part of a plane holds a picture: without margins, and without pixels that stand alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cellqa.planes import Array
from cellqa.planes.compiled import kernel
from cellqa.planes.plane import Plane
from cellqa.shown import one_line

_CORNER = 3  # pixels of one value a side that may be the corner of a margin
_LEAST = 0.4  # of the plane: what is left by a margin
_CORNERS = 8  # of what a rotated picture leaves of a canvas
_STRAIGHT = 2.0  # pixels that an edge may deviate from a line
_FEW = 1e-4  # of the pixels: more are no outliers
_FAR = 12.0  # standard deviations within which no outlier is looked for


NO_PLACES = np.zeros((0, 2), np.int64)


@dataclass(frozen=True)
class Region:
    """What of a plane is judged.

    Attributes
    ----------
    rows, columns : slice
        The largest rectangle of pixels that hold a picture.
    outliers : ndarray of int, shape (n, 2)
        Pixels of the whole plane that are no picture: hot and dead ones of the sensor. They are
        replaced by the median of their neighbours, in every image that is compared.
    margin : bool
        Whether a margin was found and left out.
    """

    rows: slice
    columns: slice
    outliers: Array
    margin: bool = False

    __repr__ = one_line

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.rows.start == self.columns.start == 0 and self.rows.stop is None

    @classmethod
    def of(cls, planes: list[Plane], valid: Array | None = None) -> Region:
        """The region of planes of one shape; `valid` is 0 where there is none.

        Raises
        ------
        ValueError
            Nothing is left.
        """
        invalid = None if valid is None else valid == 0
        found = False
        for plane in planes:
            border = margin_of(plane)
            if border is not None:
                found = True
                invalid = border if invalid is None else invalid | border
        outliers = outliers_of(planes[0])
        if invalid is None or not invalid.any():
            return cls(slice(0, None), slice(0, None), outliers)
        top, bottom, left, right = largest_rectangle(invalid)
        if bottom - top < 1 or right - left < 1:
            raise ValueError("nothing is valid: no pixel is left")
        return cls(slice(int(top), int(bottom)), slice(int(left), int(right)), outliers, found)

    def taken(self, plane: Plane, *, own: bool = False) -> Plane:
        """The part of a plane, without the outliers; with `own`, without its own ones too."""
        at = self.outliers
        if own:
            at = np.unique(np.concatenate([at, outliers_of(plane)]), axis=0)
        if not len(at) and self.whole:
            return plane
        pixels = mended(plane.pixels, at) if len(at) else plane.pixels
        inner = np.ascontiguousarray(pixels[self.rows, self.columns])
        missing = plane.missing
        left = None if missing is None else missing[self.rows, self.columns]
        return Plane(inner, plane.dtype, left if left is not None and left.any() else None)

    def enlarged(self, factor: int) -> Region:
        """The region of a plane of `factor` times the pixels along each side; no outliers."""
        return self._scaled(lambda n: n * factor)

    def reduced(self, factor: int) -> Region:
        """The region of a plane of `factor` times fewer pixels along each side; no outliers."""
        return self._scaled(lambda n: n // factor)

    def aligned(self, factor: int) -> Region:
        """The part whose sides are whole multiples of `factor`."""
        if self.whole or factor == 1:
            return self
        rows, columns = (
            slice(-(-s.start // factor) * factor, s.stop // factor * factor)
            for s in (self.rows, self.columns)
        )
        return replace(self, rows=rows, columns=columns)

    def _scaled(self, scale: Callable[[int], int]) -> Region:
        none = self.outliers[:0]
        if self.whole:
            return replace(self, outliers=none)
        rows, columns = (slice(scale(s.start), scale(s.stop)) for s in (self.rows, self.columns))
        return Region(rows, columns, none, self.margin)


def margin_of(plane: Plane) -> Array | None:
    """Pixels (true) of a margin of one value, or of nan: of a mosaic, or of a rotated canvas.

    It holds a whole side or all four corners, and what it leaves is convex with straight edges: a
    background that was cut to black is none.
    """
    if plane.flat:
        return None
    empty = plane.missing
    pixels = plane.pixels
    invalid = np.zeros(plane.shape, bool)
    from scipy.ndimage import label  # slow to import

    for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        block = _corner(pixels, y, x)
        gone = empty is not None and bool(empty[y, x])
        if invalid[y, x] or not (gone or (block == block[0, 0]).all()):
            continue
        alike = empty if gone else pixels == pixels[y, x]
        parts, _ = label(alike)
        invalid |= parts == parts[y, x]
    left = ~invalid
    sides = invalid[0], invalid[-1], invalid[:, 0], invalid[:, -1]
    corners = invalid[0, 0], invalid[0, -1], invalid[-1, 0], invalid[-1, -1]
    if not (all(corners) or any(side.all() for side in sides)) or left.mean() < _LEAST:
        return None
    return invalid if _straight(left) else None


def _corner(pixels: Array, y: int, x: int) -> Array:
    rows = slice(0, _CORNER) if y == 0 else slice(-_CORNER, None)
    columns = slice(0, _CORNER) if x == 0 else slice(-_CORNER, None)
    return pixels[rows, columns]


def _straight(left: Array) -> bool:
    """Whether pixels fill a convex shape of few corners."""
    import cv2

    contours, _ = cv2.findContours(left.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(contours))
    corners = cv2.approxPolyDP(hull, _STRAIGHT, True)
    if len(corners) > _CORNERS:
        return False
    filled = np.zeros(left.shape, np.uint8)
    cv2.fillConvexPoly(filled, hull, 1)
    outline = int(cv2.arcLength(hull, True))
    return int((filled != 0).sum() - left.sum()) <= _STRAIGHT * outline


@kernel()
def largest_rectangle(invalid: Array) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the largest rectangle without an invalid pixel."""
    rows, columns = invalid.shape
    heights = np.zeros(columns + 1, np.int64)
    stack = np.zeros(columns + 1, np.int64)
    best = (0, 0, 0, 0)
    largest = 0
    for y in range(rows):
        for x in range(columns):
            heights[x] = 0 if invalid[y, x] else heights[x] + 1
        depth = 0
        for x in range(columns + 1):
            while depth > 0 and heights[stack[depth - 1]] >= heights[x]:
                depth -= 1
                height = heights[stack[depth]]
                start = stack[depth - 1] + 1 if depth > 0 else 0
                if height * (x - start) > largest:
                    largest = height * (x - start)
                    best = (y + 1 - height, y + 1, start, x)
            stack[depth] = x
            depth += 1
    return best


def outliers_of(plane: Plane) -> Array:
    """Places (y, x) of pixels that stand alone and far out; shape (n, 2).

    At most one in 10,000 pixels lies beyond the others by more than their whole range, and most of
    its neighbours do not: hot and dead pixels of a sensor, cosmic rays. 8-bit images have none.
    """
    return np.asarray(plane.once(_outliers))


def _outliers(plane: Plane) -> Array:
    none = NO_PLACES
    if plane.dtype.itemsize == 1 or min(plane.shape) < _CORNER:
        return none
    pixels = plane.pixels
    some = pixels[::4, ::4].astype(np.float64)
    with np.errstate(over="ignore"):  # at the end of floating point
        centre, spread = float(some.mean()), float(some.std())
    low, high = plane.extremes
    if max(high - centre, centre - low) <= _FAR * spread:
        return none
    rank = int(_FEW * pixels.size) + 1
    ranked = np.partition(pixels, (rank, pixels.size - 1 - rank), axis=None)
    bottom, top = float(ranked[rank]), float(ranked[-1 - rank])
    reach = top - bottom
    if reach == 0:
        return none  # they are all that there is
    far = (pixels > top + reach) | (pixels < bottom - reach)
    places = np.argwhere(far)
    if len(places) > rank or not len(places):
        return none
    alone = [abs(_around(pixels, y, x) - (top + bottom) / 2) <= 1.5 * reach for y, x in places]
    return np.asarray(places[alone]) if alone else none


def span(plane: Plane) -> tuple[float, float]:
    """Smallest and largest value, but for outliers."""
    places = outliers_of(plane)
    if not len(places):
        return plane.extremes
    known: tuple[float, float] = plane.once(_span)
    return known


def _span(plane: Plane) -> tuple[float, float]:
    pixels = mended(plane.pixels, outliers_of(plane))
    return float(pixels.min()), float(pixels.max())


def _around(pixels: Array, y: int, x: int) -> float:
    """The median of a pixel's neighbours."""
    block = pixels[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].astype(np.float64)
    others = np.ones(block.shape, bool)
    others[min(y, 1), min(x, 1)] = False
    return float(np.median(block[others]))


def mended(pixels: Array, places: Array) -> Array:
    """A copy with the median of the neighbours at these places."""
    out = pixels.copy()
    for y, x in places:
        out[y, x] = _around(pixels, int(y), int(x))
    return out
