"""Neighbouring tiles registered, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import scipy.spatial

from cellqa.errors import CellqaError
from cellqa.io import PlaneIndex, luminance
from cellqa.planes import Array
from cellqa.planes.plane import as_plane
from cellqa.shown import one_line
from ciegan.mosaic.reading import TileFiles
from ciegan.mosaic.registering import THINNEST, Match, prepared, register
from ciegan.mosaic.scans import Scan

# Correlation of two overlaps below which they are not taken for the same place. At the best of many
# displacements, noise reaches 0.1 to 0.2, other places 0.2 to 0.5 (few bright nuclei in a thin
# overlap 0.9): the limit keeps out empty ground, the rest is left to what all pairs say together.
TRUSTED = 0.3
_SUREST = 0.99  # correlation beyond which a pair weighs no more
_MAX_SHIFT = 0.1  # of the tile's side
_WIDEST = 0.7  # of the side: the largest overlap that is looked for where none is known
_SAMPLE = 24  # pairs of each axis from which direction and overlap are found
_COARSE = 384  # pixels of the shorter side, about, when they are
_MEMORY = 2**28  # pixels of tiles that are kept
_SIDE_BY_SIDE = 0.5  # of the side that neighbours share at least; others meet at a corner


@dataclass(frozen=True)
class Placing:
    """How tiles are placed.

    Attributes
    ----------
    overlap : float or None
        Share of the side that neighbours have in common, for tiles whose names say row and column;
        None finds it from the images.
    max_shift : float or None
        How far tiles may lie from where they should, in pixels; None is a tenth of the side.
    reference : int
        Channel that is looked at, from 0: its middle focus plane, at the first time.
    """

    overlap: float | None = None
    max_shift: float | None = None
    reference: int = 0

    __repr__ = one_line

    def __post_init__(self) -> None:
        if self.overlap is not None and not 0 <= self.overlap < 1:
            raise ValueError(f"`overlap` must be 0 to below 1, got {self.overlap}")
        if self.max_shift is not None and not 1 <= self.max_shift < math.inf:
            raise ValueError(f"`max_shift` must be 1 pixel or more, got {self.max_shift}")
        if self.reference < 0:
            raise ValueError(f"`reference` must be 0 or more, got {self.reference}")


@dataclass(frozen=True)
class Overlap:
    """Two tiles that lie beside each other.

    Attributes
    ----------
    first, second : int
        Numbers of the tiles in the scan.
    axis : int
        0: one above the other; 1: one beside the other.
    y, x : float
        Displacement of the second against the first, in pixels: found, or assumed where it is
        not trusted.
    correlation : float
        Of the overlap, nan where there is none or it is flat.
    trusted : bool
        Whether the correlation is above `TRUSTED` and the other pairs do not contradict it.
    residual : float
        Distance of the displacement from that of the final positions, in pixels.
    """

    first: int
    second: int
    axis: int
    y: float = 0.0
    x: float = 0.0
    correlation: float = math.nan
    trusted: bool = False
    residual: float = 0.0


def evidence(correlation: float) -> float:
    """Weight of a pair: ratio of the power that both overlaps share and of what they do not.

    The precision of a displacement goes with it (Knapp and Carter 1976, doi
    10.1109/TASSP.1976.1162830), and other places reach 1 where the same place reaches 50.
    """
    shared = min(correlation, _SUREST) ** 2
    return shared / (1 - shared)


def scan_positions(scan: Scan, steps: Array) -> Array:
    """Where names or stage say that the tiles lie, shape (tiles, 2).

    `steps` has, in its rows, the displacement from row to row and from column to column; for stage
    positions, that of one pixel along either axis.
    """
    if scan.staged:
        places = np.array([(tile.y, tile.x) for tile in scan.tiles])
    else:
        places = np.array([(tile.row or 0, tile.col or 0) for tile in scan.tiles], dtype=float)
    return np.asarray((places - places[0]) @ steps)


def neighbours(scan: Scan, shape: Sequence[int]) -> list[Overlap]:
    """Tiles beside or above each other, in the order of the tiles."""
    if not scan.staged:
        at = {(tile.row or 0, tile.col or 0): k for k, tile in enumerate(scan.tiles)}
        touching = [
            Overlap(at[row + dy, col + dx], k, axis)
            for (row, col), k in at.items()
            for axis, (dy, dx) in enumerate([(-1, 0), (0, -1)])
            if (row + dy, col + dx) in at
        ]
        return sorted(touching, key=lambda pair: (pair.second, pair.first))
    corners = np.array([(tile.y / shape[0], tile.x / shape[1]) for tile in scan.tiles])
    near = scipy.spatial.cKDTree(corners).query_pairs(1.0, p=np.inf, output_type="ndarray")
    pairs = []
    for a, b in sorted((int(max(p)), int(min(p))) for p in near):
        away = corners[a] - corners[b]
        axis = int(abs(away[1]) > abs(away[0]))
        if abs(away[1 - axis]) <= 1 - _SIDE_BY_SIDE:
            ahead = away[axis] > 0  # the second lies further down, or right, by the stage
            pairs.append(Overlap(b, a, axis) if ahead else Overlap(a, b, axis))
    return pairs


class Measuring:
    """Registers the pairs of a scan.

    Parameters
    ----------
    scan : Scan
    files : TileFiles
    plane : PlaneIndex
        That is looked at, of the first scene.
    pairs : list of Overlap
    shape : (int, int)
    options : Placing
    """

    def __init__(
        self,
        scan: Scan,
        files: TileFiles,
        plane: PlaneIndex,
        pairs: list[Overlap],
        shape: tuple[int, int],
        options: Placing,
    ) -> None:
        self.scan, self.files, self.plane, self.pairs = scan, files, plane, pairs
        self.shape, self.options = shape, options
        # neighbours are as many tiles apart as a row is long: so many are kept
        gap = max((abs(pair.second - pair.first) for pair in pairs), default=0)
        kept = max(2, min(gap + 2, _MEMORY // (shape[0] * shape[1])))
        self.tile = lru_cache(maxsize=kept)(self._tile)
        self.coarse = lru_cache(maxsize=4 * _SAMPLE)(self._coarse)
        self.reduction = max(1, round(min(shape) / _COARSE))
        limit = options.max_shift
        self.reach = tuple(limit or max(4.0, _MAX_SHIFT * side) for side in shape)

    def _tile(self, number: int) -> Array:
        return prepared(self._grey(number))

    def _grey(self, number: int) -> Array:
        tile = self.scan.tiles[number]
        pixels = luminance(self.files.open(tile.path).load(self.plane._replace(s=tile.scene)))
        try:
            return as_plane(pixels, "tile").astype(np.float32)
        except (ValueError, TypeError) as error:
            raise CellqaError(f"{tile.name}: {error}") from None

    def _coarse(self, number: int) -> Array:
        grey = self._grey(number)
        sides = [max(1, side // self.reduction) for side in grey.shape]
        if self.reduction > 1:
            grey = cv2.resize(grey, (sides[1], sides[0]), interpolation=cv2.INTER_AREA)
        return prepared(grey)

    def steps(self) -> Array:
        """The displacement from row to row, and from column to column; see `scan_positions`.

        Raises
        ------
        CellqaError
            No overlap was found, and none is given.
        """
        if self.scan.staged or self.options.overlap is not None:
            share = 1 - (self.options.overlap or 0)
            scale = np.ones(2) if self.scan.staged else np.array(self.shape) * share
            signs = [self._direction(axis, np.diag(scale))[0] for axis in (0, 1)]
            return np.diag(scale * signs)
        corrections = [self._unknown(axis) for axis in (0, 1)]
        shares = [
            abs(step[axis]) / self.shape[axis]
            for axis, step in enumerate(corrections)
            if step is not None
        ]
        if not shares:
            raise CellqaError("no overlap of its tiles was found; give --overlap")
        steps = np.diag(np.array(self.shape) * shares[0])  # where one axis tells nothing
        for axis, step in enumerate(corrections):
            if step is not None:
                steps[axis] = step
        return steps

    def _direction(self, axis: int, steps: Array) -> tuple[int, list[Match]]:
        """Which sign of the displacement along an axis fits the images, and what it gives."""
        reach = list(self.reach)
        if steps[axis, axis] == 0:  # the overlap is unknown
            reach[axis] = _WIDEST / 2 * self.shape[axis]
        scores, matches = [], []
        for sign in (1, -1):
            flip = np.where(np.arange(2) == axis, sign, 1)
            nominal = scan_positions(self.scan, steps * flip[:, None])
            each = []
            for pair in self._sample(axis):
                centre = nominal[pair.second] - nominal[pair.first]
                if steps[axis, axis] == 0:
                    centre[axis] = sign * (1 - _WIDEST / 2) * self.shape[axis]
                each.append(self._registered(pair, centre, reach))
            matches.append([one for one in each if one.correlation >= TRUSTED])
            scores.append(sum(evidence(one.correlation) for one in matches[-1]))
        best = int(scores[1] > scores[0])
        return (1, -1)[best], matches[best]

    def _sample(self, axis: int) -> list[Overlap]:
        """Pairs of an axis, evenly drawn."""
        pairs = [pair for pair in self.pairs if pair.axis == axis]
        chosen = np.linspace(0, len(pairs) - 1, min(_SAMPLE, len(pairs))).round().astype(int)
        return [pairs[k] for k in chosen]

    def _registered(self, pair: Overlap, centre: Array, reach: Sequence[float]) -> Match:
        """On reduced tiles, in pixels of the whole ones."""
        by = self.reduction
        first, second = self.coarse(pair.first), self.coarse(pair.second)
        shift = (float(centre[0]) / by, float(centre[1]) / by)
        match = register(first, second, shift, (reach[0] / by, reach[1] / by), refine=False)
        return Match(match.y * by, match.x * by, match.correlation)

    def _unknown(self, axis: int) -> Array | None:
        """The displacement along an axis that most pairs agree on; None where none is trusted."""
        _, matches = self._direction(axis, np.zeros((2, 2)))
        if not matches:
            return None
        places = np.array([(one.y, one.x) for one in matches])
        apart = np.abs(places[:, None] - places[None]).max(axis=2)
        agree = apart <= max(self.reach) / 2
        weights = np.array([evidence(one.correlation) for one in matches])
        most = agree[int((agree @ weights).argmax())]
        return np.asarray(np.median(places[most], axis=0))

    def all_pairs(
        self, steps: Array, progress: Callable[[float], None] | None
    ) -> tuple[Array, list[Overlap]]:
        """Every pair registered near where it should be; those that fail get the median.

        Returns the steps as well, by what was found.
        """
        nominal = scan_positions(self.scan, steps)
        expected = [nominal[pair.second] - nominal[pair.first] for pair in self.pairs]
        pairs = []
        for number, (pair, centre) in enumerate(zip(self.pairs, expected, strict=True), 1):
            first, second = self.tile(pair.first), self.tile(pair.second)
            place = (float(centre[0]), float(centre[1]))
            if all(n - abs(d) >= THINNEST for n, d in zip(self.shape, place, strict=True)):
                pairs.append(register(first, second, place, (self.reach[0], self.reach[1])))
            else:  # merely touching: what correlates there does so by chance
                pairs.append(Match(*place, math.nan))
            if progress:
                progress(number / len(self.pairs))
        measured = []
        corrections = np.array([self._correction(axis, expected, pairs) for axis in (0, 1)])
        for pair, centre, one in zip(self.pairs, expected, pairs, strict=True):
            trusted = one.correlation >= TRUSTED
            y, x = (one.y, one.x) if trusted else centre + corrections[pair.axis]
            measured.append(
                replace(pair, y=float(y), x=float(x), correlation=one.correlation, trusted=trusted)
            )
        return (steps if self.scan.staged else steps + corrections), measured

    def _correction(self, axis: int, expected: list[Array], matches: list[Match]) -> Array:
        """Median distance of what was found from what was expected."""
        away = [
            (one.y - centre[0], one.x - centre[1])
            for pair, centre, one in zip(self.pairs, expected, matches, strict=True)
            if pair.axis == axis and one.correlation >= TRUSTED
        ]
        return np.asarray(np.median(away, axis=0)) if away else np.zeros(2)
