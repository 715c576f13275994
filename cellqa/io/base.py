"""What every reader gives: an open image file whose planes are loaded one at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from cellqa.errors import ImageError, first_line
from cellqa.io.acquisition import PIXEL_SIZE, Acquisition
from cellqa.io.formats import spoken
from cellqa.planes import Array
from cellqa.shown import one_line

# A plane of more pixels is refused before memory is taken for it (32768 x 32768).
MAX_PIXELS = 2**30

# A plane of more pixels is read and written in parts where its format allows it.
LARGE = 2**24

MISSING = "CELLQA_MISSING"  # of the environment: see `missing_rule`

# A file that claims more planes is refused before they are listed.
MAX_PLANES = 1_000_000

# Resolution tags coarser than this are a print setting (72, 300, 600 dpi), not a microscope's.
COARSEST_TAG_UM = 20.0

_SQUARE = 0.01  # sides of a pixel that differ by less are equal

_UNITS_UM = {
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "um": 1.0,
    "µm": 1.0,
    "\u03bcm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "pm": 1e-6,
    "picometer": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "inch": 25400.0,
    "in": 25400.0,
}


class PlaneIndex(NamedTuple):
    """Scene, time, channel and focus of a plane, each from 0."""

    s: int = 0
    t: int = 0
    c: int = 0
    z: int = 0

    def label(self, scenes: bool = False) -> str:
        """As in the tables: `t0c1z3`, with the scene first where a file has several."""
        label = f"t{self.t}c{self.c}z{self.z}"
        return f"s{self.s}{label}" if scenes else label


Size = tuple[float | None, float | None]  # sides (X, Y) of a pixel, in micrometres


@dataclass(frozen=True)
class TiffStructure:
    """How a TIFF file is built.

    Attributes
    ----------
    compression, photometric : int
        Codes of the first page.
    tile : tuple of int or None
        Height and width of its tiles.
    resolution : (tuple of float, int) or None
        Pixels a unit along X and Y, and the code of the unit, where stated.
    ome : str
        Its OME-XML, empty where it has none.
    imagej : dict or None
        ImageJ's metadata, where ImageJ wrote it.
    axes : str
        Of the first series, where tifffile named them.
    samples : bool
        Channels are samples of one page.
    """

    compression: int
    photometric: int
    tile: tuple[int, int] | None = None
    resolution: tuple[tuple[float, float], int] | None = None
    ome: str = ""
    imagej: dict[str, Any] | None = None
    axes: str = ""
    samples: bool = False


@dataclass
class ImageFile:
    """An open image file; use it in a `with` statement.

    Attributes
    ----------
    path : Path
    planes : tuple of PlaneIndex
        In the order S, T, C, Z.
    shape : tuple of int
        (Y, X), or (Y, X, S) with 2 to 4 colour samples, of the first plane.
    dtype : numpy.dtype
    pixel_size : float or None
        In micrometres, along X; None where the file does not say.
    pixel_size_y : float or None
        Along Y, where the file states it.
    scene_sizes : tuple of (float or None, float or None)
        Sides (X, Y) of the pixels of each scene; empty where all are alike.
    decode : callable
        What `load` calls; it may raise anything.
    on_close : callable
    scene_shapes : tuple of tuple of int
        Shape of the planes of each scene; empty where all are alike.
    decode_rows : callable or None
        What `load_rows` calls: plane, first row, row after the last. None where a plane can only be
        read whole.
    acquisition : callable
        Returns what the file says of how it was taken; it may raise anything.
    tiff : TiffStructure or None
        How a TIFF file is built, to write others as it is.
    """

    path: Path
    planes: tuple[PlaneIndex, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pixel_size: float | None
    decode: Callable[[PlaneIndex], Array]
    on_close: Callable[[], None] = field(default=lambda: None)
    scene_shapes: tuple[tuple[int, ...], ...] = ()
    decode_rows: Callable[[PlaneIndex, int, int], Array] | None = None
    acquisition: Callable[[], Acquisition] = Acquisition
    tiff: TiffStructure | None = None
    pixel_size_y: float | None = None
    scene_sizes: tuple[Size, ...] = ()
    _acquired: Acquisition | None = field(default=None, init=False, repr=False, compare=False)

    __repr__ = one_line

    def size_of(self, index: PlaneIndex) -> Size:
        """Sides (X, Y) of a plane's pixels, in micrometres: those of its scene."""
        if self.scene_sizes:
            return self.scene_sizes[index.s]
        return self.pixel_size, self.pixel_size_y

    def stretched(self, index: PlaneIndex) -> str:
        """What to know of pixels that are not square; empty where they are, or may be."""
        x, y = self.size_of(index)
        if not x or not y or abs(y / x - 1) <= _SQUARE:
            return ""
        return f"its pixels are not square ({x:g} x {y:g} µm)"

    def shape_of(self, index: PlaneIndex) -> tuple[int, ...]:
        """Shape of a plane: that of its scene, where scenes differ."""
        return self.scene_shapes[index.s] if self.scene_shapes else self.shape

    def load(self, index: PlaneIndex) -> Array:
        """Return the pixels of a plane, unchanged.

        Raises
        ------
        ImageError
            They cannot be decoded, or are not of the shape that the file states.
        """
        return self._checked(index, self.shape_of(index), self.decode, index)

    def load_rows(self, index: PlaneIndex, start: int, stop: int) -> Array:
        """Return the rows from `start` to below `stop` of a plane, unchanged.

        Memory is taken for these rows, where the format can be read in parts (`decode_rows`).

        Raises
        ------
        ImageError
            As `load`.
        """
        if self.decode_rows is None:
            return self.load(index)[start:stop]
        shape = (stop - start, *self.shape_of(index)[1:])
        return self._checked(index, shape, self.decode_rows, index, start, stop)

    def is_large(self, index: PlaneIndex) -> bool:
        """Whether a plane is to be read and written in parts, and can be."""
        height, width = self.shape_of(index)[:2]
        return self.decode_rows is not None and height * width > LARGE

    def acquired(self) -> Acquisition:
        """What the file says of how it was taken; nothing where that is damaged."""
        if self._acquired is None:  # once: a writer asks when the file may be closed
            try:
                self._acquired = self.acquisition()
            except Exception:  # metadata of any program, in any state
                self._acquired = Acquisition()
        return self._acquired

    def facts(self) -> tuple[str, ...]:
        """What it says of itself beside its pixels, in words."""
        sized = any(x for x, _ in map(self.size_of, self.planes))
        return (PIXEL_SIZE, *self.acquired().facts()) if sized else self.acquired().facts()

    def _checked(
        self, index: PlaneIndex, shape: tuple[int, ...], read: Callable[..., Array], *where: Any
    ) -> Array:
        try:
            pixels = np.asarray(read(*where))
        except ImageError:
            raise
        except Exception as error:  # a hostile file can bring any error up in a library
            raise ImageError(
                f"{spoken(self.path)}: damaged or truncated, plane {index.label()} cannot be "
                f"decoded ({first_line(error)})"
            ) from None
        if pixels.shape != shape:
            raise ImageError(
                f"{spoken(self.path)}: plane {index.label()} is of shape {pixels.shape}, "
                f"not {shape} as the file states"
            )
        return pixels

    def __enter__(self) -> ImageFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.on_close()

    def label(self, index: PlaneIndex) -> str:
        """Name of a plane in this file; empty where the file has only one."""
        if len(self.planes) == 1:
            return ""
        return index.label(scenes=self.planes[-1].s > 0)


def plane_indices(s: int = 1, t: int = 1, c: int = 1, z: int = 1) -> tuple[PlaneIndex, ...]:
    """Every plane of a file with these numbers of scenes, times, channels and focus steps.

    Raises
    ------
    ImageError
        There is none, or more than `MAX_PLANES`.
    """
    if not 0 < s * t * c * z <= MAX_PLANES:
        raise ImageError(f"the file states {s * t * c * z} planes (limit: {MAX_PLANES})")
    return tuple(
        PlaneIndex(i, j, k, m)
        for i in range(s)
        for j in range(t)
        for k in range(c)
        for m in range(z)
    )


def regrouped(blocks: Iterator[Array], height: int, step: int) -> Iterator[Array]:
    """Blocks of rows of one plane, joined or cut to `step` rows each (the last to what is left).

    Raises
    ------
    ImageError
        They end before the plane does, or do not end with it.
    """
    held: list[Array] = []
    count = 0
    for start in range(0, height, step):
        wanted = min(step, height - start)
        while count < wanted:
            block = next(blocks, None)
            if block is None:
                raise ImageError("the image ends before its last plane does")
            held.append(block)
            count += len(block)
        joined = held[0] if len(held) == 1 else np.concatenate(held)
        count -= wanted
        held = [joined[wanted:]] if count else []
        yield joined[:wanted]
    if count:
        raise ImageError("a block of rows goes beyond its plane")


def regular_times(planes: tuple[PlaneIndex, ...], interval: float) -> tuple[float, ...]:
    """When planes were taken, at this interval in seconds; nothing where it is 0."""
    return tuple(index.t * interval for index in planes) if interval > 0 else ()


def in_micrometres(value: object, unit: object) -> float | None:
    """A length in micrometres; None where value or unit say nothing usable."""
    factor = _UNITS_UM.get(str(unit).strip().lower())
    try:
        length = float(str(value)) * factor if factor else 0.0
    except ValueError:
        return None
    # nine digits are more than any stage knows, and hide the rounding of unit conversions
    return float(f"{length:.9g}") if 0 < length < float("inf") else None


def missing_rule() -> str:
    """What becomes of planes that a file says it has, and has not: `fail`, or `fill` with zeros.

    The environment says so (`CELLQA_MISSING`), which worker processes have, too.
    """
    return "fill" if os.environ.get(MISSING) == "fill" else "fail"


def absent(message: str) -> None:
    """Note that a plane is not in its file, before zeros are taken for it.

    Raises
    ------
    ImageError
        With the message, unless missing planes are filled.
    """
    if missing_rule() == "fail":
        raise ImageError(f"{message} (--missing fill takes zeros)")


def check_size(path: Path, height: int, width: int, max_pixels: int) -> None:
    """Refuse a plane of no or too many pixels, before any memory is taken.

    Raises
    ------
    ImageError
        The header states 0 pixels or more than `max_pixels`.
    """
    if height <= 0 or width <= 0:
        raise ImageError(f"{spoken(path)}: the image has no pixels ({height} x {width})")
    if height * width > max_pixels:
        raise ImageError(
            f"{spoken(path)}: {height} x {width} pixels are more than the limit of {max_pixels} "
            "(--max-pixels)"
        )
