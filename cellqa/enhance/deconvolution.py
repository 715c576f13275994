"""Classical deconvolution with a Gaussian kernel: Wiener and Richardson-Lucy (scikit-image)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cellqa.checks import as_plane
from cellqa.enhance.filters import ThroughLuminance, as_type

Array = npt.NDArray[Any]

_REACH = 4  # sigmas that the kernel covers


@dataclass(frozen=True)
class _Deconvolution(ThroughLuminance):
    sigma: float = 2.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.sigma <= 50:
            raise ValueError(f"`sigma` must be 0.1 to 50 pixels, got {self.sigma}")

    def _plane(self, pixels: Array) -> Array:
        """Deconvolve; the border is mirrored."""
        plane = as_plane(pixels, "image").astype(np.float64)
        low, high = float(plane.min()), float(plane.max())
        if low == high:
            return pixels.copy()
        kernel = _kernel(self.sigma, min(plane.shape))
        margin = min(2 * kernel.shape[0], *(n - 1 for n in plane.shape))
        padded = np.pad((plane - low) / (high - low), margin, mode="reflect")
        found = self._deconvolve(padded, kernel)
        inside = found[margin : margin + plane.shape[0], margin : margin + plane.shape[1]]
        return as_type(inside * (high - low) + low, pixels.dtype)

    def _deconvolve(self, plane: Array, kernel: Array) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class Wiener(_Deconvolution):
    """Wiener filter with a Laplacian as regulariser (Orieux et al. 2010).

    doi 10.1364/JOSAA.27.001593; `skimage.restoration.wiener`.

    Attributes
    ----------
    sigma : float
        Of the Gaussian that blurred the image, in pixels.
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
        return f"Wiener filter: Gaussian sigma {self.sigma:g}, balance {self.balance:g}"

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
        return f"Richardson-Lucy: Gaussian sigma {self.sigma:g}, {self.iterations} iterations"

    def _deconvolve(self, plane: Array, kernel: Array) -> Array:
        from skimage.restoration import richardson_lucy  # slow to import

        # it multiplies, and so never leaves 0
        lifted = np.maximum(plane, 0) + 1e-3
        return np.asarray(richardson_lucy(lifted, kernel, self.iterations, clip=False)) - 1e-3


def _kernel(sigma: float, side: int) -> Array:
    """A Gaussian of four sigmas, or as much of it as an image of this side has room for."""
    reach = min(int(np.ceil(_REACH * sigma)), side - 1)
    at = np.arange(-reach, reach + 1)
    line = np.exp(-(at**2) / (2 * sigma**2))
    kernel = np.outer(line, line)
    return np.asarray(kernel / kernel.sum())
