"""What is learnt about a network once it is trained: intervals, and what it is used to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellqa.errors import CellqaError
from cellqa.planes import Array
from cellqa.shown import one_line
from ciegan.config import Config
from ciegan.data.tile_pairs import TilePair, check_scale_of, in_context, spread
from ciegan.network.checkpoint import Checkpoint, add, load
from ciegan.network.familiar import SMALLEST, features, learn
from ciegan.network.intervals import COVERAGES, Intervals, fit, joined, pixels_known
from ciegan.network.windows import enhance_plane

_PIXELS = 4_000_000  # that are looked at, in all
_LOOKED_AT = 2000  # tiles
_HELD = 0.8  # share of a field within 90 %, below which it is named


class TooFewError(CellqaError):
    """Too few pixels to calibrate on."""


@dataclass(frozen=True)
class Calibrated:
    """What calibration found.

    Attributes
    ----------
    intervals : Intervals
    coverage : dict
        Field to the share of its pixels within the 90 % interval that the other fields give, and
        to that of its brightest twentieth; empty for a single field.
    warning : str
        That the fields were trained on; else empty.
    """

    intervals: Intervals
    coverage: dict[str, tuple[float, float]]
    warning: str

    __repr__ = one_line

    def warnings(self) -> list[str]:
        """That the fields were trained on, and which are not held by intervals of the others."""
        told = [self.warning] if self.warning else []
        apart = {name: held for name, (held, _) in self.coverage.items() if held < _HELD}
        if apart:
            worst = min(apart, key=lambda name: apart[name])
            told.append(
                f"90 % intervals of the other fields hold less than {_HELD:.0%} of {len(apart)} of "
                f"{len(self.coverage)} fields ({apart[worst]:.0%} of {worst}): --interval is for "
                "images of one kind and exposure (ciegan calibrate RUN --data THOSE)"
            )
        return told


def calibrate(run: Path, tiles: Sequence[TilePair]) -> Calibrated:
    """Measure intervals of a network on tiles, and keep them with its weights.

    Raises
    ------
    CellqaError
        The weights cannot be read, or the tiles hold too few pixels.
    """
    network = load(run)
    check_scale_of(tiles, network)
    known: dict[str, list[tuple[Array, Array, Array]]] = {}
    same = True
    for tile in in_context(tiles, "DATA", network.config.data.context):
        source, target, _ = tile.load()
        same = same and np.array_equal(source, target)
        part = _known(network, tile, source, target, len(tiles))
        known.setdefault(tile.field, []).append(part)
    if same:
        raise CellqaError("input and target are the same images: there is no truth to learn from")
    every = fit([part for parts in known.values() for part in parts])
    if every is None:
        raise TooFewError("too few pixels to calibrate on: give more fields")
    add(network.path, every)
    coverage = {}
    for field in known if len(known) > 1 else ():
        others = fit([part for name, parts in known.items() if name != field for part in parts])
        if others is not None:
            coverage[field] = _coverage(others, known[field])
    return Calibrated(every, coverage, network.trained_on.warning(tiles))


def calibrate_own(
    run: Path, trained: Sequence[TilePair], tiles: Sequence[TilePair], config: Config
) -> list[str]:
    """Keep with a new run what its training images look like, and how far off its results are.

    The latter from what it was validated on, where that is the truth and enough. Returns what to
    know of it.
    """
    looked_at(run, trained)
    if config.data.target == "truth":
        with suppress(TooFewError):
            return calibrate(run, tiles).warnings()
    return []


def looked_at(run: Path, tiles: Sequence[TilePair]) -> None:
    """Keep with weights what the inputs that they were trained on look like."""
    normalisation = load(run).normalisation
    looks = []
    fields = []
    for tile in spread(tiles, _LOOKED_AT):
        source, _, _ = tile.load()
        if min(source.shape[:2]) >= SMALLEST:
            looks.append(features(source, normalisation.limits(source, tile.limits)))
            fields.append(tile.field)
    found = learn(looks, fields)
    if found is not None:
        add(run, found)


def _known(
    network: Checkpoint, tile: TilePair, source: Array, target: Array, tiles: int
) -> tuple[Array, Array, Array]:
    """Level, change and error of some pixels of one of so many tiles."""
    step = max(1, round(source.size * tiles / _PIXELS))
    seen = tile.seen(source)
    network.check_channels(seen.shape)
    limits = network.normalisation.limits(source, tile.limits)
    image = enhance_plane(network.generator, seen, network.normalisation, whole=tile.limits)
    return pixels_known(image, source, target, limits, step)


def _coverage(
    intervals: Intervals, parts: Sequence[tuple[Array, Array, Array]], coverage: int = 90
) -> tuple[float, float]:
    assert coverage in COVERAGES
    within, bright, _ = intervals.holding(joined(parts), coverage)
    return float(within.mean()), float(within[bright].mean())
