"""Scenes with known truth: structures, a microscope's optical cut-off, its noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Scene:
    """A simulated acquisition.

    Attributes
    ----------
    image : ndarray of uint16, shape (Y, X)
        Photons counted in each pixel, plus the camera's offset of 100.
    ideal : ndarray of float64
        Expected photons in each pixel: what a perfect detector would average to.
    structure : ndarray of float64
        The object before the optics, 0 to 1.
    cutoff : float
        Optical cut-off, 1 at the Nyquist frequency; resolution is 2 pixels / cutoff.
    """

    image: Array
    ideal: Array
    structure: Array
    cutoff: float


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
    shape: tuple[int, int], *, cutoff: float = 0.35, photons: float = 200.0, seed: int = 0
) -> Scene:
    """Textured ellipses on a dark ground, as of stained nuclei. See `acquire`."""
    return _scene(_draw_nuclei, shape, cutoff, photons, seed)


def acquire(structure: Array, *, cutoff: float, photons: float, seed: int) -> Scene:
    """Image a structure: optical blur, photon noise, read noise, camera offset.

    Parameters
    ----------
    structure : ndarray, shape (Y, X)
        Brightness, 0 to 1.
    cutoff : float
        Optical cut-off, 1 at the Nyquist frequency.
    photons : float
        Expected at brightness 1; a background of 2 % is added.
    seed : int
        Of the noise.
    """
    ideal = np.maximum(optical_blur(structure, cutoff), 0) * photons + 0.02 * photons
    rng = np.random.default_rng(seed)
    counts = rng.poisson(ideal) + rng.normal(100, 1.5, ideal.shape)
    image = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
    return Scene(image, ideal, structure, cutoff)


def optical_blur(image: npt.ArrayLike, cutoff: float) -> Array:
    """Filter with the transfer function of an ideal incoherent microscope.

    OTF(q) = 2/pi (acos q - q sqrt(1 - q^2)) with q = frequency / cut-off, 0 beyond (Goodman,
    Introduction to Fourier Optics, Eq. 6-32). The border is mirrored.

    Parameters
    ----------
    image : array_like, shape (Y, X)
    cutoff : float
        1 at the Nyquist frequency.
    """
    if not cutoff > 0:
        raise ValueError(f"`cutoff` must be above 0, got {cutoff}")
    plane = np.asarray(image, dtype=np.float64)
    margin = int(min(8 / cutoff, min(plane.shape) - 1))
    padded = np.pad(plane, margin, mode="reflect")
    fy = scipy.fft.fftfreq(padded.shape[0])[:, None]
    fx = scipy.fft.rfftfreq(padded.shape[1])[None, :]
    q = np.minimum(np.hypot(fy, fx) / (0.5 * cutoff), 1)
    otf = 2 / np.pi * (np.arccos(q) - q * np.sqrt(1 - q**2))
    blurred = scipy.fft.irfft2(scipy.fft.rfft2(padded) * otf, s=padded.shape)
    return np.asarray(blurred[margin : margin + plane.shape[0], margin : margin + plane.shape[1]])


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


def _draw_nuclei(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    canvas = np.zeros(shape, np.float32)
    texture = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), 2)
    texture = 0.7 + 0.3 * np.clip(texture / (2 * texture.std()), -1, 1)
    for _ in range(max(4, shape[0] * shape[1] // 3500)):
        layer = np.zeros(shape, np.float32)
        centre = [int(v) for v in rng.uniform(0, 1, 2) * shape[::-1]]
        axes = [int(v) for v in rng.uniform(7, 15, 2)]
        level = float(rng.uniform(0.35, 1))
        cv2.ellipse(layer, centre, axes, float(rng.uniform(0, 180)), 0, 360, level, -1, cv2.LINE_AA)
        canvas = np.maximum(canvas, layer)
    return np.asarray(canvas * texture, dtype=np.float64)
