"""Degraded images from sharp ones.

A new degradation is a class here and a line in `DEGRADATIONS`; or it comes from another package
through the entry point `ciegan.degradations`. Its fields are its settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np

from cellqa.enhance.filters import as_type
from cellqa.planes import Array
from cellqa.planes.blocks import block_means
from cellqa.plugins import Registry
from cellqa.shown import one_line
from ciegan.data.optics import (
    Microscope,
    Optics,
    brightfield_defocus,
    defocused,
    fluorescence_defocus,
)


class Degradation(Protocol):
    """Draws one way to degrade an image, and applies it; a dataclass of its settings.

    Attributes
    ----------
    name : str
        On the command line.
    unit : str
        Of the strength that is drawn: `px`; or `µm`, for a distance from the focus.
    """

    name: ClassVar[str]
    unit: ClassVar[str]

    def draw(self, rng: np.random.Generator) -> float:
        """Strength of one degradation."""

    def apply(self, plane: Array, strength: float, pixel_size: float | None) -> Array:
        """Degrade a plane (Y, X) of floats, without noise."""


def _check_range(name: str, low: float, high: float, *, signed: bool = False) -> None:
    if not (low <= high and (signed or low >= 0) and np.isfinite(high - low)):
        raise ValueError(
            f"`{name}` must be LOW to HIGH{'' if signed else ' from 0 on'}, got {low:g} to {high:g}"
        )


@dataclass(frozen=True)
class Gaussian:
    """Gaussian blur; it explains fluorescence out of focus (correlation 0.96 to 0.99).

    Attributes
    ----------
    sigma : (float, float)
        Smallest and largest, in pixels.
    kernel : int
        Side of the kernel in pixels, odd; 0 for as much as sigma needs.
    """

    name: ClassVar[str] = "gaussian"
    unit: ClassVar[str] = "px"
    sigma: tuple[float, float] = (1.0, 3.0)
    kernel: int = 0

    __repr__ = one_line

    def __post_init__(self) -> None:
        _check_range("sigma", *self.sigma)
        if self.sigma[1] > 100:
            raise ValueError(f"`sigma` must be at most 100 pixels, got {self.sigma[1]:g}")
        if self.kernel and (self.kernel % 2 == 0 or not 3 <= self.kernel <= 255):
            raise ValueError(f"`kernel` must be 0, or odd and 3 to 255, got {self.kernel}")

    def draw(self, rng: np.random.Generator) -> float:
        """Sigma, in pixels."""
        return float(rng.uniform(*self.sigma))

    def apply(self, plane: Array, strength: float, pixel_size: float | None) -> Array:
        """Blur with the sigma `strength`."""
        if strength == 0:
            return plane
        side = self.kernel or 2 * int(np.ceil(4 * strength)) + 1
        return np.asarray(cv2.GaussianBlur(plane, (side, side), strength))


@dataclass(frozen=True)
class _Defocus:
    unit: ClassVar[str] = "µm"
    distance: tuple[float, float] = (0.0, 5.0)
    microscope: Optics = field(default_factory=Optics)

    def __post_init__(self) -> None:
        _check_range("distance", *self.distance, signed=True)

    def draw(self, rng: np.random.Generator) -> float:
        """Distance from the focus, in micrometres."""
        return float(rng.uniform(*self.distance))

    def apply(self, plane: Array, strength: float, pixel_size: float | None) -> Array:
        """Filter with the transfer function at the distance `strength`."""
        if pixel_size is None:
            raise ValueError("the pixel size is unknown; give --pixel-size")
        # a point spreads over a disc of this radius; twice that is mirrored in
        sine = self.microscope.na / self.microscope.index
        blur = abs(strength) * sine / np.sqrt(1 - sine**2)
        margin = min(16 + 2 * blur / pixel_size, 512)
        mean = float(plane.mean())
        blurred = defocused(
            plane - mean,
            lambda q: self.transfer(q, strength),
            pixel_size=pixel_size,
            margin=margin,
        )
        return blurred + mean

    def transfer(self, frequency: Array, distance: float) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class FluorescenceDefocus(_Defocus):
    """Incoherent defocus; see `ciegan.data.optics.fluorescence_defocus`.

    Attributes
    ----------
    distance : (float, float)
        Range, in micrometres.
    microscope : Optics
    """

    name: ClassVar[str] = "defocus-fluorescence"

    __repr__ = one_line

    def transfer(self, frequency: Array, distance: float) -> Array:
        """Of frequencies in cycles per micrometre."""
        return fluorescence_defocus(frequency, distance, self.microscope)


@dataclass(frozen=True)
class BrightfieldDefocus(_Defocus):
    """Defocus of weak phase and absorption objects; see `ciegan.data.optics.brightfield_defocus`.

    Attributes
    ----------
    distance : (float, float)
        Range, in micrometres; on one side of 0, contrast inverts.
    microscope : Microscope
    """

    name: ClassVar[str] = "defocus-brightfield"
    distance: tuple[float, float] = (-10.0, 10.0)
    microscope: Microscope = field(default_factory=Microscope)

    __repr__ = one_line

    def transfer(self, frequency: Array, distance: float) -> Array:
        """Of frequencies in cycles per micrometre."""
        return brightfield_defocus(frequency, distance, self.microscope)


def _wrong(entry: Any) -> str:
    methods = ("draw", "apply")
    if not all(callable(getattr(entry, name, None)) for name in methods):
        return f"{entry!r} is no degradation: it must have `draw` and `apply`"
    if not is_dataclass(entry) or isinstance(entry, type):
        return f"{entry!r} is no degradation: its settings must be the fields of a dataclass"
    texts = (getattr(entry, name, None) for name in ("name", "unit"))
    return "" if all(isinstance(text, str) for text in texts) else f"{entry!r} has no name or unit"


DEGRADATIONS: Registry[Degradation] = Registry(
    "ciegan.degradations",
    (Gaussian(), FluorescenceDefocus(), BrightfieldDefocus()),
    wrong=_wrong,
)


@dataclass(frozen=True)
class Noise:
    """What a camera adds.

    Attributes
    ----------
    photons : float
        Counted in a pixel at the image's white level (its 99.9th percentile); 0 for no photon
        noise.
    read : float
        Standard deviation of the read noise, in grey levels.
    offset : float
        Grey level of the camera in the dark.
    hot : float
        Share of the pixels that are hot: up to white is added to each.
    """

    photons: float = 1000.0
    read: float = 0.0
    offset: float = 0.0
    hot: float = 0.0

    __repr__ = one_line

    def __post_init__(self) -> None:
        for each in fields(self):
            if not 0 <= getattr(self, each.name) < np.inf:
                raise ValueError(f"`{each.name}` must be 0 or more, got {getattr(self, each.name)}")

    def add(self, plane: Array, rng: np.random.Generator) -> Array:
        """Photon and read noise, and hot pixels, upon a plane of expected grey levels.

        Examples
        --------
        >>> import numpy as np
        >>> Noise(offset=0).add(np.full((1, 2), -80.0), np.random.default_rng(0))
        array([[-80., -80.]])
        """
        noisy: Array = plane.astype(np.float64)
        white = float(np.percentile(noisy, 99.9)) - self.offset
        if self.photons and white > 0:
            gain = white / self.photons
            light = np.maximum(noisy - self.offset, 0)
            # what is below the offset, a background that was subtracted, has no photons: it stays
            noisy = noisy - light + rng.poisson(light / gain) * gain
        if self.read:
            noisy = noisy + rng.normal(0, self.read, noisy.shape)
        if self.hot and white > 0:
            where = rng.random(noisy.shape) < self.hot
            noisy = noisy + where * rng.uniform(0, white, noisy.shape)
        return np.asarray(noisy)


# A degradation and its noise by the name of a publication that used them.
PUBLISHED: Mapping[str, tuple[Degradation, Noise]] = {
    "paper": (Gaussian((2.3, 2.3), kernel=13), Noise(photons=0)),
}


def degrade(
    pixels: Array,
    how: Degradation,
    strength: float,
    noise: Noise,
    rng: np.random.Generator,
    pixel_size: float | None = None,
    scale: int = 1,
) -> Array:
    """Degrade an image and add noise; type and shape are kept, integers rounded and clipped.

    Parameters
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, S)
        Colours are degraded one by one.
    how : Degradation
    strength : float
        As `how.draw` returns it.
    noise : Noise
    rng : numpy.random.Generator
        Of the noise.
    pixel_size : float, optional
        In micrometres; what defocus needs.
    scale : int
        The camera's pixels are so many times as large, and the image as much smaller: means of
        `scale` x `scale` pixels, to which the noise is added.

    Raises
    ------
    ValueError
        Defocus without a pixel size.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> sharp = rng.integers(0, 255, (64, 64), np.uint8)
    >>> blurred = degrade(sharp, Gaussian(), 2.0, Noise(photons=0), rng)
    >>> blurred.dtype, bool(blurred.std() < sharp.std() / 4)
    (dtype('uint8'), True)
    """
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    blurred = (
        how.apply(planes[..., k].astype(np.float64), strength, pixel_size)
        for k in range(planes.shape[2])
    )
    out = np.stack([noise.add(block_means(plane, scale), rng) for plane in blurred], axis=-1)
    out = out[..., 0] if pixels.ndim == 2 else out
    return as_type(out, pixels.dtype)
