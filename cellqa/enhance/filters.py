"""Unsharp masking and CLAHE: the traditional enhancement that the paper compares with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cellqa.enhance._kernels import equalise
from cellqa.io import carriers, grey, luminance
from cellqa.planes import Array
from cellqa.planes.plane import as_plane
from cellqa.shown import one_line

BINS = 256
LARGEST_KERNEL = 255
LARGEST = 1e4


@dataclass(frozen=True)
class Traditional:
    """Unsharp masking, then contrast-limited adaptive histogram equalisation (CLAHE).

    The defaults are those of the CIEGAN authors' program (doi 10.3389/fgene.2022.913372).

    Attributes
    ----------
    name : str
        `te` or `egt`.
    kernel : int
        Side of the Gaussian, in pixels, odd.
    sigma : float
        Of the Gaussian, in pixels; 2.3 is what OpenCV takes for 13 x 13.
    amount : float
        Weight of the mask: image + amount x (image - blurred).
    clip_limit : float
        Of CLAHE: a bin holds at most this many times its even share.
    tiles : int
        Of CLAHE, along each side.
    compat : str or None
        `ciegan`: the unsharp step in uint8 arithmetic that wraps modulo 256.
    """

    name: str = "te"
    kernel: int = 13
    sigma: float = 2.3
    amount: float = 1.0
    clip_limit: float = 2.0
    tiles: int = 16
    compat: str | None = None

    __repr__ = one_line

    def __post_init__(self) -> None:
        if not 3 <= self.kernel <= LARGEST_KERNEL or self.kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd, 3 to {LARGEST_KERNEL}, got {self.kernel}")
        for field in ("sigma", "clip_limit", "tiles"):
            if not 0 < getattr(self, field) <= LARGEST:
                raise ValueError(f"`{field}` must be above 0 and at most {LARGEST:g}")
        if not 0 <= self.amount <= LARGEST:
            raise ValueError(f"`amount` must be 0 to {LARGEST:g}, got {self.amount}")
        if self.compat not in (None, "ciegan"):
            raise ValueError(f"`compat` must be ciegan, got {self.compat!r}")
        if self.compat and self.amount != 1:
            raise ValueError(f"`amount` must be 1 with compat ciegan, got {self.amount}")

    def describe(self) -> str:
        """One line for metadata and the terminal."""
        title = {"te": "traditional enhancement (TE)", "egt": "enhanced ground truth (EGT)"}
        return (
            f"{title.get(self.name, self.name)}: unsharp mask {self.kernel} x {self.kernel} "
            f"sigma {self.sigma:g} amount {self.amount:g}"
            f"{' in wrapping uint8 arithmetic' if self.compat else ''}, "
            f"CLAHE clip limit {self.clip_limit:g} {self.tiles} x {self.tiles} tiles"
        )

    def __call__(self, pixels: Array) -> Array:
        """Enhance a plane (Y, X), or colour pixels (Y, X, S) through their luminance.

        Returns pixels of the same shape and type. In colour, what the luminance gains is added
        to red, green and blue alike, so that hue differences stay; alpha is kept.

        Raises
        ------
        ValueError, TypeError
            A value is NaN or infinite, the type is boolean or complex, or `compat` is asked for
            anything but grey uint8.
        """
        if pixels.dtype.kind == "b":
            raise TypeError("`image` is boolean: a mask, which has nothing to enhance")
        if self.compat and (pixels.ndim != 2 or pixels.dtype != np.uint8):
            raise TypeError(
                f"compat ciegan takes grey 8-bit images, got {pixels.dtype} {pixels.shape}"
            )
        return through_luminance(pixels, self._plane)

    def _plane(self, pixels: Array) -> Array:
        if self.compat:
            blurred = cv2.GaussianBlur(pixels, (self.kernel, self.kernel), self.sigma)
            sharp = pixels + (pixels - blurred)  # wraps, as theirs does
            return np.asarray(clahe(sharp, clip_limit=self.clip_limit, tiles=self.tiles))
        plane = as_plane(pixels, "image")
        low, high = working_range(plane)
        sharp = unsharp_mask(plane, kernel=self.kernel, sigma=self.sigma, amount=self.amount)
        sharp = np.clip(sharp, low, high)
        if plane.dtype == np.uint8:
            sharp = np.rint(sharp).astype(np.uint8)
        out = clahe(sharp, clip_limit=self.clip_limit, tiles=self.tiles, value_range=(low, high))
        return as_type(out, pixels.dtype)


def through_luminance(pixels: Array, enhance: Callable[[Array], Array]) -> Array:
    """Enhance a plane (Y, X), or colour pixels (Y, X, S) by what their luminance gains.

    Red, green and blue gain alike, so that hue differences stay; alpha is kept. Of a grey picture
    in pseudo-colour, the colours that hold it are enhanced.
    """
    if pixels.ndim == 2:
        return enhance(pixels)
    there = carriers(pixels)
    if there:
        out = pixels.copy()
        out[..., there] = enhance(grey(pixels))[..., None]
        return out
    colours = min(pixels.shape[2], 3) if pixels.shape[2] >= 3 else 1
    bright = luminance(pixels)
    gain = enhance(bright).astype(np.float64) - bright
    out = pixels.copy()
    out[..., :colours] = as_type(pixels[..., :colours] + gain[..., None], pixels.dtype)
    return out


class ThroughLuminance:
    """An enhancer of planes, and of colour by what the luminance gains."""

    def __call__(self, pixels: Array) -> Array:
        """Enhance a plane (Y, X), or colour pixels (Y, X, S) through their luminance.

        Returns pixels of the same shape and type.

        Raises
        ------
        ValueError, TypeError
            A value is NaN or infinite, or the type is boolean or complex.
        """
        return through_luminance(pixels, self._plane)

    def _plane(self, pixels: Array) -> Array:
        raise NotImplementedError


def working_range(plane: Array) -> tuple[float, float]:
    """The range that is kept: 0 to 255 for uint8, else the image's own minimum to maximum."""
    if plane.dtype == np.uint8:
        return 0.0, 255.0
    return float(plane.min()), float(plane.max())


def unsharp_mask(
    image: npt.ArrayLike, *, kernel: int = 13, sigma: float = 2.3, amount: float = 1.0
) -> Array:
    """Return image + amount x (image - Gaussian of image), as float, not clipped.

    Parameters
    ----------
    image : array_like, shape (Y, X)
    kernel : int
        Side of the Gaussian in pixels, odd; the border is mirrored.
    sigma, amount : float

    Examples
    --------
    >>> import numpy as np
    >>> float(unsharp_mask(np.full((8, 8), 3.0)).max())
    3.0
    """
    plane = as_plane(image, "image")
    plane = plane.astype(np.float32 if plane.dtype.itemsize <= 2 else np.float64)
    blurred = cv2.GaussianBlur(plane, (kernel, kernel), sigma)
    return np.asarray(plane + amount * (plane - blurred))


def clahe(
    image: npt.ArrayLike,
    *,
    clip_limit: float = 2.0,
    tiles: int = 16,
    value_range: tuple[float, float] | None = None,
) -> Array:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994).

    uint8 goes through OpenCV. Other types get the same operation with 256 bins over
    `value_range` and a mapping that is linear within each bin, so that no grey levels are lost.
    (OpenCV's own 16-bit mode counts 65,536 bins: at 256 pixels a tile its clip limit is one pixel
    and the result another picture.)

    Parameters
    ----------
    image : array_like, shape (Y, X)
    clip_limit : float
        A bin holds at most this many times its even share of a tile; the rest is spread evenly.
    tiles : int
        Along each side; fewer where the image has fewer pixels.
    value_range : (float, float), optional
        Range of the bins and of the result; default the image's own. Ignored for uint8.

    Returns
    -------
    ndarray
        uint8 for uint8, else float64 within `value_range`.

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.tile(np.linspace(0, 1, 64), (64, 1))
    >>> out = clahe(ramp, tiles=4)
    >>> bool(out.min() >= 0 and out.max() <= 1)
    True
    """
    plane = as_plane(image, "image")
    rows, columns = (min(tiles, n) for n in plane.shape)
    if plane.dtype == np.uint8:
        return np.asarray(cv2.createCLAHE(clip_limit, (columns, rows)).apply(plane))
    low, high = value_range or (float(plane.min()), float(plane.max()))
    if low == high:
        return plane.astype(np.float64)
    return np.asarray(equalise(plane, low, high, clip_limit, rows, columns, BINS))


def as_type(values: Array, dtype: np.dtype[Any]) -> Array:
    """Values in an image's own type: clipped to what it holds, integers rounded."""
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        largest = np.float64(info.max)
        if int(largest) > info.max:  # 64 bits: the next number that a double can hold is below
            largest = np.nextafter(largest, 0)
        values = np.clip(np.rint(values), info.min, largest)
    elif dtype.itemsize < np.asarray(values).dtype.itemsize:
        values = np.clip(values, np.finfo(dtype).min, np.finfo(dtype).max)
    return np.asarray(values).astype(dtype)
