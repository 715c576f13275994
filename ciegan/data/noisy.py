"""Learning without ground truth: from two noisy captures, or from one that is made noisier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from cellqa.disk import StrPath
from cellqa.errors import CellqaError, first_line
from cellqa.io import luminance, open_image
from cellqa.planes import Array
from cellqa.terminal import Progress
from ciegan.data.pixels import colours
from ciegan.data.prepare import Prepared, images_below, only, prepare_folder
from ciegan.data.tiles import Pair, TilingOptions

# Half as much noise again in deviation; what is left for the target is twice it (Pang et al. 2021
# recommend 0.5).
_SHARE = 0.5
_ROUNDING = 1 / 12  # variance that rounding to whole numbers leaves
_BINS = 40  # of brightness
_MEDIAN = 2.198  # of the squares of normal values, the mean over the median
_CURVED = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6  # 0 for planes; norm 1
_BLOCK, _FLAT = 8, 0.25  # pixels a side; share of the blocks that have the least structure
_ALIKE = 0.15  # correlation of neighbours' noise from which it is told


@dataclass(frozen=True)
class NoiseModel:
    """Variance of a pixel's noise: `gain` x signal + `constant`, in grey levels squared.

    Attributes
    ----------
    gain : float
        Grey levels of a photoelectron.
    constant : float
        Read noise, less what the camera's offset adds to `gain` x signal.
    least : float
        No pixel has less.
    neighbours : float
        Correlation of the noise of neighbours; about 0 where pixels are independent.
    """

    gain: float
    constant: float
    least: float
    neighbours: float

    def deviation(self, pixels: Array) -> Array:
        """Standard deviation of each pixel's noise; the signal is taken from its surroundings."""
        signal = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 1.0)
        return np.sqrt(np.maximum(self.gain * signal + self.constant, self.least))

    def describe(self) -> str:
        """A line for the terminal."""
        return f"noise: variance {self.gain:.4g} x signal {self.constant:+.4g}"

    def warnings(self) -> list[str]:
        """What contradicts learning from one capture."""
        if abs(self.neighbours) < _ALIKE:
            return []
        return [
            f"the noise of neighbouring pixels is correlated ({self.neighbours:.2f}): --target "
            "self takes it for structure and keeps it; take raw, unprocessed images, or two "
            "captures (--target other)"
        ]


def noise_model(images: Sequence[Array]) -> NoiseModel:
    """Noise of a camera, from images alone: how second differences grow with brightness.

    Second differences along both axes are 0 on planes; the median of their squares in bins of
    brightness leaves structure out (Foi et al. 2008, doi 10.1109/TIP.2008.2001399, fit the same
    line to the deviations of segments).

    Parameters
    ----------
    images : sequence of ndarray, shape (Y, X) or (Y, X, S)
        At least 32 pixels a side.

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa.simulate import nuclei
    >>> clean = np.asarray(nuclei((256, 256), cutoff=0.2, photons=1e6, seed=1).image, float) / 100
    >>> noisy = np.random.default_rng(0).poisson(clean) * 4.0
    >>> 3.4 < noise_model([noisy]).gain < 4.6
    True
    """
    means, squares, alike = [], [], []
    whole = True
    for image in images:
        whole &= image.dtype.kind in "iu"
        grey = np.asarray(luminance(image), np.float32)
        means.append(cv2.blur(grey, (3, 3)).ravel())
        squares.append(cv2.filter2D(grey, -1, _CURVED).ravel() ** 2)
        alike.append(_of_neighbours(grey))
    mean, square = np.concatenate(means), np.concatenate(squares)
    edges = np.unique(np.quantile(mean, np.linspace(0, 1, _BINS + 1)))
    place = np.digitize(mean, edges[1:-1])
    order = np.argsort(place, kind="stable")
    parts = np.split(np.arange(len(order)), np.flatnonzero(np.diff(place[order])) + 1)
    signal = np.array([mean[order[p]].mean() for p in parts])
    variance = np.array([np.median(square[order[p]]) * _MEDIAN for p in parts])
    least = max(_ROUNDING if whole else 0.0, 1e-3 * float(np.median(variance)), 1e-12)
    gain, constant = _line(signal, np.maximum(variance, least))
    return NoiseModel(gain, constant, least, float(np.median(alike)))


def _line(signal: Array, variance: Array) -> tuple[float, float]:
    """A line through variances whose errors grow with them; what structure lifts counts less."""
    system = np.stack([signal, np.ones_like(signal)], axis=1)
    weight = 1 / variance
    gain, constant = 0.0, float(np.median(variance))
    for _ in range(5):
        gain, constant = np.linalg.lstsq(system * weight[:, None], variance * weight, rcond=None)[0]
        if gain < 0:  # darker is not noisier: structure, or no photon noise
            gain, constant = 0.0, float(np.average(variance, weights=weight))
        off = np.abs(gain * signal + constant - variance) / variance
        weight = 1 / variance / np.maximum(1, off / (2 * np.median(off) + 1e-12))
    return float(gain), float(constant)


def _of_neighbours(grey: Array) -> float:
    """Correlation of neighbours in the blocks with the least structure, planes removed."""
    rows, columns = (n // _BLOCK * _BLOCK for n in grey.shape)
    cut = grey[:rows, :columns].reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
    blocks = cut.transpose(0, 2, 1, 3).reshape(-1, _BLOCK, _BLOCK)
    at = np.arange(_BLOCK) - (_BLOCK - 1) / 2
    planes = np.stack([np.ones(_BLOCK**2), np.repeat(at, _BLOCK), np.tile(at, _BLOCK)], axis=1)
    flat = blocks.reshape(len(blocks), -1).astype(np.float64)
    left = (flat - flat @ planes @ np.linalg.pinv(planes)).reshape(blocks.shape)
    power = (left**2).mean(axis=(1, 2))
    there = power > 0
    if not there.any():
        return 0.0
    chosen = left[there & (power <= np.quantile(power[there], _FLAT))]
    across = (chosen[:, :, 1:] * chosen[:, :, :-1]).mean()
    down = (chosen[:, 1:] * chosen[:, :-1]).mean()
    expected = -3 / _BLOCK**2  # of white noise, since a plane was removed
    return float((across + down) / 2 / (chosen**2).mean() - expected)


def recorrupted(pixels: Array, noise: NoiseModel, rng: np.random.Generator) -> tuple[Array, Array]:
    """Two images of one noisy one whose noise is independent: input and target.

    The input has 1.25 times the variance of the noise, the target 5 times; a network that maps one
    to the other with a squared loss learns the mean, which is the clean image (Pang et al. 2021,
    Recorrupted-to-Recorrupted, doi 10.1109/CVPR46437.2021.00208). It asks for noise that is
    independent between pixels, and near to normal.

    Parameters
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, S)
    noise : NoiseModel
    rng : numpy.random.Generator

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> noisy = rng.normal(100, 5, (200, 200))
    >>> first, second = recorrupted(noisy, NoiseModel(0, 25, 1e-9, 0), rng)
    >>> bool(abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02)
    True
    """
    wide = pixels.astype(np.float32)
    added = rng.standard_normal(wide.shape, np.float32) * noise.deviation(wide)
    return wide + _SHARE * added, wide - added / _SHARE


def prepare_noisy(
    source: StrPath,
    out: StrPath,
    *,
    tiling: TilingOptions | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Cut noisy images, all planes of each, into tiles to be learned from without ground truth.

    Input and target are the same image: `ciegan train --target self` makes two of it. Parameters
    are as in `prepare_blur`.
    """
    source, out = Path(source), Path(out)
    tiling = tiling or TilingOptions()
    sources = images_below(source, "IN")
    return prepare_folder(
        sources,
        partial(_planes, tiling=tiling),
        out,
        tiling,
        jobs=jobs,
        overwrite=overwrite,
        progress=progress,
        inputs=[source],
    )


def _planes(
    name: str, paths: list[Path], *, tiling: TilingOptions
) -> Iterator[Pair | tuple[str, str]]:
    with open_image(only(paths)) as file:
        several = len(file.planes) > 1
        for index in file.planes:
            label = file.label(index) if several else ""
            try:
                pixels = colours(file.load(index))
            except CellqaError as error:
                yield label or "image", first_line(error)
                continue
            size = tiling.pixel_size or file.size_of(index)[0]
            yield Pair(label, pixels, pixels, size, label, degradation="as given")
