"""Sub-pixel shift between two images, and its correction."""

from __future__ import annotations

import math
from collections.abc import Set
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from cellqa.errors import Undefined
from cellqa.metrics._lattice import lattice_displacement
from cellqa.metrics._ring_kernels import phase_sums, whiten
from cellqa.metrics._spectrum import spectrum, unusable
from cellqa.metrics.case import Case
from cellqa.planes import Array
from cellqa.planes.plane import Plane, as_pair, as_plane

_BAND = 0.5  # frequencies up to half of Nyquist are used
_PASSES = 8
_CONVERGED = 1e-3  # pixels
_SIGNIFICANT = 4.0  # standard errors of a ring's mean cosine
_BEYOND_CHANCE = 8.0  # standard errors of the sum of all: any displacement might have been found
_NEARBY = 0.7  # pixels, of what was found without looking further
_NEGLIGIBLE = 0.02  # shifts below, in pixels, are not worth an interpolation


def shift(reference: npt.ArrayLike, image: npt.ArrayLike) -> tuple[float, float]:
    """Displacement of the image against the reference, in pixels: (y, x).

    Positive where the image's structures lie at larger coordinates: further down, further to the
    right. Phase correlation finds the displacement to a pixel; Newton's method then maximises the
    correlation of the phases over continuous displacements, each ring of frequencies (up to half
    of Nyquist) weighted by its coherence c as maximum likelihood asks, c^2 / (1 - c^2), rings
    within the noise left out.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)

    Returns
    -------
    tuple of float
        Undefined (nan that carries its reason) for constant images, below 41 pixels a side, and
        where no ring is coherent: unrelated images. Of a periodic structure (grids, pillars,
        gratings) the smallest displacement modulo its period, a `Bound` that says so; along the
        lines of a grating undefined.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    References
    ----------
    Guizar-Sicairos M, Thurman ST, Fienup JR. Efficient subpixel image registration algorithms.
    Opt Lett 33, 156-158 (2008). doi 10.1364/OL.33.000156
    Knapp CH, Carter GC. The generalized correlation method for estimation of time delay. IEEE
    Trans Acoust 24, 320-327 (1976). doi 10.1109/TASSP.1976.1162830

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import shift
    >>> from cellqa.simulate import filaments
    >>> image = filaments((128, 128), seed=1).image
    >>> [round(s) for s in shift(image[5:-5, 5:-5], image[3:-7, 6:-4])]
    [2, -1]
    """
    return displacement(*as_pair(reference, image))


def shift_y(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Displacement along Y, in pixels, positive downwards.

    See `shift` for parameters, errors and source (doi 10.1364/OL.33.000156).
    """
    return shift(reference, image)[0]


def shift_x(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Displacement along X, in pixels, positive to the right.

    See `shift` for parameters, errors and source (doi 10.1364/OL.33.000156).
    """
    return shift(reference, image)[1]


def undoing(by: tuple[float, float]) -> tuple[float, float]:
    """What `moved_back` undoes of a displacement: fractions that are negligible stay.

    Examples
    --------
    >>> undoing((3.01, 0.4))
    (3, 0.4)
    """
    y, x = (round(s) if abs(s - round(s)) < _NEGLIGIBLE else s for s in by)
    return y, x


def moved_back(image: npt.ArrayLike, by: tuple[float, float]) -> tuple[Array, tuple[slice, slice]]:
    """Undo a displacement, and say which pixels of the result exist.

    Whole pixels are taken as they are; for fractions above 0.02 pixels, values between them come
    from splines of fifth order.

    Parameters
    ----------
    image : array_like, shape (Y, X)
    by : (float, float)
        As `shift` returns it.

    Returns
    -------
    moved : ndarray, shape (Y, X)
    valid : (slice, slice)
        Where no border was mirrored in; may be empty.

    Examples
    --------
    >>> import numpy as np
    >>> moved, valid = moved_back(np.arange(12.0).reshape(3, 4), (0.0, 1.0))
    >>> moved[valid]
    array([[ 1.,  2.,  3.],
           [ 5.,  6.,  7.],
           [ 9., 10., 11.]])
    """
    import scipy.ndimage  # slow to import, rarely needed

    plane = as_plane(image, "image")
    whole = undoing(by)
    valid = tuple(
        slice(max(math.ceil(-s), 0), max(n - max(math.ceil(s), 0), 0))
        for s, n in zip(whole, plane.shape, strict=True)
    )
    if all(isinstance(s, int) for s in whole):
        moved = scipy.ndimage.shift(plane, [-s for s in whole], order=0, mode="mirror")
    else:
        real = plane.astype(np.float64)
        moved = scipy.ndimage.shift(real, [-s for s in whole], order=5, mode="mirror")
    return moved, (valid[0], valid[1])


def displacement(reference: Plane, image: Plane) -> tuple[float, float]:
    """`shift` of checked planes."""
    problem = unusable(reference, image)
    if not problem:
        moved = _refined(reference.once(spectrum), image.once(spectrum), image.shape)
        if moved is not None:
            return moved
        problem = "the image and the ground truth have no structure in common"
    missing = Undefined(f"shift: {problem}")
    return missing, missing


def known_part(displaced: tuple[float, float]) -> tuple[float, float]:
    """What can be undone of a displacement: along the lines of a grating, nothing can be told."""
    y, x = (0.0 if math.isnan(d) else float(d) for d in displaced)
    return y, x


def displaced(case: Case) -> tuple[float, float]:
    """`shift` of a case, for `Case.once`."""
    return displacement(*case.pair)


def displacement_nearby(reference: Plane, image: Plane) -> tuple[float, float]:
    """`displacement` of images that should lie on each other: tried below a pixel first."""
    if not unusable(reference, image):
        spectra = reference.once(spectrum), image.once(spectrum)
        moved = _refined(*spectra, image.shape, nearby=True)
        if moved is not None and math.hypot(*moved) < _NEARBY:
            return moved
    return displacement(reference, image)


def _refined(
    first: Array, second: Array, shape: tuple[int, ...], nearby: bool = False
) -> tuple[float, float] | None:
    ny, nx = (n - (n + 1) % 2 for n in shape)
    ky, kx = (max(1, int(_BAND * (n // 2))) for n in (ny, nx))
    periodic = None if nearby else lattice_displacement(first, second, (ny, nx), ky, kx)
    if periodic is not None:
        return periodic
    size = [scipy.fft.next_fast_len(2 * k + 1, real=True) for k in (ky, kx)]  # zeros fill it up
    phases = np.empty((2 * ky + 1, kx + 1), np.complex64)
    weighted = np.zeros((size[0], size[1] // 2 + 1), np.complex64)
    whiten(first, second, ky, kx + 1, phases, weighted)
    at = np.zeros(2)
    if not nearby:
        coarse = scipy.fft.irfft2(weighted, s=size, overwrite_x=True)
        y, x = np.unravel_index(int(coarse.argmax()), coarse.shape)
        at = np.array([_signed(int(y), size[0]) * ny, _signed(int(x), size[1]) * nx])
    fy, fx = _frequencies(ky, ny), np.arange(kx + 1) / nx
    rings = max(int(_BAND * (n // 2)) for n in (ny, nx)) + 1
    weights = np.zeros(rings)
    step = np.zeros(2)
    for _ in range(_PASSES):
        sums, slopes = phase_sums(phases, fy, fx, at[0], at[1], weights)
        coherence = sums[:, 0] / np.maximum(sums[:, 1], 1)
        noise = 1 / np.sqrt(np.maximum(sums[:, 1], 1))
        kept = coherence > np.minimum(_SIGNIFICANT * noise, 0.99)
        c2 = np.minimum(coherence, 0.999) ** 2
        previous, weights = weights, np.where(kept, c2 / (1 - c2), 0.0)
        total, number = sums.cumsum(axis=0).T
        if not weights.any() or (total / np.sqrt(np.maximum(number, 1))).max() < _BEYOND_CHANCE:
            return None
        if not previous.any():
            continue
        yy, yx, xx = slopes[2:]
        determinant = yy * xx - yx * yx
        if not (yy < 0 and determinant > 0):
            return None  # not near a maximum
        step = np.array([xx * slopes[0] - yx * slopes[1], yy * slopes[1] - yx * slopes[0]])
        step /= -determinant
        at += np.clip(step, -1, 1)
        if np.abs(step).max() < _CONVERGED:
            break
    return float(at[0]), float(at[1])


def _signed(index: int, n: int) -> float:
    """Displacement as a share of the side, -0.5 to 0.5."""
    return (index if index <= n // 2 else index - n) / n


@lru_cache(maxsize=8)
def _frequencies(k: int, n: int) -> Array:
    """Cycles per pixel of the rows -k to k, in the order of a Fourier transform."""
    return np.asarray(scipy.fft.ifftshift(np.arange(-k, k + 1)) / n)


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `shift_y` and `shift_x`."""
    y, x = case.once(displaced)
    return {"shift_y": y, "shift_x": x}
