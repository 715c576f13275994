"""A trained network as an enhancer of planes of any size and type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np

from cellqa.errors import ImageError
from cellqa.io import LARGE, ImageFile, PlaneIndex, carriers
from cellqa.planes import Array
from cellqa.shown import one_line
from ciegan.enhancing.flux import with_flux_kept
from ciegan.network.checkpoint import Checkpoint
from ciegan.network.neighbours import middle
from ciegan.network.normalisation import PERCENTILES, Normalisation, channels_of
from ciegan.network.percentiles import percentiles_of_rows
from ciegan.network.runner import Runner
from ciegan.network.turns import MOST_SAMPLES
from ciegan.network.windows import Band, enhance_bands

HOT_PIXELS = ("keep", "remove")
SCALINGS = ("auto", "train", "image", "stack", "folder", "none")

# what options are unless they are given: not among the settings, so that older results count
_USUAL = (("hot_pixels", "keep"), ("keep_flux", False), ("levels", ()))


@dataclass(frozen=True)
class EnhanceOptions:
    """What is enhanced, and how.

    Attributes
    ----------
    normalize : str
        What becomes black and white: `auto`: as in training, but where that is `image`, `stack`
        for time series; `train`: the training set's levels; `image`: the 0.1st and 99.9th
        percentile of each whole plane; `stack`: those of all planes of a channel, so that frames
        do not flicker; `folder`: those of all images together; `none`: 0 and 1, for images that
        are scaled already.
    channels, planes, times : frozenset of int or None
        Which are enhanced, from 0; others are copied. None enhances all.
    check : bool
        Measure whether each result still explains its raw image (`rsp`, `rse`).
    samples : int
        Flips and quarter turns of which the result is the mean, 1 to 8; from 2 on, their standard
        deviation is written as well.
    tile : int or None
        Side of the tiles, in pixels; None lets memory decide. Results do not depend on it.
    hot_pixels : str
        `keep`, or `remove`: the median of their surroundings is enhanced in their place. (Networks
        make stars of them.)
    keep_flux : bool
        Local means, of surroundings of 16 pixels, are made the raw image's.
    levels : tuple of (int, float, float)
        Channel, black and white, with `folder`; see `ciegan.enhancing.levels`.
    """

    normalize: str = "auto"
    channels: frozenset[int] | None = None
    planes: frozenset[int] | None = None
    times: frozenset[int] | None = None
    check: bool = False
    samples: int = 1
    tile: int | None = None
    hot_pixels: str = "keep"
    keep_flux: bool = False
    levels: tuple[tuple[int, float, float], ...] = ()

    __repr__ = one_line

    def __post_init__(self) -> None:
        if self.normalize not in SCALINGS:
            raise ValueError(
                f"`normalize` must be one of {', '.join(SCALINGS)}, got {self.normalize!r}"
            )
        if self.hot_pixels not in HOT_PIXELS:
            raise ValueError(f"`hot_pixels` must be keep or remove, got {self.hot_pixels!r}")
        if self.tile is not None and not 16 <= self.tile <= 65536:
            raise ValueError(f"`tile` must be 16 to 65536 pixels, got {self.tile}")
        if not 1 <= self.samples <= MOST_SAMPLES:
            raise ValueError(f"`samples` must be 1 to {MOST_SAMPLES}, got {self.samples}")

    def chosen(self, index: PlaneIndex) -> bool:
        """Whether a plane is enhanced."""
        return all(
            wanted is None or place in wanted
            for wanted, place in (
                (self.channels, index.c),
                (self.planes, index.z),
                (self.times, index.t),
            )
        )

    def as_settings(self) -> dict[str, Any]:
        """What changes pixels, as JSON."""
        return {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name, value in asdict(self).items()
            if name not in ("check", "tile") and (name, value) not in _USUAL
        }


def normalisation_of(checkpoint: Checkpoint, options: EnhanceOptions) -> Normalisation:
    """How black and white are found, as the options ask for."""
    own = checkpoint.normalisation
    return {
        "auto": own,
        "train": replace(own, rule="train"),
        "image": replace(own, rule="image"),
        "stack": replace(own, rule="image"),
        "folder": replace(own, rule="image"),
        "none": Normalisation("train", 0.0, 1.0),
    }[options.normalize]


def limits_of(
    normalisation: Normalisation, read: Callable[[int, int], Array], rows: int
) -> tuple[float, float]:
    """Black and white of a plane of so many rows, which are read some at a time."""
    whole = None
    if normalisation.rule == "image":
        low, high = percentiles_of_rows(read, rows, PERCENTILES)
        whole = (low, high)
    return normalisation.limits(np.empty(0), whole)


Levels = Mapping[tuple[int, int], tuple[float, float]]  # of scene and channel


def levels_of_series(source: ImageFile, network: Checkpoint, options: EnhanceOptions) -> Levels:
    """Black and white of each channel of a file, where they are the same in all its planes.

    Parameters
    ----------
    source : ImageFile
        As the network sees it (`ciegan.enhancing.opening.as_seen`).
    network : Checkpoint
    options : EnhanceOptions
        With `auto`, they are the same where there are several times.

    Raises
    ------
    ImageError
        A value is NaN or infinite, or a plane cannot be read.
    """
    if options.normalize == "folder":
        return {(i.s, c): (low, high) for i in source.planes for c, low, high in options.levels}
    several = any(index.t for index in source.planes)
    asked = options.normalize == "stack" or (options.normalize == "auto" and several)
    normalisation = normalisation_of(network, options)
    if not asked or normalisation.rule != "image":
        return {}
    series: dict[tuple[int, int], list[PlaneIndex]] = {}
    for index in source.planes:
        if options.channels is not None and index.c not in options.channels:
            continue  # of the others all times count, so that parts fit together
        series.setdefault((index.s, index.c), []).append(index)
    return {
        place: _pooled(source, planes, network, normalisation)
        for place, planes in series.items()
        if len(planes) > 1 and len({source.shape_of(index) for index in planes}) == 1
    }


def grey_picture(source: ImageFile, index: PlaneIndex, network: Checkpoint) -> Array | None:
    """The one picture of a plane in colour that a network of one channel takes; None of others.

    It is empty where there is none, as in true colour.
    """
    shape = source.shape_of(index)
    if channels_of(shape) < 3 or network.generator.inputs != 1:
        return None
    if shape[0] * shape[1] > LARGE:
        return np.empty((0, 0))
    colour = source.load(index)
    there = carriers(colour)
    return np.ascontiguousarray(colour[..., there[0]]) if there else np.empty((0, 0))


def _pooled(
    source: ImageFile,
    planes: Sequence[PlaneIndex],
    network: Checkpoint,
    normalisation: Normalisation,
) -> tuple[float, float]:
    """Black and white of all planes together, as of one tall image."""
    height = source.shape_of(planes[0])[0]

    @lru_cache(maxsize=1)
    def picture(place: int) -> Array | None:
        found = grey_picture(source, planes[place], network)
        return found if found is not None and found.size else None

    def read(start: int, stop: int) -> Array:
        parts = []
        while start < stop:
            place, row = divmod(start, height)
            last = min(height, row + stop - start)
            grey = picture(place)
            rows = source.load_rows(planes[place], row, last) if grey is None else grey[row:last]
            if rows.dtype.kind == "f" and not np.isfinite(rows).all():
                label = source.label(planes[place])
                raise ImageError(f"plane {label}: NaN or infinity in the image")
            parts.append(rows)
            start += last - row
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return limits_of(normalisation, read, height * len(planes))


class NetworkEnhancer:
    """A trained generator as an enhancer of planes.

    Parameters
    ----------
    checkpoint : Checkpoint
    options : EnhanceOptions
    runner : Runner
    """

    def __init__(self, checkpoint: Checkpoint, options: EnhanceOptions, runner: Runner):
        self.checkpoint, self.options, self.runner = checkpoint, options, runner
        self.normalisation = normalisation_of(checkpoint, options)

    def describe(self, model: str) -> str:
        """One line for the metadata of enhanced images."""
        config, options = self.checkpoint.config, self.options
        samples = f", mean of {options.samples} flips and turns" if options.samples > 1 else ""
        flux = ", local means of the raw image kept" if options.keep_flux else ""
        times = self.checkpoint.scale
        finer = f", {times} times the pixels along each side" if times > 1 else ""
        chosen = {"channels": options.channels, "z": options.planes, "t": options.times}
        only = "".join(
            f", {name} {' '.join(map(str, sorted(wanted)))} only, the rest as it was"
            for name, wanted in chosen.items()
            if wanted is not None
        )
        return (
            f"enhanced by ciegan {version('cellqa')}, not raw data: generator "
            f"{config.generator.name}, preset {config.preset}, step {self.checkpoint.step}, "
            f"weights sha256 {model[:16]}, normalize {options.normalize}{finer}{flux}{samples}"
            f"{only}"
        )

    def limits(self, pixels: Array) -> tuple[float, float] | None:
        """Black and white of a grey plane in memory; None of others, which `parts` looks at."""
        if pixels.ndim > 2 or pixels.dtype.kind not in "uif":
            return None
        found = limits_of(self.normalisation, lambda a, b: pixels[a:b], len(pixels))
        return found if np.isfinite(found).all() else None

    def parts(
        self,
        read: Callable[[int, int], Array],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        limits: tuple[float, float] | None = None,
    ) -> Iterator[Band]:
        """Enhance a plane, band by band.

        A network of one channel takes a grey picture that is stored as colour (red, green and blue
        are alike, or one of them alone varies), of at most `LARGE` pixels, as `te-enhance` does.

        Parameters
        ----------
        read : callable
            Returns the rows from the first to below the second number, with neighbours if the
            network sees any.
        shape : tuple of int
            (Y, X) or (Y, X, 3).
        dtype : numpy.dtype
        limits : (float, float), optional
            Black and white, where they are not the plane's own.

        Raises
        ------
        ImageError
            The network was trained on other channels, or a value is NaN or infinite.
        """
        channels = channels_of(shape)
        trained = self.runner.generator.channels
        if channels != trained:
            colour = read(0, shape[0]) if self._may_be_grey(shape) else np.empty((0, 0))
            there = carriers(colour)
            if not there:
                raise ImageError(
                    f"{channels} samples a pixel, but the network was trained on {trained}"
                )
            picture = np.ascontiguousarray(colour[..., there[0]])
            for band in self.parts(lambda a, b: picture[a:b], picture.shape, dtype, limits):
                yield _in_colour(band, colour, there)
                colour = colour[len(band.raw) :]
            return
        if dtype.kind not in "uif":
            raise ImageError(f"of type {dtype}: not an image")
        if dtype == np.float16:
            raise ImageError("of type float16: convert it to float32")
        if self.options.normalize == "none" and dtype.kind != "f":
            raise ImageError(
                f"--normalize none takes floats with 0 as black, 1 as white, not {dtype}"
            )

        def finite(start: int, stop: int) -> Array:
            rows = read(start, stop)
            if dtype.kind == "f" and not np.isfinite(rows).all():
                raise ImageError("NaN or infinity in the image")
            return rows

        if limits is None:
            limits = limits_of(
                self.normalisation, lambda a, b: middle(finite(a, b), trained), shape[0]
            )
        bands = enhance_bands(
            self.runner,
            finite,
            shape,
            limits,
            dtype=dtype,
            tile=self.options.tile,
            samples=self.options.samples,
        )
        if self.runner.generator.bounded:
            bands = (_cut_off(band, limits) for band in bands)
        yield from with_flux_kept(bands) if self.options.keep_flux else bands

    def _may_be_grey(self, shape: tuple[int, ...]) -> bool:
        """Whether colours may be looked at for one grey picture."""
        few = shape[0] * shape[1] <= LARGE
        return self.runner.generator.inputs == 1 and channels_of(shape) >= 3 and few


def _cut_off(band: Band, limits: tuple[float, float]) -> Band:
    """A band of a network that gives nothing beyond black and white, with what that cut off."""
    low, high = limits
    # what rounding to the type clips as well is within
    beyond = int(((band.raw < low) | (band.raw > high)).sum())
    return band._replace(clipped=max(band.clipped, beyond))


def _in_colour(band: Band, colour: Array, there: tuple[int, ...]) -> Band:
    """A grey band in the colours that hold it; the others stay as they are."""
    raw = colour[: len(band.raw)]
    enhanced, spread = raw.copy(), None
    enhanced[..., there] = band.enhanced[..., None]
    if band.spread is not None:
        spread = np.zeros(raw.shape, np.float32)
        spread[..., there] = band.spread[..., None]
    return Band(raw, enhanced, spread, band.clipped)
