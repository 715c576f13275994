"""Simulated scenes, to try everything at once: sharp, blurred and noisy, traditionally enhanced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cellqa import simulate
from cellqa.demo import PIXEL_SIZE
from cellqa.enhance import ENHANCERS
from cellqa.simulate import Scene

SIDE = 384
_SHARP, _BLURRED = 0.6, 0.25  # optical cut-offs, 1 at the Nyquist frequency
_MANY, _FEW = 1000.0, 150.0  # photons

Sample = list[tuple[Any, dict[str, Any], str]]


def filaments() -> Sample:
    """A cytoskeleton: layers of (Y, X) = (384, 384) grey levels, pixels of 0.1625 µm."""
    return _layers(simulate.filaments)


def nuclei() -> Sample:
    """Stained nuclei; as `filaments`."""
    return _layers(simulate.nuclei)


def cells() -> Sample:
    """Whole cells; as `filaments`."""
    return _layers(simulate.cells)


def fibres() -> Sample:
    """Muscle cells with striations; as `filaments`."""
    return _layers(simulate.fibres)


def spots() -> Sample:
    """Points, as of vesicles; as `filaments`."""
    return _layers(simulate.spots)


def _layers(scene: Callable[..., Scene]) -> Sample:
    sharp = scene((SIDE, SIDE), cutoff=_SHARP, photons=_MANY, seed=1)
    blurred = simulate.acquire(sharp.structure, cutoff=_BLURRED, photons=_FEW, seed=2).image
    # as bright as the sharp one, so that errors are those of detail
    gain = (_MANY / _FEW) * (blurred.astype(float) - simulate.OFFSET) + simulate.OFFSET
    blurred = gain.clip(0, 65535).round().astype(sharp.image.dtype)
    images = {"blurred": blurred, "te": ENHANCERS["te"](blurred), "sharp": sharp.image}
    place = {"scale": (PIXEL_SIZE, PIXEL_SIZE), "units": ("um", "um")}
    return [(image, {"name": name, **place}, "image") for name, image in images.items()]
