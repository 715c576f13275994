"""Scenes with known truth: structures, a microscope's optical cut-off, its noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from cellqa.planes import Array
from cellqa.simulate.imaging import Scene, acquire


def filaments(
    shape: tuple[int, int], *, cutoff: float = 0.35, photons: float = 200.0, seed: int = 0
) -> Scene:
    """Curved fibres, as of a cytoskeleton. See `acquire` for the parameters.

    Examples
    --------
    >>> scene = filaments((128, 128), seed=3)
    >>> scene.image.shape, scene.image.dtype
    ((128, 128), dtype('uint16'))
    """
    return _scene(_draw_filaments, shape, cutoff, photons, seed)


def spots(
    shape: tuple[int, int], *, cutoff: float = 0.35, photons: float = 200.0, seed: int = 0
) -> Scene:
    """Points of varied brightness, as of vesicles. See `acquire` for the parameters."""
    return _scene(_draw_spots, shape, cutoff, photons, seed)


def nuclei(
    shape: tuple[int, int],
    *,
    cutoff: float = 0.35,
    photons: float = 200.0,
    seed: int = 0,
    density: float = 1.0,
    size: float = 1.0,
) -> Scene:
    """Textured ellipses on a dark ground, as of stained nuclei. See `acquire`.

    Parameters
    ----------
    density : float
        1 is a nucleus for each 3500 pixels; below 1 there is one at least.
    size : float
        1 is 14 to 30 pixels across.
    """
    draw = partial(_draw_nuclei, density=density, size=size)
    return _scene(draw, shape, cutoff, photons, seed)


def fibres(
    shape: tuple[int, int], *, cutoff: float = 0.35, photons: float = 200.0, seed: int = 0
) -> Scene:
    """Striated myofibrils in bundles, as of troponin T in heart muscle cells. See `acquire`.

    Sarcomeres are some 9 pixels long: 1.8 µm at 0.2 µm per pixel. Part of the field is dark.

    Examples
    --------
    >>> scene = fibres((128, 128), seed=3)
    >>> float(scene.structure.min()), bool(scene.structure.max() > 0.5)
    (0.0, True)
    """
    return _scene(_draw_fibres, shape, cutoff, photons, seed)


def cells(
    shape: tuple[int, int], *, cutoff: float = 0.35, photons: float = 200.0, seed: int = 0
) -> Scene:
    """Adherent cells on an even bright ground, as in brightfield. See `acquire`.

    The ground is at 0.6; outlines, granules and nuclei differ from it by some 10 to 25 %.

    Examples
    --------
    >>> scene = cells((128, 128), seed=3)
    >>> bool(0.5 < np.median(scene.structure) < 0.7)
    True
    """
    return _scene(_draw_cells, shape, cutoff, photons, seed)


def _scene(
    draw: Callable[[tuple[int, int], np.random.Generator], Array],
    shape: tuple[int, int],
    cutoff: float,
    photons: float,
    seed: int,
) -> Scene:
    structure = draw(shape, np.random.default_rng(seed))
    return acquire(structure, cutoff=cutoff, photons=photons, seed=seed + 1)


def _draw_filaments(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    canvas = np.zeros(shape, np.float32)
    for _ in range(max(8, shape[0] * shape[1] // 2500)):
        angle = rng.uniform(0, 2 * np.pi)
        bend = rng.normal(0, 0.02, 160).cumsum()
        steps = np.stack([np.cos(angle + bend), np.sin(angle + bend)], axis=1) * 2
        points = rng.uniform(0, 1, 2) * shape[::-1] + steps.cumsum(axis=0)
        layer = np.zeros(shape, np.float32)
        line = np.rint(points * 16).astype(np.int32)[:, None]
        cv2.polylines(layer, [line], False, float(rng.uniform(0.3, 1)), 1, cv2.LINE_AA, 4)
        canvas += layer
    return np.asarray(np.clip(canvas, 0, 1), dtype=np.float64)


def _draw_spots(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    canvas = np.zeros(shape)
    number = max(10, shape[0] * shape[1] // 250)
    y, x = (rng.integers(0, n, number) for n in shape)
    np.maximum.at(canvas, (y, x), rng.uniform(0.2, 1, number))
    return canvas


def _draw_nuclei(
    shape: tuple[int, int], rng: np.random.Generator, density: float = 1.0, size: float = 1.0
) -> Array:
    canvas = np.zeros(shape, np.float32)
    texture = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), 2)
    texture = 0.7 + 0.3 * np.clip(texture / (2 * texture.std()), -1, 1)
    fewest = 4 if density >= 1 else 1
    for _ in range(max(fewest, int(density * shape[0] * shape[1] / 3500))):
        layer = np.zeros(shape, np.float32)
        centre = [int(v) for v in rng.uniform(0, 1, 2) * shape[::-1]]
        axes = [int(v * size) for v in rng.uniform(7, 15, 2)]
        level = float(rng.uniform(0.35, 1))
        cv2.ellipse(layer, centre, axes, float(rng.uniform(0, 180)), 0, 360, level, -1, cv2.LINE_AA)
        canvas = np.maximum(canvas, layer)
    return np.asarray(canvas * texture, dtype=np.float64)


def _draw_fibres(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    canvas = np.zeros(shape)
    course = rng.uniform(0, np.pi)  # cells lie side by side, roughly in one direction
    for centre in _spread(shape, max(1, round(shape[0] * shape[1] / 22000)), rng):
        axes = rng.uniform(90, 170), rng.uniform(26, 50)
        cell = _Blob(shape, rng, centre, axes, course + rng.normal(0, 0.25))
        canvas = np.maximum(canvas, _myofibrils(cell, rng))
    return np.asarray(np.clip(canvas, 0, 1))


def _myofibrils(cell: _Blob, rng: np.random.Generator) -> Array:
    """Fibrils along a cell, which spare its nucleus."""
    bend, wave = rng.normal(0, 7), rng.uniform(120, 220)
    across = cell.across + bend * np.sin(2 * np.pi * cell.along / wave + rng.uniform(0, 6))
    across += 1.5 * _cloud(across.shape, 14, rng)  # no fibril is quite parallel to the next
    place = across / rng.uniform(5.5, 7.5)
    number = np.floor(place).astype(int)
    number -= number.min()
    count = number.max() + 1
    # neighbours are nearly in register, and lose it over the width of the cell
    phase = rng.normal(0, 0.55, count).cumsum()[number]
    period = (9 * (1 + rng.normal(0, 0.03, count)))[number]
    # a sarcomere's length varies a little along the fibril
    along = cell.along + 1.2 * _cloud(across.shape, 20, rng)
    stripes = (0.5 + 0.5 * np.cos(2 * np.pi * along / period + phase)) ** 1.5
    profile = 0.4 + 0.6 * np.sin(np.pi * (place - np.floor(place)))
    level = rng.uniform(0.35, 1, count)[number] * (0.85 + 0.3 * _cloud(across.shape, 10, rng))
    inside = np.clip(cell.depth / 6, 0, 1)
    hole = np.clip(np.hypot(cell.along / 22, cell.across / 11) * 4 - 3.5, 0, 1)
    diffuse = 0.06 * np.clip(cell.depth / 12, 0, 1)
    bright = np.maximum(level, 0) * profile * (0.12 + 0.88 * stripes) * hole
    return np.asarray(rng.uniform(0.55, 1) * inside * (bright + diffuse))


def _draw_cells(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    change = np.zeros(shape)
    for centre in _spread(shape, max(1, round(shape[0] * shape[1] / 17000)), rng):
        axes = rng.uniform(42, 85), rng.uniform(26, 46)
        cell = _Blob(shape, rng, centre, axes, rng.uniform(0, np.pi), rough=0.16)
        change += _cell_body(cell, rng)  # where cells overlap, both refract
    return np.asarray(np.clip(0.6 * (1 + change), 0, 1))


def _cell_body(cell: _Blob, rng: np.random.Generator) -> Array:
    """Relative change of the light that a cell makes: outline, cytoplasm, granules, nucleus."""
    shape = cell.depth.shape
    inside = np.clip(cell.depth / 4 + 0.5, 0, 1)
    outline = 0.13 * _line(cell.depth, -2, 2) - 0.2 * _line(cell.depth, 1.5, 1.6)
    outline *= np.clip(0.75 + 0.5 * _cloud(shape, 12, rng), 0.2, 1.3)
    cytoplasm = inside * (0.035 * _cloud(shape, 1.6, rng) + 0.035 * _cloud(shape, 7, rng) - 0.03)
    nucleus = np.hypot((cell.along - 6) / 17, (cell.across + 3) / 13)
    membrane = -0.11 * _line((nucleus - 1) * 15, 0, 1.4) + 0.05 * _line((nucleus - 1) * 15, 3, 1.5)
    body = 0.05 * np.clip((1 - nucleus) * 5, 0, 1)
    granules = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(40, 80))):
        radius, angle = 18 + rng.exponential(12), rng.uniform(0, 2 * np.pi)
        place = cell.at(radius * 1.2 * np.cos(angle), radius * 0.8 * np.sin(angle))
        _dot(granules, place, rng.uniform(1, 2.3), rng.choice([-0.24, -0.16, 0.16]))
    for _ in range(int(rng.integers(1, 4))):
        _dot(granules, cell.at(*rng.normal((6, -3), (6, 4))), rng.uniform(2.2, 3.6), -0.17)
    return np.asarray(outline + cytoplasm + inside * (membrane + body + granules))


def _spread(shape: tuple[int, int], number: int, rng: np.random.Generator) -> list[Array]:
    """Centres (y, x) that keep apart: of a few drawn, each is the farthest from all before."""
    chosen: list[Array] = []
    for _ in range(number):
        drawn = rng.uniform(0.05, 0.95, (6, 2)) * shape
        apart = [min((np.hypot(*(one - c)) for c in chosen), default=0.0) for one in drawn]
        chosen.append(drawn[int(np.argmax(apart))])
    return chosen


class _Blob:
    """A cell's outline, and coordinates along and across it, in pixels from its centre.

    `depth` is about the distance from the outline, positive inside.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        rng: np.random.Generator,
        centre: Array,
        axes: tuple[float, float],
        angle: float,
        rough: float = 0.08,
    ) -> None:
        self.angle = angle
        self.centre = centre
        y, x = np.indices(shape) - self.centre[:, None, None]
        self.along = np.cos(angle) * x + np.sin(angle) * y
        self.across = np.cos(angle) * y - np.sin(angle) * x
        radius = np.hypot(self.along / axes[0], self.across / axes[1])
        turn = np.arctan2(self.across / axes[1], self.along / axes[0])
        edge = 1 + sum(
            rng.normal(0, rough / k**0.7) * np.cos(k * turn + rng.uniform(0, 2 * np.pi))
            for k in range(2, 7)
        )
        level = edge - radius
        slope = np.hypot(*np.gradient(level))
        # level over its slope: a distance, where the outline is near
        self.depth = level / np.maximum(slope, 0.3 / max(axes))

    def at(self, along: float, across: float) -> tuple[float, float]:
        """(y, x) of a point of the cell."""
        y, x = self.centre
        sine, cosine = np.sin(self.angle), np.cos(self.angle)
        return y + sine * along + cosine * across, x + cosine * along - sine * across


def _cloud(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Array:
    """Smooth noise of mean 0 and standard deviation 1."""
    cloud = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), sigma)
    return np.asarray((cloud - cloud.mean()) / cloud.std(), dtype=np.float64)


def _line(depth: Array, where: float, width: float) -> Array:
    """A line of height 1 at one depth below an outline."""
    return np.asarray(np.exp(-(((depth - where) / width) ** 2)))


def _dot(canvas: Array, place: tuple[float, float], radius: float, level: float) -> None:
    """Add a round spot of that standard deviation, with a rim of the other sign."""
    reach = int(4 * radius) + 1
    top, left = (round(v) - reach for v in place)
    y, x = np.mgrid[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
    y, x = np.clip(y, 0, canvas.shape[0] - 1), np.clip(x, 0, canvas.shape[1] - 1)
    square = ((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * radius**2)
    canvas[y, x] += level * np.exp(-square) * (1 - 0.4 * square)
