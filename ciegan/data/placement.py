"""How an image out of focus lies upon the sharp one: displaced, turned, magnified."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import scipy.fft
import scipy.optimize

from cellqa.metrics.alignment import displacement
from cellqa.planes import Array
from cellqa.planes.plane import Plane

_NEGLIGIBLE = 1.0  # pixels of displacement, at the centre or the corners, that are not told
_PARTS, _LEAST = 3, 64  # parts along each side that are registered alone, and their least side
_CLEAR = 4.0  # times the scatter of the parts
_PASSES, _DONE = 4, 0.05  # of refining; pixels
_RINGS = 30  # of frequencies, up to half of Nyquist
_COMMON = 3  # rings, beyond the coarsest two, that must be coherent
_COHERENT = 4.5  # standard errors of a ring's mean cosine
_SHARED = 0.35  # coherence of the best rings; real planes 25 um out of focus have 0.5
_ENOUGH = 5  # parts whose displacements tell turn and magnification
_SIDE = 512  # pixels, to which an image is binned to be turned as a whole
_TRIED, _EXACT = 200, 0.03  # steps of its refining; pixels
_TURNS = (-15, -12.5, -10, -7.5, -5, -2.5, 2.5, 5, 7.5, 10, 12.5, 15)  # degrees to begin with
_FAR = 0.125  # of the shorter side: the most that a turned image may be displaced
_SURE = 3.5  # standard deviations of the agreement, from which a turn is believed
_TINY = float(np.finfo(np.float32).tiny)
_BETTER = 1.05  # times the agreement, from which something else is believed


@dataclass(frozen=True)
class Placed:
    """How the input lies upon the target.

    Attributes
    ----------
    by : (float, float)
        Displacement of its centre, in pixels.
    turn : float
        Degrees, counter-clockwise.
    scale : float
        Above 1 where it is larger.
    corner : float
        How far a corner is off, the displacement of the centre left out, in pixels.
    """

    by: tuple[float, float]
    turn: float = 0.0
    scale: float = 1.0
    corner: float = 0.0

    def describe(self) -> str:
        """What is off, as `displaced by 5.0 pixels, turned by 1.00 degrees`."""
        told = []
        if math.hypot(*self.by) > _NEGLIGIBLE:
            told.append(f"displaced by {math.hypot(*self.by):.1f} pixels")
        if self.corner > _NEGLIGIBLE:
            told.append(f"turned by {self.turn:.2f} degrees and {self.scale:.4f} times as large")
        return ", ".join(told)


def placement(target: Array, source: Array) -> Placed | None:
    """How the input lies upon the target; None where they have nothing in common.

    Parts of both are registered alone; their displacements tell turn and magnification. Where they
    scatter by more than what is to be told, or hold too little, the whole image is turned and
    magnified until the phases of both agree best.

    Parameters
    ----------
    target, source : ndarray of float32, shape (Y, X)

    Examples
    --------
    >>> from cellqa.simulate import filaments
    >>> image = filaments((200, 200), seed=1).image.astype(np.float32)
    >>> placed = placement(image[5:-5, 5:-5], image[1:-9, 8:-2])
    >>> [round(s) for s in placed.by]
    [4, -3]
    """
    whole = displaced(target, source)
    if whole is None:
        return _turned(target, source)
    brought, inside = laid(source, Placed(whole))
    truth, brought = target[inside], brought[inside]
    places, found = [], []
    sides = [max(n // _PARTS, _LEAST) for n in truth.shape]
    for y in np.linspace(0, truth.shape[0] - sides[0], _PARTS).astype(int):
        for x in np.linspace(0, truth.shape[1] - sides[1], _PARTS).astype(int):
            part = np.s_[y : y + sides[0], x : x + sides[1]]
            by = displaced(truth[part], brought[part])
            if by is not None:
                places.append((y + sides[0] / 2, x + sides[1] / 2))
                found.append(by)
    parts = None
    if len(found) >= _ENOUGH:
        at = np.array(places) - np.array(truth.shape) / 2
        turn, scale, scatter, centre = _similarity(at, np.array(found))
        corner = _reach(truth) * math.hypot(turn, scale)
        by = (whole[0] + centre[0], whole[1] + centre[1])
        if _CLEAR * scatter < _NEGLIGIBLE:
            if corner < _NEGLIGIBLE / 2:
                return Placed(whole)
            if corner > _NEGLIGIBLE:
                parts = Placed(by, math.degrees(turn), 1 + scale, corner)
    return _turned(target, source) or parts or Placed(whole)


def _reach(image: Array) -> float:
    """From the centre to a corner."""
    return math.hypot(*image.shape) / 2


def _turned(target: Array, source: Array) -> Placed | None:
    """Turn and magnification by the phases of the whole image; None where they tell none."""
    by = _bins(target, _SIDE)
    target, source = (_binned(p, by) for p in (target, source))
    straight = displaced(target, source)
    found, agreed = _fitted(target, source, Placed(straight)) if straight else (None, 0.0)
    # where nothing is in common without a turn, a few cells may be brought onto others by one
    far = math.inf if straight else _FAR * min(target.shape)
    least = _more(_agreement(target, source, Placed(straight or (0.0, 0.0))))
    start = _far(target, source, found)
    if start is not None and math.hypot(*start.by) < far:
        found, agreed = max((found, agreed), _fitted(target, source, start), key=lambda fit: fit[1])
    if found is None or agreed < least or found.corner * by < _NEGLIGIBLE:
        return None
    if not _Phases(target, laid(source, found)[0]).is_common((0.0, 0.0)):
        return None
    return _scaled(found, by)


def _far(target: Array, source: Array, near: Placed | None) -> Placed | None:
    """Of many turns the one that brings both nearest, if they agree half as well as near."""
    by = _bins(target, _SIDE // 2)  # coarse: a turn is found from farther away
    target, source = (_binned(p, by) for p in (target, source))
    least = 0.0 if near is None else _agreement(target, source, _scaled(near, 1 / by)) / 2
    found = None
    for degrees in _TURNS:
        brought, _ = laid(source, Placed((0.0, 0.0), degrees))
        moved = displaced(target, brought)
        if moved is not None and (agreed := _Phases(target, brought).agreement(moved)) > least:
            least, found = agreed, Placed(moved, degrees)
    return _scaled(found, by) if found else None


def _more(agreement: float) -> float:
    """The agreement from which a turn is believed: the squares of the rings vary, too."""
    return agreement + max((_BETTER - 1) * agreement, _SURE * 2 * math.sqrt(agreement / _RINGS))


def _scaled(placed: Placed, times: float) -> Placed:
    y, x = placed.by
    return replace(placed, by=(y * times, x * times), corner=placed.corner * times)


def _bins(image: Array, side: int) -> int:
    """Pixels that are one, so that the longer side has so many, and the shorter one enough."""
    return max(1, min(-(-max(image.shape) // side), min(image.shape) // _LEAST))


def _binned(image: Array, by: int) -> Array:
    rows, columns = (n // by for n in image.shape)
    whole = image[: rows * by, : columns * by]
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA))


def _agreement(target: Array, source: Array, placed: Placed) -> float:
    return _Phases(target, laid(source, placed)[0]).agreement((0.0, 0.0))


def _fitted(target: Array, source: Array, start: Placed) -> tuple[Placed, float]:
    """The displacement, turn and magnification that agree best, and how well.

    Turn and magnification are left out where they are not worth it.
    """
    reach = _reach(target)

    def as_placed(corners: Array) -> Placed:  # all in pixels
        y, x, turn, scale = (float(c) for c in corners)
        return Placed(
            (y, x), math.degrees(turn / reach), 1 + scale / reach, math.hypot(turn, scale)
        )

    def agreement(corners: Array) -> float:
        return _agreement(target, source, as_placed(corners))

    first = np.array([*start.by, math.radians(start.turn) * reach, 0.0])
    best = scipy.optimize.minimize(
        lambda corners: -agreement(corners),
        first,
        method="Nelder-Mead",
        options={
            "initial_simplex": np.vstack([first, first + np.diag([0.5, 0.5, 2.0, 2.0])]),
            "xatol": _EXACT,
            "fatol": math.inf,
            "maxfev": _TRIED,
        },
    )
    for less in ([1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]):
        simpler = best.x * less
        if (agreed := agreement(simpler)) * _BETTER > -best.fun:
            return as_placed(simpler), agreed
    return as_placed(best.x), -float(best.fun)


def refined(target: Array, source: Array, placed: Placed) -> Placed:
    """What is still off after the input was brought onto the target, added."""
    for _ in range(_PASSES):
        brought, inside = laid(source, placed)
        left = placement(target[inside], brought[inside])
        if left is None:
            break
        placed = Placed(
            (placed.by[0] + left.by[0], placed.by[1] + left.by[1]),
            placed.turn + left.turn,
            placed.scale * left.scale,
            max(placed.corner, left.corner),
        )
        if math.hypot(*left.by) < _DONE and not left.corner:
            break
    return placed


def displaced(target: Array, source: Array) -> tuple[float, float] | None:
    """Displacement of an image out of focus, in pixels (y, x); None without common structure.

    Defocus in brightfield inverts contrast, in some rings of frequencies or in all, and what
    `cellqa.shift` finds may then be far off. Here, each ring may agree or be inverted.

    Parameters
    ----------
    target, source : ndarray of float32, shape (Y, X)

    Examples
    --------
    >>> from cellqa.simulate import filaments
    >>> image = filaments((200, 200), seed=1).image.astype(np.float32)
    >>> [round(s) for s in displaced(image[5:-5, 5:-5], 900 - image[3:-7, 6:-4])]
    [2, -1]
    """
    phases = _Phases(target, source)
    near = (0.0, 0.0)
    found = _found(target, source)
    if found is not None and phases.agreement(found) * _BETTER >= phases.agreement(near):
        near = found
    inverted = _found(target, -source)
    if inverted is not None and phases.agreement(inverted) > _BETTER * phases.agreement(near):
        near = inverted
    if near == found:
        return found if phases.is_common(near) else None
    best = scipy.optimize.minimize(
        lambda by: -phases.agreement(by), near, method="Nelder-Mead", options={"xatol": 0.01}
    )
    by = (float(best.x[0]), float(best.x[1]))
    return by if phases.is_common(by) else None


def _found(target: Array, source: Array) -> tuple[float, float] | None:
    by = displacement(*(Plane(p, np.dtype(np.float32)) for p in (target, source)))
    return None if math.isnan(by[0]) or math.isnan(by[1]) else (float(by[0]), float(by[1]))


class _Phases:
    """How the phases of two images agree, ring by ring of frequencies."""

    def __init__(self, target: Array, source: Array) -> None:
        window = np.outer(*(np.hanning(n).astype(np.float32) for n in target.shape))
        first, second = (scipy.fft.rfft2((p - p.mean()) * window) for p in (target, source))
        y = np.fft.fftfreq(target.shape[0])[:, None]
        x = np.fft.rfftfreq(target.shape[1])[None]
        ring = (np.hypot(y, x) * 4 * _RINGS).astype(int)
        used = (ring < _RINGS) & (ring > 0)
        cross = (first * second.conj())[used]
        self.weight = np.abs(cross)
        self.cross = cross / np.maximum(self.weight, _TINY)
        self.y, self.x = (np.broadcast_to(f, used.shape)[used] for f in (y, x))
        self.ring = ring[used]
        self.number = np.maximum(np.bincount(self.ring, minlength=_RINGS), 1)
        self.spectra = first[used], second[used]

    def _sum(self, values: Array) -> Array:
        return np.bincount(self.ring, values, _RINGS)

    def _cosines(self, by: tuple[float, float] | Array) -> Array:
        turned = np.exp(-2j * np.pi * (self.y * by[0] + self.x * by[1]))
        return np.asarray((self.cross * turned).real)

    def errors(self, by: tuple[float, float] | Array) -> Array:
        """Mean cosine of each ring in standard errors; negative where contrast is inverted."""
        return self._sum(self._cosines(by)) / np.sqrt(self.number / 2)

    def agreement(self, by: tuple[float, float] | Array) -> float:
        """Of all rings, agreeing or inverted; 1 by chance."""
        return float(np.mean(self.errors(by)[1:] ** 2))

    def is_common(self, by: tuple[float, float]) -> bool:
        """Whether there is structure in common: uneven light, which all images share, is none.

        A few blobs that are brought onto others are none, either: most of the rest differs.
        """
        if (np.abs(self.errors(by)[3:]) > _COHERENT).sum() < _COMMON:
            return False
        own, other = (self._sum(np.abs(spectrum) ** 2) for spectrum in self.spectra)
        power = np.maximum(np.sqrt(own * other), _TINY)
        coherence = np.abs(self._sum(self._cosines(by) * self.weight)) / power
        return bool(np.sort(coherence)[-_COMMON:].mean() > _SHARED)


def _similarity(at: Array, by: Array) -> tuple[float, float, float, tuple[float, float]]:
    """Turn (radians), magnification less 1, scatter in pixels, and displacement of the centre.

    The parts that fit worst, up to a third, are left out: they may hold little.
    """
    keep = np.ones(len(at), bool)
    for _ in range(2):
        y, x = at[keep].T
        zero, one = np.zeros_like(y), np.ones_like(y)
        # d = magnification * place + turn * place, turned by a right angle + centre
        system = np.concatenate([np.stack([y, -x, one, zero], 1), np.stack([x, y, zero, one], 1)])
        (scale, turn, dy, dx), *_ = np.linalg.lstsq(system, by[keep].T.ravel(), rcond=None)
        y, x = at.T
        model = np.stack([scale * y - turn * x + dy, scale * x + turn * y + dx], 1)
        off = np.hypot(*(by - model).T)
        keep = off <= np.sort(off)[len(off) - 1 - len(off) // 3]
    scatter = float(np.sqrt(np.mean(off[keep] ** 2)))
    return float(turn), float(scale), scatter, (float(dy), float(dx))


def lowered(pixels: Array) -> tuple[Array, float]:
    """Pixels in float32, without the level that hides their differences there; and that level."""
    wide = pixels.dtype.itemsize > 2 and pixels.dtype != np.float32
    level = float(pixels.mean(dtype=np.float64)) if wide else 0.0
    return (pixels - level if wide else pixels).astype(np.float32), level


def laid(pixels: Array, placed: Placed) -> tuple[Array, tuple[slice, slice]]:
    """An image (Y, X) or (Y, X, S) brought onto the target, and where it is known.

    float32; float64 of pixels that float32 does not hold.
    """
    narrow, level = lowered(pixels)
    rows, columns = pixels.shape[:2]
    middle = (columns / 2, rows / 2)
    # where a pixel of the target is found in the image
    cos, sin = (placed.scale * f(math.radians(placed.turn)) for f in (math.cos, math.sin))
    shift = (middle[0] + placed.by[1], middle[1] + placed.by[0])
    matrix = np.array(
        [
            [cos, sin, shift[0] - cos * middle[0] - sin * middle[1]],
            [-sin, cos, shift[1] + sin * middle[0] - cos * middle[1]],
        ]
    )
    brought = cv2.warpAffine(
        narrow,
        matrix,
        (columns, rows),
        flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    spare = 0 if not placed.corner else math.ceil(placed.corner)
    edges = []
    for by, side in zip(placed.by, (rows, columns), strict=True):
        low, high = max(0, math.ceil(-by)) + spare, side - max(0, math.ceil(by)) - spare
        edges.append(slice(low, max(high, low + 1)))
    whole = brought.astype(np.float64) + level if level else brought
    return whole, (edges[0], edges[1])
