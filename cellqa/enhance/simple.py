"""The steps of traditional enhancement alone, and interpolation: what the others must beat."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cellqa.enhance.filters import (
    LARGEST,
    LARGEST_KERNEL,
    ThroughLuminance,
    as_type,
    clahe,
    unsharp_mask,
    working_range,
)
from cellqa.planes import Array
from cellqa.planes.plane import as_plane

_LARGEST_SCALE = 8


class _Simple(ThroughLuminance):
    """The image's range is kept."""

    def _plane(self, pixels: Array) -> Array:
        plane = as_plane(pixels, "image")
        low, high = working_range(plane)
        return as_type(np.clip(self._enhanced(plane, low, high), low, high), pixels.dtype)

    def _enhanced(self, plane: Array, low: float, high: float) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class Unsharp(_Simple):
    """Unsharp masking alone: image + amount x (image - blurred).

    Attributes
    ----------
    kernel : int
        Side of the Gaussian, in pixels, odd.
    sigma : float
        Of the Gaussian, in pixels.
    amount : float
    name : str
    """

    kernel: int = 13
    sigma: float = 2.3
    amount: float = 1.0
    name: str = "unsharp"

    def __post_init__(self) -> None:
        if not 3 <= self.kernel <= LARGEST_KERNEL or self.kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd, 3 to {LARGEST_KERNEL}, got {self.kernel}")
        if not 0 < self.sigma <= LARGEST:
            raise ValueError(f"`sigma` must be above 0 and at most {LARGEST:g}, got {self.sigma}")
        if not 0 <= self.amount <= LARGEST:
            raise ValueError(f"`amount` must be 0 to {LARGEST:g}, got {self.amount}")

    def describe(self) -> str:
        """One line for metadata and the terminal."""
        return (
            f"unsharp mask {self.kernel} x {self.kernel} sigma {self.sigma:g} "
            f"amount {self.amount:g}"
        )

    def _enhanced(self, plane: Array, low: float, high: float) -> Array:
        return unsharp_mask(plane, kernel=self.kernel, sigma=self.sigma, amount=self.amount)


@dataclass(frozen=True)
class Clahe(_Simple):
    """Contrast-limited adaptive histogram equalisation alone; see `clahe`.

    Attributes
    ----------
    clip_limit : float
        A bin holds at most this many times its even share.
    tiles : int
        Along each side.
    name : str
    """

    clip_limit: float = 2.0
    tiles: int = 16
    name: str = "clahe"

    def __post_init__(self) -> None:
        for field in ("clip_limit", "tiles"):
            if not 0 < getattr(self, field) <= LARGEST:
                raise ValueError(f"`{field}` must be above 0 and at most {LARGEST:g}")

    def describe(self) -> str:
        """One line for metadata and the terminal."""
        return f"CLAHE clip limit {self.clip_limit:g} {self.tiles} x {self.tiles} tiles"

    def _enhanced(self, plane: Array, low: float, high: float) -> Array:
        limits = (low, high)
        return clahe(plane, clip_limit=self.clip_limit, tiles=self.tiles, value_range=limits)


@dataclass(frozen=True)
class Bicubic(_Simple):
    """Bicubic enlargement, averaged back to the image's own pixels.

    What becomes of an image that goes through an enlarging network's scale without the network.

    Attributes
    ----------
    scale : int
        Of the enlargement, along each side.
    name : str
    """

    scale: int = 4
    name: str = "bicubic"

    def __post_init__(self) -> None:
        if not 2 <= self.scale <= _LARGEST_SCALE:
            raise ValueError(f"`scale` must be 2 to {_LARGEST_SCALE}, got {self.scale}")

    def describe(self) -> str:
        """One line for metadata and the terminal."""
        return f"bicubic enlargement {self.scale} x, averaged back"

    def _enhanced(self, plane: Array, low: float, high: float) -> Array:
        size = (plane.shape[1], plane.shape[0])
        large = cv2.resize(
            plane.astype(np.float64),
            (size[0] * self.scale, size[1] * self.scale),
            interpolation=cv2.INTER_CUBIC,
        )
        return np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA))
