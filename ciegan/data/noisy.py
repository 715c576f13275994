"""Learning without ground truth: from two noisy captures, or from one that is made noisier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from cellqa.disk import StrPath
from cellqa.errors import CellqaError, first_line
from cellqa.io import open_image
from cellqa.planes import Array
from cellqa.planes.blocks import block_means
from cellqa.terminal import Progress
from ciegan.data.pixels import STRETCHED, colours
from ciegan.data.prepare import Prepared, images_below, only, prepare_folder
from ciegan.data.tiles import Pair, TilingOptions

# Half as much noise again in deviation; what is left for the target is twice it (Pang et al. 2021
# recommend 0.5).
_SHARE = 0.5
_DARK = 0.05  # of the photons: what read noise may take pixels below none
_FEW_PHOTONS = 50  # below, they are drawn one by one; above, their number is normal
_ROUNDING = 1 / 12  # variance that rounding to whole numbers leaves
_AVERAGED = 8  # pixels a side of blocks that squares are averaged in
_MEDIAN = 1.04  # of such means, the mean over the median, for normal noise
_BINS, _IN_BIN = 40, 25  # of brightness, at most; blocks in each
_CURVED = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6  # 0 for planes; norm 1
_BLOCK, _FLAT = 8, 0.25  # pixels a side; share of the blocks that have the least structure
_ALIKE = 0.25  # correlation of neighbours' noise from which pixels are not independent
_APART = 3  # pixels that are compared then
_DIFFERENT = 1.5  # times the variance
_REACH, _WIDE_BLOCK = 3, 32  # pixels that correlation reaches, of blocks that it is taken from


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
    kernel : ndarray of float32, shape (7, 7), or None
        What independent noise is to be filtered with to be correlated so, of unit power; None where
        pixels are independent.
    """

    gain: float
    constant: float
    least: float
    neighbours: float
    kernel: Array | None = None

    def variance(self, signal: float) -> float:
        """Of a pixel of such a signal, in grey levels squared."""
        return max(self.gain * signal + self.constant, self.least)

    def deviation(self, pixels: Array) -> Array:
        """Standard deviation of each pixel's noise; the signal is taken from its surroundings."""
        signal = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 1.0)
        return np.sqrt(np.maximum(self.gain * signal + self.constant, self.least))

    def photons(self, pixels: Array) -> Array | None:
        """Photons of each pixel, read noise among them; None where noise is not theirs alone."""
        if self.gain <= 0 or self.correlated:
            return None
        found = pixels.astype(np.float32) / self.gain + self.constant / self.gain**2
        light = np.maximum(found, 0)
        return light if (light - found).sum() <= _DARK * light.sum() else None

    def describe(self) -> str:
        """A line for the terminal."""
        told = f"noise: variance {self.gain:.4g} x signal {self.constant:+.4g}"
        return told + (f", neighbours alike by {self.neighbours:.2f}" if self.correlated else "")

    @property
    def correlated(self) -> bool:
        """Whether pixels are not independent."""
        return self.kernel is not None

    def warnings(self) -> list[str]:
        """What contradicts learning from one capture."""
        if not self.correlated:
            return []
        return [
            f"the noise of neighbouring pixels is correlated ({self.neighbours:.2f}): noise alike "
            "is added to learn from (--target self), but raw, unprocessed images, or two captures "
            "(--target other), teach more"
        ]

    def drawn(self, pixels: Array, rng: np.random.Generator) -> Array:
        """Noise as that of the pixels, float32."""
        white: Array = rng.standard_normal(pixels.shape, np.float32)
        if self.kernel is not None:
            white = cv2.filter2D(white, -1, self.kernel, borderType=cv2.BORDER_REFLECT)
        return np.asarray(white * self.deviation(pixels))


class Noises:
    """The noise of a set of images: of one camera, or each image's own where they differ.

    Attributes
    ----------
    common : NoiseModel
        Of all that were looked at.
    differs : bool
        Whether the variance of half of them is other than it says, by a factor of 1.5: of several
        cameras, exposures or ways of processing.
    """

    def __init__(self, images: Sequence[Array]) -> None:
        self.common = noise_model(images)
        levels = [float(np.mean(image)) for image in images]
        own = np.array(
            [noise_model([i]).variance(at) for i, at in zip(images, levels, strict=True)]
        )
        off = np.abs(np.log(own / [self.common.variance(at) for at in levels]))
        self.differs = bool(np.median(off) > np.log(_DIFFERENT))
        self._range = float(own.min()) ** 0.5, float(own.max()) ** 0.5
        self._own: dict[str, NoiseModel] = {}

    def of(self, name: str, load: Callable[[], Array]) -> NoiseModel:
        """What says the noise of an image: loaded and measured once, where images differ."""
        if not self.differs:
            return self.common
        if name not in self._own:
            self._own[name] = noise_model([load()])
        return self._own[name]

    def describe(self) -> str:
        """A line for the terminal."""
        if not self.differs:
            return self.common.describe()
        low, high = self._range
        return f"noise: measured in each image; {low:.3g} to {high:.3g} grey levels at their means"

    def warnings(self) -> list[str]:
        """What contradicts learning from one capture, or makes it harder."""
        told = self.common.warnings()
        if self.differs:
            told.append(
                "the images are not of one camera and exposure: their noise differs, and is "
                "measured in each (--target self); networks of one kind of image each learn more"
            )
        return told


def noise_model(images: Sequence[Array]) -> NoiseModel:
    """Noise of a camera, from images alone: how second differences grow with brightness.

    Second differences along both axes are 0 on planes. Their squares are averaged in blocks, since
    of few photons most pixels say nothing, and the median of blocks of like brightness leaves
    structure out (Foi et al. 2008, doi 10.1109/TIP.2008.2001399, fit the same line to the
    deviations of segments). Where neighbours are alike, pixels three apart are compared.

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
    # a weighted mean of colours has less noise than each of them
    every = (p for i in images for p in (np.moveaxis(i, -1, 0) if i.ndim == 3 else [i]))
    greys = [np.asarray(plane, np.float32) for plane in every]
    whole = all(image.dtype.kind in "iu" for image in images)
    alike = float(np.median([_of_neighbours(grey) for grey in greys]))
    kernel = _correlating(greys) if alike > _ALIKE else None
    curved = _CURVED
    if kernel is not None:
        curved = np.zeros((2 * _APART + 1,) * 2, np.float32)
        curved[::_APART, ::_APART] = _CURVED
    means, squares = [], []
    for grey in greys:
        means.append(block_means(grey, _AVERAGED).ravel())
        squares.append(block_means(cv2.filter2D(grey, -1, curved) ** 2, _AVERAGED).ravel())
    mean, square = np.concatenate(means), np.concatenate(squares)
    order = np.argsort(mean, kind="stable")
    parts = np.array_split(order, int(np.clip(len(order) // _IN_BIN, 1, _BINS)))
    signal = np.array([mean[p].mean() for p in parts])
    variance = np.array([np.median(square[p]) * _MEDIAN for p in parts])
    least = max(_ROUNDING if whole else 0.0, 1e-3 * float(np.median(variance)), 1e-12)
    gain, constant = _line(signal, np.maximum(variance, least))
    return NoiseModel(gain, constant, least, alike, kernel)


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


def _flattest(grey: Array, side: int) -> Array:
    """Blocks of so many pixels a side with the least structure, planes removed; maybe none."""
    rows, columns = (n // side * side for n in grey.shape)
    cut = grey[:rows, :columns].reshape(rows // side, side, columns // side, side)
    blocks = cut.transpose(0, 2, 1, 3).reshape(-1, side, side)
    at = np.arange(side) - (side - 1) / 2
    planes = np.stack([np.ones(side**2), np.repeat(at, side), np.tile(at, side)], axis=1)
    flat = blocks.reshape(len(blocks), -1).astype(np.float64)
    left = (flat - flat @ planes @ np.linalg.pinv(planes)).reshape(blocks.shape)
    power = (left**2).mean(axis=(1, 2))
    there = power > 0
    if not there.any():
        return left[:0]
    return np.asarray(left[there & (power <= np.quantile(power[there], _FLAT))])


def _correlating(greys: Sequence[Array]) -> Array | None:
    """The kernel that makes white noise as correlated as that of images."""
    found = []
    for grey in greys:
        chosen = _flattest(grey, _WIDE_BLOCK)
        if len(chosen):
            spectra = np.abs(np.fft.fft2(chosen, (2 * _WIDE_BLOCK,) * 2)) ** 2
            alike = np.fft.fftshift(np.fft.ifft2(spectra.mean(axis=0)).real)
            middle = slice(_WIDE_BLOCK - _REACH, _WIDE_BLOCK + _REACH + 1)
            found.append(alike[middle, middle] / alike.max())
    if not found:
        return None
    at = np.abs(np.arange(-_REACH, _REACH + 1))
    pairs = np.outer(_WIDE_BLOCK - at, _WIDE_BLOCK - at) / _WIDE_BLOCK**2
    alike = np.median(found, axis=0) / pairs  # as many pairs were averaged
    size = 8 * _REACH
    whole = np.zeros((size, size))
    whole[: 2 * _REACH + 1, : 2 * _REACH + 1] = alike
    whole = np.roll(whole, (-_REACH, -_REACH), (0, 1))
    amplitude = np.sqrt(np.maximum(np.fft.fft2(whole).real, 0))
    kernel = np.roll(np.fft.ifft2(amplitude).real, (_REACH, _REACH), (0, 1))
    kernel = kernel[: 2 * _REACH + 1, : 2 * _REACH + 1]
    return np.asarray(kernel / np.sqrt((kernel**2).sum()), np.float32)


def _of_neighbours(grey: Array) -> float:
    """Correlation of neighbours in the blocks with the least structure, planes removed."""
    chosen = _flattest(grey, _BLOCK)
    if not len(chosen):
        return 0.0
    across = (chosen[:, :, 1:] * chosen[:, :, :-1]).mean()
    down = (chosen[:, 1:] * chosen[:, :-1]).mean()
    expected = -3 / _BLOCK**2  # of white noise, since a plane was removed
    return float((across + down) / 2 / (chosen**2).mean() - expected)


def recorrupted(pixels: Array, noise: NoiseModel, rng: np.random.Generator) -> tuple[Array, Array]:
    """Two images of one noisy one whose noise is independent: input and target.

    The input has 1.25 times the variance of the noise, the target 5 times; a network that maps one
    to the other with a squared loss learns the mean, which is the clean image.

    Photon noise of independent pixels is thinned: four fifths of a pixel's photons, drawn one by
    one, are the input and the rest the target. These are independent, however few they are
    (binomial thinning; Neufeld et al. 2024, JMLR 25:57). Photons are what the model's gain says;
    what is left of a pixel that is no whole number of them is shared in proportion, and read noise
    counts as photons of its variance. Both are uncorrelated wherever the variance is the model's.

    Where neighbours are alike, where there is no photon noise, or where read noise takes too many
    pixels below no photon at all, normal noise is added to the one and taken from the other (Pang
    et al. 2021, Recorrupted-to-Recorrupted, doi 10.1109/CVPR46437.2021.00208), which asks for noise
    that is near to normal.

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
    photons = noise.photons(wide)
    added = noise.drawn(wide, rng) if photons is None else noise.gain * _thinned(photons, rng)
    return wide + _SHARE * added, wide - added / _SHARE


def _thinned(photons: Array, rng: np.random.Generator) -> Array:
    """What drawing photons one by one adds to those that are kept, over `_SHARE`, float32."""
    kept = 1 / (1 + _SHARE**2)
    whole = np.floor(photons + rng.random(photons.shape, np.float32))
    drawn = rng.standard_normal(photons.shape, np.float32) * np.sqrt(kept * (1 - kept) * whole)
    few = whole < _FEW_PHOTONS
    drawn[few] = rng.binomial(whole[few].astype(np.int64), kept) - kept * whole[few]
    return np.asarray(drawn / (kept * _SHARE), np.float32)


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
) -> Iterator[Pair | tuple[str, str] | str]:
    with open_image(only(paths)) as file:
        several = len(file.planes) > 1
        for index in file.planes:
            label = file.label(index) if several else ""
            try:
                pixels = colours(file.load(index))
            except CellqaError as error:
                yield label or "image", first_line(error)
                continue
            if file.stretched(index) and not tiling.pixel_size:
                yield STRETCHED
            size = tiling.pixel_size or file.size_of(index)[0]
            yield Pair(label, pixels, pixels, size, label, degradation="as given")
