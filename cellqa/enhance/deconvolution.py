"""Wiener filter and Richardson-Lucy (scikit-image), with a Gaussian or a measured kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from cellqa.enhance.filters import ThroughLuminance, as_type
from cellqa.errors import ImageError
from cellqa.io import luminance, open_image
from cellqa.planes import Array
from cellqa.planes.plane import as_plane

_REACH = 4  # sigmas that the kernel covers
_LARGEST_KERNEL = 255


@dataclass(frozen=True)
class _Deconvolution(ThroughLuminance):
    sigma: float = 2.0
    kernel: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not 0.1 <= self.sigma <= 50:
            raise ValueError(f"`sigma` must be 0.1 to 50 pixels, got {self.sigma}")

    def _plane(self, pixels: Array) -> Array:
        """Deconvolve; the border is mirrored."""
        plane = as_plane(pixels, "image").astype(np.float64)
        low, high = float(plane.min()), float(plane.max())
        if low == high:
            return pixels.copy()
        kernel = (
            measured_kernel(Path(self.kernel))
            if self.kernel
            else _gaussian(self.sigma, min(plane.shape))
        )
        if self.kernel and max(kernel.shape) >= min(plane.shape):
            raise ImageError(
                f"the kernel, {' x '.join(map(str, kernel.shape))} pixels, must be smaller than "
                f"the image, {' x '.join(map(str, plane.shape))}"
            )
        margin = min(2 * max(kernel.shape), *(n - 1 for n in plane.shape))
        padded = np.pad((plane - low) / (high - low), margin, mode="reflect")
        restored = self._deconvolve(padded, kernel)
        inside = restored[margin : margin + plane.shape[0], margin : margin + plane.shape[1]]
        return as_type(inside * (high - low) + low, pixels.dtype)

    def _deconvolve(self, plane: Array, kernel: Array) -> Array:
        raise NotImplementedError

    def _blur(self) -> str:
        """What is undone, for metadata and the terminal."""
        return (
            f"kernel {Path(self.kernel).name}" if self.kernel else f"Gaussian sigma {self.sigma:g}"
        )


@dataclass(frozen=True)
class Wiener(_Deconvolution):
    """Wiener filter with a Laplacian as regulariser (Orieux et al. 2010).

    doi 10.1364/JOSAA.27.001593; `skimage.restoration.wiener`.

    Attributes
    ----------
    sigma : float
        Of the Gaussian that blurred the image, in pixels.
    kernel : str or None
        In place of it, an image of the kernel: see `measured_kernel`.
    balance : float
        Weight of smoothness against the data.
    name : str
    """

    balance: float = 0.01
    name: str = "wiener"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.balance < 1e6:
            raise ValueError(f"`balance` must be above 0, got {self.balance}")

    def describe(self) -> str:
        """One line for metadata and the terminal."""
        return f"Wiener filter: {self._blur()}, balance {self.balance:g}"

    def _deconvolve(self, plane: Array, kernel: Array) -> Array:
        from skimage.restoration import wiener  # slow to import

        return np.asarray(wiener(plane, kernel, self.balance, clip=False))


@dataclass(frozen=True)
class RichardsonLucy(_Deconvolution):
    """Richardson-Lucy deconvolution (doi 10.1364/JOSA.62.000055, 10.1086/111605).

    `skimage.restoration.richardson_lucy`.

    Attributes
    ----------
    sigma : float
        Of the Gaussian that blurred the image, in pixels.
    kernel : str or None
        In place of it, an image of the kernel: see `measured_kernel`.
    iterations : int
    name : str
    """

    iterations: int = 10
    name: str = "rl"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.iterations <= 10_000:
            raise ValueError(f"`iterations` must be 1 to 10000, got {self.iterations}")

    def describe(self) -> str:
        """One line for metadata and the terminal."""
        return f"Richardson-Lucy: {self._blur()}, {self.iterations} iterations"

    def _deconvolve(self, plane: Array, kernel: Array) -> Array:
        from skimage.restoration import richardson_lucy  # slow to import

        # it multiplies, and so never leaves 0
        lifted = np.maximum(plane, 0) + 1e-3
        return np.asarray(richardson_lucy(lifted, kernel, self.iterations, clip=False)) - 1e-3


@lru_cache(maxsize=4)
def measured_kernel(path: Path) -> Array:
    """A kernel from an image of a point (a bead), as `kernel` takes it.

    The median of the image's border is taken off as background, what is below is 0, and the sum
    becomes 1. The point has to be in the middle: what it is off is what results are displaced by.

    Parameters
    ----------
    path : Path
        One plane, each side odd, so that it has a middle, and 3 to 255 pixels.

    Raises
    ------
    ImageError
        It cannot be read, has another size, or nothing stands out of its background.
    """
    with open_image(path) as file:
        if len(file.planes) > 1:
            raise ImageError(f"{path.name}: a kernel is one plane, this has {len(file.planes)}")
        plane = luminance(file.load(file.planes[0])).astype(np.float64)
    if any(n % 2 == 0 or not 3 <= n <= _LARGEST_KERNEL for n in plane.shape):
        raise ImageError(
            f"{path.name}: sides of a kernel are odd, 3 to {_LARGEST_KERNEL} pixels, not "
            f"{' x '.join(map(str, plane.shape))}; crop it around the point"
        )
    border = np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]])
    lifted = np.maximum(plane - np.median(border), 0)
    if not np.isfinite(lifted.sum()) or not lifted.sum():
        raise ImageError(f"{path.name}: no point stands out of the background of this kernel")
    return np.asarray(lifted / lifted.sum())


def _gaussian(sigma: float, side: int) -> Array:
    """A Gaussian of four sigmas, or as much of it as an image of this side has room for."""
    reach = min(int(np.ceil(_REACH * sigma)), side - 1)
    at = np.arange(-reach, reach + 1)
    line = np.exp(-(at**2) / (2 * sigma**2))
    kernel = np.outer(line, line)
    return np.asarray(kernel / kernel.sum())
