"""Where in an image detail is invented: the detail budget of tiles."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from cellqa.metrics._regression import adjusted, by_both, explained, signal_of
from cellqa.metrics._spectrum import unusable
from cellqa.metrics.alignment import displacement, known_part, moved_back
from cellqa.metrics.case import Case
from cellqa.metrics.detail import DETAIL, enlarged, noise_variance
from cellqa.planes import Array
from cellqa.planes.plane import Plane

TILE = 64
_BANDS = (DETAIL, 0.2, 0.35, 0.55, 0.8, 1.0)  # radii, in place of rings
_INDEPENDENT = 0.2645  # share of a Hann window's frequencies that are


def detail_map(
    reference: npt.ArrayLike,
    raw: npt.ArrayLike,
    image: npt.ArrayLike,
    *,
    scale: int = 1,
    tile: int = TILE,
) -> Array:
    """Share of the detail that is invented, by place.

    `invented` of `detail_budget` (which has the definition, parameters, errors and sources) for
    tiles that overlap by half, in five bands of frequency. A tile holds few frequencies: values
    scatter by some 0.05. Where the image itself has almost no detail, the share is of that little.

    Parameters
    ----------
    reference, raw, image, scale
        As `detail_budget`.
    tile : int
        Side of the tiles, 32 pixels at least.

    Returns
    -------
    ndarray of float32, shape of `image`
        0 to 1; each pixel has the value of the nearest tile's centre.

    Raises
    ------
    ValueError, TypeError
        As `detail_budget`; or the image is smaller than a tile, or the tile too small.

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import detail_map
    >>> from cellqa.simulate import acquire, filaments
    >>> scene = filaments((256, 256), cutoff=0.6, photons=1000, seed=1)
    >>> raw = acquire(scene.structure, cutoff=0.3, photons=300, seed=2).image.astype(float)
    >>> raw_and = raw.copy()
    >>> raw_and[:, 128:] += 0.3 * filaments((256, 256), seed=3).image[:, 128:]  # forged: right half
    >>> found = detail_map(scene.image, raw, raw_and)
    >>> float(found[:, 160:].mean()) > 5 * float(found[:, :96].mean())
    True
    """
    case = Case.of(image, reference=reference, raw=raw, scale=scale)
    if tile < 32 or min(case.image.shape) < tile:
        raise ValueError(
            f"`tile` must be 32 pixels at least, and the image as large, got {tile} and "
            f"{case.image.shape}"
        )
    truth = case.pair[0]
    problem = unusable(truth, case.image)
    if problem or case.raw is None or case.raw.flat:
        raise ValueError(f"no detail budget: {problem or 'the raw image is constant'}")
    return map_of(case, tile)


def map_of(case: Case, tile: int = TILE) -> Array:
    """`detail_map` of a case that has a budget."""
    truth, image = case.pair
    assert case.raw is not None
    planes = [truth, enlarged(case.raw, truth.shape), image]
    pixels = [truth.real, *(_at_rest(truth, plane) for plane in planes[1:])]
    step = tile // 2
    tops, lefts = ([*range(0, n - tile, step), n - tile] for n in truth.shape)
    window = np.hanning(tile + 2)[1:-1]
    taper = (window[:, None] * window).astype(np.float32)
    floor = noise_variance(truth) * float((taper.astype(float) ** 2).sum())
    shares = np.empty((len(tops), len(lefts)), np.float32)
    views = [sliding_window_view(p, (tile, tile)) for p in pixels]
    for row, top in enumerate(tops):  # a row of tiles at a time: little memory
        ours, theirs, enhanced = (_spectra(view[top, lefts], taper) for view in views)
        shares[row] = _invented(ours, theirs, enhanced, tile, floor)
    rows, columns = (
        np.abs(np.arange(n)[:, None] - (np.array(starts) + tile / 2)).argmin(axis=1)
        for n, starts in zip(truth.shape, (tops, lefts), strict=True)
    )
    return np.asarray(shares[np.ix_(rows, columns)])


def _at_rest(truth: Plane, plane: Plane) -> Array:
    by = known_part(displacement(truth, plane))
    return np.asarray(moved_back(plane.pixels, by)[0]) if any(by) else plane.real


def _spectra(tiles: Array, taper: Array) -> Array:
    flat = tiles.astype(np.float32)
    flat = (flat - flat.mean(axis=(1, 2), keepdims=True)) * taper
    return np.asarray(scipy.fft.rfft2(flat).reshape(len(tiles), -1))


@lru_cache(maxsize=4)
def _bands(tile: int) -> tuple[Array, Array]:
    """Weights of each frequency in each band, (frequencies, bands); numbers of the whole plane."""
    fy = np.fft.fftfreq(tile)[:, None] * 2
    fx = np.arange(tile // 2 + 1)[None, :] / tile * 2
    radius = np.hypot(fy, fx).ravel()
    double = np.broadcast_to(np.where(np.isin(fx, (0, 1)), 1.0, 2.0), (tile, fx.size)).ravel()
    band = np.searchsorted(_BANDS, radius, side="right") - 1
    inside = (band >= 0) & (band < len(_BANDS) - 1)
    weights = np.zeros((radius.size, len(_BANDS) - 1))
    weights[np.flatnonzero(inside), band[inside]] = double[inside]
    return weights, weights.sum(axis=0)


def _invented(truth: Array, raw: Array, image: Array, tile: int, floor: float) -> Array:
    """1 - R² of each tile, weighted by the power of its bands."""
    weights, counts = _bands(tile)

    def product(a: Array, b: Array) -> Any:
        return (a * b.conj()).real @ weights

    ff, gg, rr = (product(a, a) for a in (image, truth, raw))
    fg, fr, gr = product(image, truth), product(image, raw), product(truth, raw)
    freedom = counts * _INDEPENDENT
    signal, seen = signal_of(gg, floor * counts, freedom)
    signal = np.where(seen, signal, 0.0)
    by_raw = explained(fr, ff, rr)
    both, on_truth, apart = by_both(fg, fr, gr, ff, signal, rr)
    both = np.where(seen & apart & (on_truth > 0), np.maximum(both, by_raw), by_raw)
    left = 1 - adjusted(np.minimum(both, 1.0), freedom, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (np.where(seen, left, 0.0) * ff).sum(axis=1) / ff.sum(axis=1)
    return np.asarray(np.clip(np.nan_to_num(shares), 0, 1))
