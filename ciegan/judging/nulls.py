"""What a network makes of nothing, and of images that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cellqa.metrics.consistency import consistency
from cellqa.planes import Array
from cellqa.shown import one_line
from ciegan.data.tile_pairs import TilePair, check_scale_of
from ciegan.network.checkpoint import Checkpoint
from ciegan.network.enlarging import enlarge
from ciegan.network.neighbours import middle, repeated, stacked
from ciegan.network.windows import enhance_plane

_SIDE = 256
_LEVEL, _NOISE = 1000.0, 30.0  # grey levels of what is simulated
_SMOOTH = 2.0  # sigma, in pixels, after which structure is left of noise
_SPOT = 3.0  # sigma of a spot, in pixels
_ENOUGH = 1.05  # of the structure in the noise, from which it is told
_AROUND = 24  # pixels from it that belong to it


@dataclass(frozen=True)
class Null:
    """What became of an image of which nothing, or something else, is to be made.

    Attributes
    ----------
    name : str
    made : float
        Structure in the result as a multiple of that in the image: standard deviation after a
        Gaussian of 2 pixels, outside of what is really there. At most 1 for a network that makes
        nothing of nothing; nan where there is no nothing.
    unlike : float
        See `ciegan.network.familiar`: above 1 the image is known to be unlike the training's.
    told : float
        Share of several images that are above 1.
    rsp : float
        Agreement of the result with the image (`cellqa.consistency`); nan for nothing.
    """

    name: str
    made: float
    unlike: float
    told: float
    rsp: float

    __repr__ = one_line

    @property
    def warning(self) -> str:
        """What to say of a network that invents; else nothing."""
        if not self.made > _ENOUGH:
            return ""
        return (
            f"of nothing ({self.name}) it makes {self.made:.2f} times the structure that is there"
        )


def nothings(seed: int = 0, side: int = _SIDE) -> dict[str, tuple[Array, Array]]:
    """Images with nothing in them, and where nothing is."""
    rng = np.random.default_rng(seed)
    shape = (side, side)
    everywhere = np.ones(shape, bool)
    y, x = np.indices(shape) - side // 2
    away = np.hypot(y, x)
    spot = 40 * _NOISE * np.exp(-(away**2) / (2 * _SPOT**2))
    flat = np.full(shape, _LEVEL)
    slope = np.linspace(-10 * _NOISE, 10 * _NOISE, side)
    few = rng.poisson(3.0, shape) * 100.0
    cases = {
        "blank, with noise": (flat + rng.normal(0, _NOISE, shape), everywhere),
        "few photons": (few, everywhere),
        "uneven light": (flat + slope + rng.normal(0, _NOISE, shape), everywhere),
        "one spot": (flat + spot + rng.normal(0, _NOISE, shape), away > _AROUND),
    }
    return {
        name: (np.clip(np.rint(image), 0, 65535).astype(np.uint16), where)
        for name, (image, where) in cases.items()
    }


def _structure(image: Array, where: Array) -> float:
    """Standard deviation of what is left after smoothing, without slopes."""
    plane = image.astype(np.float32)
    smooth = cv2.GaussianBlur(plane, (0, 0), _SMOOTH)
    return float((smooth - cv2.GaussianBlur(plane, (0, 0), 8 * _SMOOTH))[where].std())


def check_nothing(network: Checkpoint) -> list[Null]:
    """What a network of grey images makes of nothing; none for one of colour images.

    Parameters
    ----------
    network : Checkpoint
    """
    if network.generator.channels != 1:
        return []
    found = []
    others = [nothings(seed) for seed in range(1, network.generator.planes)]
    scale = network.scale
    for name, (image, where) in nothings(side=_SIDE // scale).items():
        image, where = enlarge(image, scale), enlarge(where.astype(np.uint8), scale) > 0
        seen = stacked([image, *(other[name][0] for other in others)])  # each with noise of its own
        result, unlike = _enhanced(network, seen)
        made = _structure(result, where) / _structure(image, where)
        found.append(Null(name, made, unlike, float(unlike > 1), math.nan))
    return found


def _zoomed(image: Array, factor: float) -> Array:
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=kind))


# What images of a set become, of which a network that was trained on them knows nothing.
OTHERS: Mapping[str, Callable[[Array], Array]] = {
    "as they are": lambda image: image,
    "pixels half as large": lambda image: _zoomed(image, 2.0),
    "pixels twice as large": lambda image: _zoomed(image, 0.5),
    "contrast inverted": lambda image: image.max() + image.min() - image,
    "4 times as bright": lambda image: 4 * image,
    "out of focus (sigma 6)": lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 6)),
}


def check_others(network: Checkpoint, tiles: Sequence[TilePair]) -> list[Null]:
    """Whether a network knows the images of a split, and that others are unlike them.

    Parameters
    ----------
    network : Checkpoint
    tiles : sequence of TilePair

    Raises
    ------
    CellqaError
        A tile cannot be read, or has other channels than the network, or was enlarged otherwise.
    """
    check_scale_of(tiles, network)
    found = []
    sources = [tile.load()[0].astype(np.float32) for tile in tiles]
    for source in sources:
        network.check_channels(repeated(source, network.generator).shape)
    for name, change in OTHERS.items():
        rows = []
        for source in sources:
            image = change(source)
            result, unlike = _enhanced(network, repeated(image, network.generator))
            grey = [p if p.ndim == 2 else p.mean(axis=2) for p in (image, result)]
            rows.append((unlike, consistency(*grey).rsp if np.ptp(grey[1]) else math.nan))
        unlikes, rsps = np.array(rows).T
        told = float((unlikes > 1).mean())
        found.append(Null(name, math.nan, float(np.median(unlikes)), told, float(np.median(rsps))))
    return found


def _enhanced(network: Checkpoint, image: Array) -> tuple[Array, float]:
    """The result, and how unlike the training's the image is."""
    result = enhance_plane(network.generator, image, network.normalisation)
    if network.familiar is None:
        return result, math.nan
    own = middle(image, network.generator.channels)
    return result, network.familiar.unlike(own, network.normalisation.limits(own))
