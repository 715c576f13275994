"""A microscope: optical cut-off, camera noise, and what is made of its images afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft

from cellqa.planes import Array
from cellqa.shown import one_line

OFFSET = 100  # grey levels of the camera in the dark


READ_NOISE = 1.5  # standard deviation, grey levels


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

    __repr__ = one_line


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
    counts = rng.poisson(ideal) + rng.normal(OFFSET, READ_NOISE, ideal.shape)
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
    return filtered(plane, lambda radius: _otf(radius, cutoff), margin=8 / cutoff)


def filtered(plane: Array, transfer: Callable[[Array], Array], margin: float) -> Array:
    """Filter with a radial transfer function; the border is mirrored.

    Parameters
    ----------
    plane : ndarray, shape (Y, X)
    transfer : callable
        Of an array of frequencies, 1 at the Nyquist frequency.
    margin : float
        Width of the mirrored border, in pixels.
    """
    width = int(min(margin, min(plane.shape) - 1))
    padded = np.pad(plane, width, mode="reflect")
    spectrum = scipy.fft.rfft2(padded) * transfer(_radius(padded.shape))
    passed = scipy.fft.irfft2(spectrum, s=padded.shape)
    return np.asarray(passed[width : width + plane.shape[0], width : width + plane.shape[1]])


def deconvolve(scene: Scene, *, photons: float, cutoff: float, trust: float = 1.0) -> Array:
    """An honest enhancement: the Wiener filter of everything that is known of the acquisition.

    W = T H S / (H^2 S + N) with the scene's transfer function H, the object's power S averaged over
    rings, the noise's power N (photons and read noise), towards the transfer function T of a better
    microscope. No linear filter comes closer to what that microscope would show, and what H does
    not pass stays away.

    Parameters
    ----------
    scene : Scene
    photons : float
        That it was acquired with.
    cutoff : float
        Of T, 1 at the Nyquist frequency.
    trust : float
        Above 1 the noise is taken for weaker than it is by this factor: it comes out as texture.

    Returns
    -------
    ndarray of float64, shape (Y, X)
        In photons, with the camera's offset.
    """
    shape = scene.image.shape
    noise = (float(scene.ideal.mean()) + READ_NOISE**2) * np.prod(shape) / trust
    power = np.abs(scipy.fft.rfft2(scene.structure * photons)) ** 2
    rings = (_radius(shape) * max(shape) / 2).astype(int)
    means = np.bincount(rings.ravel(), power.ravel()) / np.bincount(rings.ravel())
    middles = (np.arange(means.size) + 0.5) / (max(shape) / 2)

    def wiener(radius: Array) -> Array:
        transfer = _otf(radius, scene.cutoff)
        signal = np.interp(radius, middles, means)
        gain = _otf(radius, cutoff) * transfer * signal / (transfer**2 * signal + noise)
        return np.asarray(gain)

    return filtered(scene.image.astype(np.float64) - OFFSET, wiener, margin=32) + OFFSET


def paste_texture(
    image: npt.ArrayLike, other: npt.ArrayLike, *, beyond: float, amount: float
) -> Array:
    """A dishonest enhancement: fine detail of another scene, where this one is bright.

    Parameters
    ----------
    image : array_like, shape (Y, X)
    other : array_like, shape (Y, X)
        The other scene.
    beyond : float
        Frequency from which its detail is taken, 1 at the Nyquist frequency.
    amount : float
        Standard deviation of what is pasted, in grey levels.
    """
    plane = np.asarray(image, dtype=np.float64)
    source = np.asarray(other, dtype=np.float64)
    detail = source - optical_blur(source, beyond)
    bright = cv2.GaussianBlur(plane - plane.min(), (0, 0), 3)
    detail = detail * np.sqrt(np.maximum(bright, 0) / bright.max())
    return np.asarray(plane + amount / detail.std() * detail)


def _radius(shape: tuple[int, ...]) -> Array:
    """Frequency, 1 at Nyquist, of each coefficient of `rfft2`."""
    fy, fx = scipy.fft.fftfreq(shape[0])[:, None], scipy.fft.rfftfreq(shape[1])[None, :]
    return np.asarray(2 * np.hypot(fy, fx))


def _otf(radius: Array, cutoff: float) -> Array:
    q = np.minimum(radius / cutoff, 1)
    return np.asarray(2 / np.pi * (np.arccos(q) - q * np.sqrt(1 - q**2)))
