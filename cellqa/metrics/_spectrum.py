"""The tapered spectrum of an image, computed once for every measure that looks at frequencies."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft

from cellqa.metrics._radial_kernels import taper
from cellqa.metrics._ring_kernels import ring_sums
from cellqa.planes import Array
from cellqa.planes.plane import Plane

NOISE = 0.9  # radius from which a spectrum is taken for noise
EDGE = 20  # pixels over which the border is apodised
SMALLEST_SIDE = 2 * EDGE + 1  # smaller images consist of apodised border only
TOO_SMALL = f"a side below {SMALLEST_SIDE} pixels is all apodised border"


def spectrum(plane: Plane) -> Array:
    """Half plane of the Fourier transform, as `rfft2` returns it, of the apodised image.

    The image is cropped to odd sides and scaled to a range of 1 (so that float32 cannot overflow;
    no measure here depends on gain). Use it as `plane.once(spectrum)`.
    """
    low, high = plane.extremes
    gain = 1.0 if plane.flat else 1 / (high - low)
    wy, wx = (window(n) for n in plane.pixels.shape)
    # Without its mean the image keeps more of float32's digits; the mean only moves F(0, 0).
    tapered = np.empty((wy.size, wx.size), np.float32)
    total = taper(plane.real, plane.mean, gain, wy, wx, tapered)
    total += plane.mean * gain * tapered.size
    transform = scipy.fft.rfft2(tapered, overwrite_x=True)
    transform[0, 0] = total
    return np.asarray(transform)


@lru_cache(maxsize=16)
def window(size: int) -> Array:
    """Weights of one axis, cropped to odd length: 1 inside, half a cosine to 0 at the border."""
    x = np.abs(linspace(-size / 2, size / 2, size))
    border = x > size / 2 - EDGE
    ramp = np.where(border, -x - np.mean(-x[border]), 0.0)
    low, high = ramp.min(), ramp.max()
    phase = (ramp - low) / (high - low) * np.pi - np.pi / 2 if high > low else ramp
    weights = (np.sin(np.where(border, phase, np.pi / 2)) + 1) / 2
    return np.asarray(weights[: size - (size + 1) % 2])


@lru_cache(maxsize=4)
def rings_of(shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Ring of each frequency of one quadrant; radius and count of each ring from the first on."""
    y, x = quadrant(shape)
    n = max(y.size, x.size) - 1
    radius = np.sqrt(y[:, None] ** 2 + x[None, :] ** 2)
    rings = np.minimum(radius * n + 0.5, n + 1).astype(np.int32)
    counts = np.bincount(rings.ravel(), weights(y, x).ravel(), n + 2)
    return rings, np.arange(1, n + 1) / n, counts[1 : n + 1]


def ring_power(plane: Plane) -> Array:
    """Power of the spectrum in each ring of `rings_of`; for `Plane.once`."""
    rings, radii, _ = rings_of(plane.shape)
    half = plane.once(spectrum)
    return np.asarray(ring_sums(half, half, rings, radii.size + 1)[1:-1, 1])


def noise_floor(power: Array, radii: Array, counts: Array) -> float:
    """Power of the noise at each frequency: the median of the outermost rings."""
    return float(np.median((power / counts)[radii > NOISE]))


def energy(shape: tuple[int, ...]) -> float:
    """Power that white noise of variance 1 has at each frequency, tapered."""
    return float(np.prod([(window(n) ** 2).sum() for n in shape]))


@lru_cache(maxsize=16)
def independent(shape: tuple[int, ...]) -> float:
    """Share of the frequencies that are independent of their neighbours: the taper blurs them."""
    squares = [window(n) ** 2 for n in shape]
    return float(np.prod([w.mean() ** 2 / (w**2).mean() for w in squares]))


def unusable(reference: Plane, image: Plane) -> str:
    """Why the spectra of these images cannot be compared; empty if they can."""
    if min(image.pixels.shape) < SMALLEST_SIDE:
        return TOO_SMALL
    constant = [n for p, n in ((reference, "ground truth"), (image, "image")) if p.flat]
    return f"the {constant[0]} is constant" if constant else ""


def weights(y: Array, x: Array) -> Array:
    """How many frequencies of the whole plane each one of a quadrant stands for."""
    counts = np.full((y.size, x.size), 4.0)
    counts[0] /= 2
    counts[:, 0] /= 2
    return counts


def quadrant(shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Radius of each row and column of one quadrant, 1 at Nyquist; `shape` is the image's."""
    sizes = [n - (n + 1) % 2 for n in shape]
    y, x = (linspace(-1, 1, n)[n // 2 :] for n in sizes)
    return y, x


def linspace(start: float, stop: float, n: int) -> Array:
    """`linspace` built from both ends, so that it is exactly symmetric (as GNU Octave's)."""
    step = (stop - start) / (n - 1)
    half = n // 2
    out = np.empty(n)
    out[:half] = start + np.arange(half) * step
    out[n - half :] = (stop - np.arange(half) * step)[::-1]
    if n % 2:
        out[half] = 0.0 if start == -stop else (start + stop) / 2
    return out
