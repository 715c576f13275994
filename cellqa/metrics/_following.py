"""What is kept of each frame of a time series beside its raw images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from cellqa.metrics._flux import SMALLEST, grid_of, line, surroundings, worked
from cellqa.metrics._scale import misfit, reduced
from cellqa.metrics.detail import noise_variance
from cellqa.metrics.stsnr import decibels
from cellqa.planes import Array
from cellqa.planes.blocks import block_means
from cellqa.planes.plane import Plane

SCALES = (2.0, 4.0, 8.0)  # sigma in pixels, of which the finest that noise allows is taken
_VARIES = 5.0  # standard deviations of its noise that the raw image's flux must vary by
_DARK, _BRIGHT = 0.2, 0.05  # shares of the places that are background, and bright
_BLOCK = 8  # pixels along a side of a place


@dataclass
class FrameFacts:
    """One frame of one method; values are nan where they are undefined.

    Attributes
    ----------
    at : float
        Its time.
    background, light, span : float
        Grey levels where the raw image is darkest; mean above that; where it is brightest above it.
    raw_background : float
        The raw image's.
    gain, level : float
        Grey levels for one of the raw image, and what is added: image = level + gain raw.
    unsure : float
        Standard deviation that noise of the raw image makes: of the gain, as a share of it; of the
        raw image's own light, in grey levels.
    snr : float
        Against the ground truth, in dB.
    left, before, after : ndarray, shape (scales,)
        Variance of the difference between the image, in the raw image's grey levels, and the raw
        image of its own time, of the time before, and of the time after.
    change, both, raw_change, noise, power : ndarray, shape (scales,)
        Of the change since the frame before: mean squares here, mean product with the raw images'
        change, their mean squares, and those of their noise; variance of the raw image.
    """

    at: float
    background: float = math.nan
    light: float = math.nan
    span: float = math.nan
    raw_background: float = math.nan
    gain: float = math.nan
    level: float = math.nan
    unsure: float = math.nan
    snr: float = math.nan
    left: Array = field(default_factory=lambda: np.full(len(SCALES), np.nan))
    before: Array = field(default_factory=lambda: np.full(len(SCALES), np.nan))
    after: Array = field(default_factory=lambda: np.full(len(SCALES), np.nan))
    change: Array = field(default_factory=lambda: np.full(len(SCALES), np.nan))
    both: Array = field(default_factory=lambda: np.full(len(SCALES), np.nan))
    raw_change: Array = field(default_factory=lambda: np.full(len(SCALES), np.nan))
    noise: Array = field(default_factory=lambda: np.full(len(SCALES), np.nan))
    power: Array = field(default_factory=lambda: np.full(len(SCALES), np.nan))


@dataclass(frozen=True)
class Seen:
    """What is needed of a plane until the next frame: flux, and pixels smoothed at each scale."""

    flux: Array
    smooth: tuple[Array, ...]
    places: Array  # means of blocks, of every other row
    noise: float = math.nan  # variance
    ends: tuple[Array, Array] | None = None  # the darkest and brightest places, of a raw image

    @classmethod
    def of(cls, plane: Plane, *, raw: bool = False) -> Seen:
        factor, sigma = grid_of(plane.shape)
        pixels = np.asarray(plane.real, np.float32)
        smooth = (
            cv2.GaussianBlur(pixels, (0, 0), s, borderType=cv2.BORDER_REFLECT) for s in SCALES
        )
        kept = tuple(map(np.asarray, smooth))
        flux = surroundings(sigma)(worked(plane, factor))
        places = _places(pixels[1::2])
        if not raw:
            return cls(flux, kept, places)
        # found in the rows between, so that noise does not choose what is measured
        found = cv2.GaussianBlur(_places(pixels[::2]), (0, 0), 1.0, borderType=cv2.BORDER_REFLECT)
        found = found[: places.shape[0]]
        low, high = np.quantile(found, (_DARK, 1 - _BRIGHT))
        noise = 0.0 if plane.flat else plane.once(noise_variance)
        return cls(flux, kept, places, noise, (found <= low, found >= high))

    def light_of(self, other: Seen) -> tuple[float, float, float]:
        """Background, mean light above it, and that of bright places; where this raw image says."""
        assert self.ends is not None
        dark, bright = (float(other.places[part].mean(dtype=np.float64)) for part in self.ends)
        return dark, float(other.places.mean(dtype=np.float64)) - dark, bright - dark

    @property
    def light_noise(self) -> float:
        """Standard deviation of the background, from which light is counted."""
        assert self.ends is not None
        pixels = int(self.ends[0].sum()) * _BLOCK**2 / 2
        return math.sqrt(max(self.noise, 0.0) / max(pixels, 1))


def _places(rows: Array) -> Array:
    """Means of blocks of every other row."""
    return block_means(rows, _BLOCK // 2, _BLOCK)


class Following:
    """Time series, followed frame by frame: two frames of each method are in memory at a time.

    Parameters
    ----------
    raw : str
        What the raw images, or whatever else serves as such, are called.
    scale : int
        How many times the raw image's pixels the others have along each side.
    """

    def __init__(self, raw: str = "input", *, scale: int = 1) -> None:
        self.raw, self.scale = raw, scale
        self.facts: dict[str, list[FrameFacts]] = {raw: []}
        self.squares: dict[str, tuple[Array, Array]] = {}  # of truth and error, over time
        self.problem: dict[str, str] = {}
        self._last: dict[str, tuple[Seen, Seen, float, float]] = {}

    def add(
        self, at: float, raw: Plane, images: Mapping[str, Plane], truth: Plane | None = None
    ) -> None:
        """Take the planes of one time.

        Parameters
        ----------
        at : float
            The time, later than any before.
        raw : Plane
        images : mapping of str to Plane
            By method; one that has none at this time is left out.
        truth : Plane, optional
            Of the images' shape.
        """
        if min(raw.shape) < SMALLEST:
            self.problem[self.raw] = f"the images have fewer than {SMALLEST} pixels a side"
            for method in images:
                self.facts.setdefault(method, [])
            return
        seen = Seen.of(raw, raw=True)
        own = FrameFacts(at, *seen.light_of(seen), unsure=seen.light_noise)
        self.facts[self.raw].append(own)
        for method, image in images.items():
            self._follow(method, at, raw, seen, image, truth)
        for method in self._last.keys() - images.keys():
            del self._last[method]  # a gap: there is no frame before the next one

    def _follow(
        self, method: str, at: float, raw: Plane, seen: Seen, image: Plane, truth: Plane | None
    ) -> None:
        facts = FrameFacts(at)
        self.facts.setdefault(method, []).append(facts)
        if truth is not None and truth.shape == image.shape:
            facts.snr = self._against(method, truth, image)
        problem = misfit(raw, image, self.scale)
        if problem:
            self.problem[method] = problem
            self._last.pop(method, None)
            return
        ours = Seen.of(reduced(image, self.scale))
        facts.background, facts.light, facts.span = seen.light_of(ours)
        facts.raw_background = self.facts[self.raw][-1].background
        facts.gain, facts.level, facts.unsure = _gain(raw, seen, ours)
        known = self._last.get(method)
        if math.isfinite(facts.gain) and facts.gain > 0:
            _compare(facts, ours, seen, known, self.facts[method])
        self._last[method] = ours, seen, facts.gain, facts.level

    def _against(self, method: str, truth: Plane, image: Plane) -> float:
        """The SNR of a frame, and sums of squares for those of pixels."""
        wanted = np.asarray(truth.real, np.float64)
        squares = wanted**2, (np.asarray(image.real, np.float64) - wanted) ** 2
        known = self.squares.get(method)
        if known is None:
            self.squares[method] = squares
        elif known[0].shape != squares[0].shape:
            for total in known:
                total[:] = np.nan  # pixels of other places have no course
        else:
            for total, more in zip(known, squares, strict=True):
                total += more
        return decibels(float(squares[0].sum()), float(squares[1].sum()))


def _gain(raw: Plane, seen: Seen, ours: Seen) -> tuple[float, float, float]:
    """Gain, level, and how much noise can change the gain; nan where there is only noise."""
    factor, sigma = grid_of(raw.shape)
    # noise that is left in the mean of Gaussian surroundings
    left = math.sqrt(max(seen.noise, 0.0) / (4 * math.pi)) / (sigma * factor)
    spread = float(seen.flux.std())
    if raw.flat or not spread > _VARIES * left:
        return math.nan, math.nan, math.nan
    independent = raw.pixels.size / (4 * math.pi * (sigma * factor) ** 2)
    return *line(seen.flux, ours.flux), left / spread / math.sqrt(max(independent, 1.0))


def _compare(
    facts: FrameFacts,
    ours: Seen,
    seen: Seen,
    known: tuple[Seen, Seen, float, float] | None,
    of_method: list[FrameFacts],
) -> None:
    """Against the raw image of the same time, and of the time before."""
    before = known if known and known[2] > 0 and _alike(known[0], ours) else None
    for k, sigma in enumerate(SCALES):
        b = seen.smooth[k]
        m = (ours.smooth[k] - facts.level) / facts.gain
        facts.left[k] = float((m - b).var(dtype=np.float64))
        facts.power[k] = float(b.var())
        if before is None:
            continue
        last_ours, last_seen, gain, level = before
        last_b = last_seen.smooth[k]
        last_m = (last_ours.smooth[k] - level) / gain
        facts.before[k] = float((m - last_b).var(dtype=np.float64))
        of_method[-2].after[k] = float((last_m - b).var(dtype=np.float64))
        here, there = m - last_m, b - last_b
        here, there = here - here.mean(), there - there.mean()
        facts.change[k], facts.raw_change[k] = _square(here), _square(there)
        facts.both[k] = float((here * there).mean(dtype=np.float64))
        # white noise of two images, smoothed by a Gaussian
        facts.noise[k] = (seen.noise + last_seen.noise) / (4 * math.pi * sigma**2)


def _alike(first: Seen, second: Seen) -> bool:
    return first.smooth[0].shape == second.smooth[0].shape


def _square(difference: Array) -> float:
    return float(np.square(difference).mean(dtype=np.float64))
