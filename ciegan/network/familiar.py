"""Whether an image is like those that a network was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellqa.io import luminance
from cellqa.planes import Array
from cellqa.planes.compiled import kernel
from cellqa.shown import one_line

_SCALES = 6  # detail of 2 to 64 pixels
SMALLEST = 2**_SCALES  # side of an image that has them all
_FEATURES = _SCALES + 3
_MOST, _SAMPLE = 2**20, 2**16  # pixels, at most, that detail and levels are taken from
_KEPT, _FEWEST = 300, 8  # examples
_NARROWEST = 0.1  # deviation of a feature, as where all examples are of one field
_ROOM = 1.3  # beyond the distances within the training set
_FAR = 1e6  # a distance beyond any


def features(pixels: Array, limits: tuple[float, float]) -> Array:
    """What an image looks like to a network: its detail by scale, and how its levels lie.

    Parameters
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, C)
        At least 64 pixels a side.
    limits : (float, float)
        Grey levels of black and white.

    Returns
    -------
    ndarray of float64, shape (9,)
        Logarithm (base 2) of the finest detail on the scale of black (0) and white (1), halved; how
        the power of detail grows from 2 pixels to 64, by octaves: 0 for white noise; median and
        mean level, times 4; skewness of levels, halved.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(100, 10, (256, 256))
    >>> [round(v) for v in features(noise, (70, 130))[1:6]]
    [0, 0, 0, 0, 0]
    """
    plane = np.ascontiguousarray(luminance(_some(pixels)))
    low, span = limits[0], limits[1] - limits[0]
    if plane.dtype.kind == "f" and span > 0:  # whose squares may be beyond any float
        plane, low, span = ((plane - low) / span).astype(np.float32), 0.0, 1.0
    span = max(span, 1e-9)
    powers = []
    for scale in range(_SCALES):
        half = np.empty((plane.shape[0] // 2, plane.shape[1] // 2), np.float32)
        power = float(_halve(plane, half)) / max(half.size, 1) / span**2
        powers.append(math.log2(max(4**scale * power, 1e-12)))
        if scale == 0:
            step = max(1, math.ceil(math.sqrt(half.size / _SAMPLE)))
            levels = (half[::step, ::step].astype(np.float64) - low) / span
        plane = half
    mean, deviation = levels.mean(), levels.std()
    skewness = (((levels - mean) / max(deviation, 1e-9)) ** 3).mean()
    lie = 4 * np.median(levels), 4 * mean, np.clip(skewness, -4, 4) / 2
    return np.array([powers[0] / 2, *np.diff(powers), *lie])


@dataclass(frozen=True)
class Familiar:
    """What a network's training images look like.

    An image is as far from them as from the nearest of them, in deviations of the features.

    Attributes
    ----------
    examples : ndarray, shape (N, 9)
        See `features`.
    scale : ndarray, shape (9,)
        Deviation of each feature.
    limit : float
        Distance beyond which an image is unlike them.
    """

    examples: Array
    scale: Array
    limit: float

    __repr__ = one_line

    def unlike(self, pixels: Array, limits: tuple[float, float]) -> float:
        """Distance of an image from the training images, 1 at the limit; nan for small ones.

        Parameters
        ----------
        pixels, limits
            See `features`.
        """
        if min(pixels.shape[:2]) < SMALLEST or not np.isfinite(limits).all():
            return math.nan
        with np.errstate(all="ignore"):
            looks = features(pixels, limits)
        if not np.isfinite(looks).all():  # as with NaN in the image
            return math.nan
        return float(_distances(looks[None], self.examples, self.scale).min() / self.limit)

    def as_lists(self) -> dict[str, Any]:
        """As JSON."""
        rounded = [[round(float(v), 2) for v in row] for row in self.examples]
        scale = [float(f"{v:.4g}") for v in self.scale]
        return {"examples": rounded, "scale": scale, "limit": float(f"{self.limit:.4g}")}

    @classmethod
    def from_lists(cls, table: Mapping[str, Any]) -> Familiar:
        """Read what `as_lists` made.

        Raises
        ------
        ValueError
            Shapes or values are not those of examples.
        """
        examples = np.array(table["examples"], np.float64)
        scale, limit = np.array(table["scale"], np.float64), float(table["limit"])
        right = examples.ndim == 2 and 0 < len(examples) <= 10 * _KEPT
        right = right and examples.shape[1:] == scale.shape == (_FEATURES,)
        if not right or not np.isfinite(examples).all():
            raise ValueError("the examples of the training images are damaged")
        if not (scale > 0).all() or not 0 < limit < math.inf:
            raise ValueError("the scale of the training images is none")
        return cls(examples, scale, limit)


def learn(looks: Sequence[Array], fields: Sequence[str], seed: int = 0) -> Familiar | None:
    """What training images look like, and how far one of another field may be.

    The limit is 1.3 times the distance that 99 of 100 images have from those of other fields.

    Parameters
    ----------
    looks : sequence of ndarray
        `features` of each image.
    fields : sequence of str
        The field of each.
    seed : int
        Of which are kept, where there are many.

    Returns
    -------
    Familiar or None
        None for fewer than eight images.
    """
    if len(looks) < _FEWEST:
        return None
    every, names = np.array(looks), np.array(fields)
    order = np.random.default_rng(seed).permutation(len(every))
    every, names = every[order], names[order]
    # whole images are the mean of their tiles
    means = [every[names == name].mean(axis=0) for name in np.unique(names)]
    kept = np.concatenate([every[:_KEPT], means[:_KEPT]])
    of = np.concatenate([names[:_KEPT], np.unique(names)[:_KEPT]])
    scale = np.maximum(every.std(axis=0), _NARROWEST)
    distances = _distances(every, kept, scale)
    if len(means) > 1:
        distances[names[:, None] == of[None]] = _FAR
    else:
        distances[:, -1] = _FAR
        np.fill_diagonal(distances, _FAR)
    limit = _ROOM * float(np.percentile(distances.min(axis=1), 99))
    return Familiar(kept, scale, max(limit, _NARROWEST))


def _some(pixels: Array) -> Array:
    """Bands of 64 rows, equally far apart, of images beyond a megapixel."""
    rows, columns = pixels.shape[:2]
    bands = max(1, _MOST // (SMALLEST * columns))
    there = rows // SMALLEST
    if there <= bands:
        return pixels
    starts = np.linspace(0, there - 1, bands).astype(int) * SMALLEST
    return np.concatenate([pixels[start : start + SMALLEST] for start in starts])


def _distances(some: Array, examples: Array, scale: Array) -> Array:
    """Root mean square of what features differ by, (n, N)."""
    apart = (some[:, None] - examples[None]) / scale
    return np.sqrt((apart**2).mean(axis=-1))


@kernel()
def _halve(plane: Array, half: Array) -> float:
    """Means of blocks of 2 x 2 pixels; return the sum of their variances."""
    rows, columns = half.shape
    total = 0.0
    for y in range(rows):
        line = 0.0
        for x in range(columns):
            a, b = float(plane[2 * y, 2 * x]), float(plane[2 * y, 2 * x + 1])
            c, d = float(plane[2 * y + 1, 2 * x]), float(plane[2 * y + 1, 2 * x + 1])
            mean = 0.25 * (a + b + c + d)
            half[y, x] = mean
            a, b, c, d = a - mean, b - mean, c - mean, d - mean
            line += 0.25 * (a * a + b * b + c * c + d * d)
        total += line
    return total
