"""Time-lapses with known truth: nuclei that move, grow and divide under an imperfect microscope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from cellqa.planes import Array
from cellqa.simulate.imaging import OFFSET, READ_NOISE, optical_blur

BACKGROUND = 0.02  # of `photons`
GAP = 2.0  # pixels between nuclei, which never touch


@dataclass(frozen=True)
class Timelapse:
    """A simulated time-lapse of T frames and N nuclei. All positions are in pixels (y, x).

    Attributes
    ----------
    image : ndarray of uint16, shape (T, Y, X)
        What the camera gives: counted photons, read noise, the camera's offset.
    ideal : ndarray of float64, shape (T, Y, X)
        Expected photons of each pixel of `image`: out of focus, bleached and flashed as it is,
        without noise and offset.
    truth : ndarray of float64, shape (T, Y, X)
        Expected photons if all frames were in focus under a steady lamp and no dye bleached.
    labels : ndarray of int32, shape (T, Y, X)
        Nucleus k has label k + 1 in every frame; 0 is background.
    positions : ndarray of float64, shape (T, N, 2)
        Centres. nan before a nucleus is there and after it has divided.
    flux : ndarray of float64, shape (T, N)
        Photons of each nucleus, without background, in focus, under a steady lamp and not
        bleached; nan where it is not there.
    decay : ndarray of float64, shape (T,)
        Share of the dye that is not bleached: exp(-`bleaching` t), 1 at first.
    focus : ndarray of float64, shape (T,)
        Standard deviation of the blur by defocus, in pixels; 0 is in focus.
    lamp : ndarray of float64, shape (T,)
        Brightness of the lamp, 1 but in frames with a flash.
    offset : ndarray of float64, shape (T,)
        The camera's, in grey levels.
    flashes : tuple of int
        The frames with a flash, ascending.
    parents : dict of int to int
        For each nucleus that another one divided into, that one; both as in `positions`.
    """

    image: Array
    ideal: Array
    truth: Array
    labels: Array
    positions: Array
    flux: Array
    decay: Array
    focus: Array
    lamp: Array
    offset: Array
    flashes: tuple[int, ...]
    parents: dict[int, int]


def timelapse(
    shape: tuple[int, int, int],
    *,
    cutoff: float = 0.35,
    photons: float = 200.0,
    density: float = 1.0,
    size: float = 1.0,
    speed: float = 1.5,
    bleaching: float = 0.0,
    defocus: float | Sequence[float] = 0.0,
    growth: float = 0.0,
    divisions: int = 0,
    flashes: Mapping[int, float] | None = None,
    offset: float | Sequence[float] = OFFSET,
    seed: int = 0,
) -> Timelapse:
    """Textured nuclei that move over a dark ground, and a microscope that takes them.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X): frames, rows, columns.
    cutoff : float
        Optical cut-off, 1 at the Nyquist frequency.
    photons : float
        Expected at brightness 1, in one pixel of one frame; nuclei have 0.35 to 1. A background
        of 2 % is added, which the lamp brightens and which does not bleach. 5 is low light.
    density : float
        1 is a nucleus for each 5000 pixels of the first frame; there is one at least.
    size : float
        1 is 14 to 30 pixels across.
    speed : float
        Mean way of a nucleus from frame to frame, in pixels. They keep their direction for some
        frames, stay in the field, and push each other away rather than touch.
    bleaching : float
        Rate of the dye's decay, per frame: exp(-`bleaching` t) is left in frame t.
    defocus : float or sequence of float
        Standard deviation of the blur by defocus, in pixels: of each frame, or the largest of
        a slow drift out of focus and back.
    growth : float
        Rate of the area of nuclei, per frame: exp(`growth` t); they become no brighter.
    divisions : int
        How many of the first nuclei divide, each into two of half its area and flux.
    flashes : mapping of int to float, optional
        Frames in which the lamp is this many times as bright.
    offset : float or sequence of float
        The camera's, in grey levels: of all frames, or of each.
    seed : int
        Of all that is drawn; the same nuclei take the same ways whatever the microscope does.

    Raises
    ------
    ValueError
        A parameter is out of its range, or has another number of frames than `shape`.

    Examples
    --------
    >>> series = timelapse((6, 96, 96), bleaching=0.1, flashes={3: 2.0}, seed=1)
    >>> series.image.shape, series.image.dtype, series.flashes
    ((6, 96, 96), dtype('uint16'), (3,))
    >>> series.decay.round(2).tolist()
    [1.0, 0.9, 0.82, 0.74, 0.67, 0.61]
    >>> bool(series.image[3].mean() > series.image[2].mean())
    True
    """
    frames, field = _checked(shape), shape[1:]
    for name, value in {"cutoff": cutoff, "photons": photons, "size": size}.items():
        if not value > 0:
            raise ValueError(f"`{name}` must be above 0, got {value}")
    lamp = _lamp(flashes or {}, frames)
    focus = _focus(defocus, frames)
    dark = _of_each_frame("offset", offset, frames)
    decay = np.exp(-bleaching * np.arange(frames))

    tracks = _Tracks(field, density, size, growth, np.random.default_rng(seed))
    tracks.run(frames, speed, divisions)
    drawn = [_draw(field, tracks.frames[t]) for t in range(frames)]
    structure = np.stack([np.maximum(optical_blur(one, cutoff), 0) for one, _ in drawn])
    truth = photons * (structure + BACKGROUND)
    seen = np.stack([_defocused(s, f) for s, f in zip(structure, focus, strict=True)])
    ideal = photons * lamp[:, None, None] * (decay[:, None, None] * seen + BACKGROUND)
    rng = np.random.default_rng(seed + 1)
    counts = rng.poisson(ideal) + rng.normal(dark[:, None, None], READ_NOISE, ideal.shape)
    labels = np.stack([one for _, one in drawn])
    return Timelapse(
        image=np.clip(np.rint(counts), 0, 65535).astype(np.uint16),
        ideal=ideal,
        truth=truth,
        labels=labels,
        positions=tracks.positions(),
        flux=photons * tracks.sums([one for one, _ in drawn], labels),
        decay=decay,
        focus=focus,
        lamp=lamp,
        offset=dark,
        flashes=tuple(int(t) for t in np.flatnonzero(lamp != 1)),
        parents=tracks.parents,
    )


def _checked(shape: tuple[int, int, int]) -> int:
    if len(shape) != 3 or min(shape) < 1 or min(shape[1:]) < 48:
        raise ValueError(f"`shape` must be (frames, 48 rows or more, 48 columns or more), {shape}")
    return int(shape[0])


def _of_each_frame(name: str, value: float | Sequence[float], frames: int) -> Array:
    values = np.array(value, dtype=np.float64)
    if values.ndim and values.shape != (frames,):
        raise ValueError(f"`{name}` must have a value for each of {frames} frames, {values.shape}")
    if not (values >= 0).all():
        raise ValueError(f"`{name}` must be 0 or more, got {values.min()}")
    return np.array(np.broadcast_to(values, (frames,)))


def _focus(defocus: float | Sequence[float], frames: int) -> Array:
    each = _of_each_frame("defocus", defocus, frames)
    if np.ndim(defocus):
        return each
    return np.asarray(each * np.sin(np.pi * np.arange(frames) / max(frames - 1, 1)))


def _lamp(flashes: Mapping[int, float], frames: int) -> Array:
    lamp = np.ones(frames)
    for frame, times in flashes.items():
        if not 0 <= frame < frames:
            raise ValueError(f"`flashes` must name frames from 0 to {frames - 1}, got {frame}")
        if not times > 0:
            raise ValueError(f"`flashes` must be above 0, got {times} in frame {frame}")
        lamp[frame] = times
    return lamp


def _defocused(structure: Array, sigma: float) -> Array:
    if sigma == 0:
        return structure
    blurred = cv2.GaussianBlur(structure, (0, 0), float(sigma), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred)


@dataclass(frozen=True)
class _Nucleus:
    """One nucleus in one frame. `waves` (K, 3) are its texture: frequency along, across, phase."""

    number: int
    centre: Array
    axes: tuple[float, float]  # half of its length and width, pixels
    angle: float
    level: float
    heading: float
    waves: Array

    @property
    def reach(self) -> float:
        return max(self.axes)

    def scaled(self, factor: float) -> _Nucleus:
        return replace(self, axes=(self.axes[0] * factor, self.axes[1] * factor))


class _Tracks:
    """The nuclei of each frame."""

    def __init__(
        self,
        field: tuple[int, int],
        density: float,
        size: float,
        growth: float,
        rng: np.random.Generator,
    ) -> None:
        self.field, self.rng = field, rng
        self.growth = float(np.exp(growth / 2))  # of lengths, from frame to frame
        number = max(1, round(density * field[0] * field[1] / 5000))
        self.now = [self._new(k, size) for k in range(number)]
        self.count = number
        self.parents: dict[int, int] = {}
        self.frames: list[list[_Nucleus]] = []
        self._push_apart(rounds=200)

    def _new(self, number: int, size: float) -> _Nucleus:
        rng = self.rng
        waves = np.column_stack([rng.normal(0, 0.6, (6, 2)) / size, rng.uniform(0, 6.28, 6)])
        return _Nucleus(
            number,
            rng.uniform(0, 1, 2) * self.field,
            (float(rng.uniform(10, 15)) * size, float(rng.uniform(7, 10)) * size),
            float(rng.uniform(0, np.pi)),
            float(rng.uniform(0.35, 1)),
            float(rng.uniform(0, 2 * np.pi)),
            waves,
        )

    def run(self, frames: int, speed: float, divisions: int) -> None:
        """Let time pass."""
        if not 0 <= divisions <= self.count:
            raise ValueError(f"`divisions` must be 0 to {self.count} (nuclei), got {divisions}")
        if divisions and frames < 2:
            raise ValueError("`divisions` need two frames or more")
        when = self.rng.integers(1, max(frames, 2), divisions)
        who = self.rng.permutation(self.count)[:divisions]
        for t in range(frames):
            if t:
                self.now = [self._moved(one, speed) for one in self.now]
                for number in who[when == t]:
                    self._divide(int(number))
                self._push_apart(rounds=20)
            self.frames.append(list(self.now))

    def _moved(self, one: _Nucleus, speed: float) -> _Nucleus:
        heading = one.heading + self.rng.normal(0, 0.35)
        # the mean of a Rayleigh distribution is sqrt(pi / 2) times its scale
        step = speed * self.rng.rayleigh(np.sqrt(2 / np.pi))
        centre = one.centre + step * np.array([np.sin(heading), np.cos(heading)])
        angle = one.angle + self.rng.normal(0, 0.02) * speed
        return replace(one, centre=centre, heading=heading, angle=angle).scaled(self.growth)

    def _divide(self, number: int) -> None:
        place = [one.number for one in self.now].index(number)
        mother = self.now.pop(place)
        along = np.array([np.sin(mother.angle), np.cos(mother.angle)])
        length, width = mother.axes[0] / np.sqrt(2), mother.axes[1] / np.sqrt(2)
        for side in (-1, 1):
            heading = float(np.arctan2(*(side * along)))
            daughter = replace(
                mother,
                number=self.count,
                centre=mother.centre + side * (width + GAP) * along,
                axes=(length, width),
                angle=mother.angle + np.pi / 2,
                heading=heading,
            )
            self.now.append(daughter)
            self.parents[self.count] = number
            self.count += 1

    def _push_apart(self, rounds: int) -> None:
        """Move nuclei that touch each other or the border, the least that separates them."""
        centres = np.array([one.centre for one in self.now])
        reach = np.array([one.reach for one in self.now])
        low = np.minimum(reach + GAP, min(self.field) / 2 - 1)[:, None]
        high = np.array(self.field) - 1 - low
        for _ in range(rounds):
            centres = np.clip(centres, low, high)
            between = centres[:, None] - centres[None]
            far = np.hypot(between[..., 0], between[..., 1])
            lack = reach[:, None] + reach[None] + GAP - far
            np.fill_diagonal(lack, 0)
            if lack.max() <= 0:
                break
            push = np.maximum(lack, 0) / 2 / np.maximum(far, 1e-9)
            centres = centres + 1.1 * (push[..., None] * between).sum(axis=1)
        centres = np.clip(centres, low, high)
        turned = []
        for one, centre, lo, hi in zip(self.now, centres, low, high, strict=True):
            heading = one.heading
            if ((centre <= lo) | (centre >= hi)).any():  # off the border again
                heading = float(np.arctan2(*(np.array(self.field) / 2 - centre)))
            turned.append(replace(one, centre=centre, heading=heading))
        self.now = turned

    def positions(self) -> Array:
        """Centres, shape (T, N, 2)."""
        found = np.full((len(self.frames), self.count, 2), np.nan)
        for t, nuclei in enumerate(self.frames):
            for one in nuclei:
                found[t, one.number] = one.centre
        return found

    def sums(self, drawn: list[Array], labels: Array) -> Array:
        """Brightness of each nucleus, shape (T, N)."""
        found = np.full((len(self.frames), self.count), np.nan)
        for t, nuclei in enumerate(self.frames):
            weights = np.bincount(labels[t].ravel(), drawn[t].ravel(), minlength=self.count + 1)
            for one in nuclei:
                found[t, one.number] = weights[one.number + 1]
        return found


def _draw(field: tuple[int, int], nuclei: list[_Nucleus]) -> tuple[Array, Array]:
    """Brightness, 0 to 1, and labels of a frame."""
    canvas, labels = np.zeros(field), np.zeros(field, np.int32)
    for one in nuclei:
        reach = int(one.reach) + 2
        top, left = (max(0, int(v) - reach) for v in one.centre)
        part = (
            slice(top, int(one.centre[0]) + reach + 1),
            slice(left, int(one.centre[1]) + reach + 1),
        )
        y, x = np.indices(canvas[part].shape)
        y, x = y + (top - one.centre[0]), x + (left - one.centre[1])
        along = np.cos(one.angle) * x + np.sin(one.angle) * y
        across = np.cos(one.angle) * y - np.sin(one.angle) * x
        radius = np.hypot(along / one.axes[0], across / one.axes[1])
        # the border is a pixel wide, so that a nucleus moves by parts of a pixel
        inside = np.clip((1 - radius) * min(one.axes) + 0.5, 0, 1)
        waves = one.waves[:, :, None, None]
        texture = np.cos(waves[:, 0] * along + waves[:, 1] * across + waves[:, 2]).mean(axis=0)
        brightness = one.level * inside * (0.75 + 0.5 * np.clip(texture, -0.5, 0.5))
        mine = (inside > 0) & (brightness > canvas[part])
        canvas[part][mine] = brightness[mine]
        labels[part][mine] = one.number + 1
    return canvas, labels
