"""Where the tiles of a scan lie: neighbours registered in pairs, all pairs fitted at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from cellqa.errors import CellqaError
from cellqa.io import PlaneIndex
from cellqa.planes import Array
from cellqa.shown import one_line
from ciegan.mosaic.pairs import Measuring, Overlap, Placing, evidence, neighbours, scan_positions
from ciegan.mosaic.reading import TileFiles, check_tiles
from ciegan.mosaic.scans import Scan

_DOUBT = 1e-3  # weight of a pair that is not trusted: it counts only where no other holds a tile
_ROUNDS = 20  # of re-weighting
_NEGLIGIBLE = 0.02  # fractions of a pixel that are not worth an interpolation
_TOLERANCE = 0.5  # pixels: disagreements of pairs below this are no outliers


@dataclass(frozen=True)
class Placement:
    """Where the tiles of a scan lie.

    Attributes
    ----------
    positions : ndarray, shape (tiles, 2)
        Upper left corners (y, x) in pixels, from that of the whole.
    shape : (int, int)
        Of the whole.
    pairs : tuple of Overlap
    """

    positions: Array
    shape: tuple[int, int]
    pairs: tuple[Overlap, ...]

    __repr__ = one_line

    def pairs_of(self, tile: int) -> list[Overlap]:
        """The pairs of a tile, given by its number."""
        return [pair for pair in self.pairs if tile in (pair.first, pair.second)]

    @property
    def residual(self) -> float:
        """Root mean square of the trusted pairs' residuals, in pixels; nan where there is none."""
        squares = [pair.residual**2 for pair in self.pairs if pair.trusted]
        return math.sqrt(sum(squares) / len(squares)) if squares else math.nan


def place(
    scan: Scan,
    options: Placing | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> Placement:
    """Find where the tiles of a scan lie, to a fraction of a pixel.

    Every two neighbours are registered near where names or stage say (see `register`). Which way
    rows, columns and stage axes run, and the overlap where it is unknown, is what fits best in a
    sample of pairs. Pairs that do not correlate get the median displacement of their axis, at a
    small weight. Positions are the least squares solution over all pairs; those that the others
    contradict lose their weight step by step (Geman and McClure 1987).

    Parameters
    ----------
    scan : Scan
    options : Placing, optional
    progress : callable, optional
        Called with the share that is done.

    Raises
    ------
    CellqaError
        The tiles differ in shape, type, planes or pixel size, one cannot be read, no two of them
        are neighbours, or no overlap was found and none given.

    References
    ----------
    Preibisch S, Saalfeld S, Tomancak P. Globally optimal stitching of tiled 3D microscopic image
    acquisitions. Bioinformatics 25, 1463-1465 (2009). doi 10.1093/bioinformatics/btp184
    Chalfoun J et al. MIST: accurate and scalable microscopy image stitching tool with stage
    modeling and error minimization. Sci Rep 7, 4988 (2017). doi 10.1038/s41598-017-04567-y
    """
    options = options or Placing()
    with TileFiles() as files:
        first = check_tiles(scan, files)
        shape = first.shape_of(PlaneIndex(s=scan.tiles[0].scene))[:2]
        if options.reference > first.planes[-1].c:
            raise CellqaError(
                f"--reference {options.reference}: its tiles have {first.planes[-1].c + 1} channels"
            )
        plane = PlaneIndex(0, 0, options.reference, (first.planes[-1].z + 1) // 2)
        pairs = neighbours(scan, shape)
        if len(scan.tiles) == 1:
            return Placement(np.zeros((1, 2)), (shape[0], shape[1]), ())
        if not pairs:
            raise CellqaError("no two of its tiles are neighbours; are these rows and columns?")
        measuring = Measuring(scan, files, plane, pairs, (shape[0], shape[1]), options)
        steps, measured = measuring.all_pairs(measuring.steps(), progress)
    positions, fitted = _fitted(scan_positions(scan, steps), measured)
    positions -= positions.min(axis=0)
    last = [whole_and_fraction(float(value))[0] for value in positions.max(axis=0)]
    return Placement(positions, (last[0] + shape[0], last[1] + shape[1]), tuple(fitted))


def whole_and_fraction(position: float) -> tuple[int, float]:
    """Whole pixels and the fraction beyond, which is 0 where it is negligible.

    Examples
    --------
    >>> whole_and_fraction(2.25), whole_and_fraction(2.99)
    ((2, 0.25), (3, 0.0))
    """
    if abs(position - round(position)) < _NEGLIGIBLE:
        return round(position), 0.0
    return math.floor(position), position - math.floor(position)


def _fitted(nominal: Array, pairs: Sequence[Overlap]) -> tuple[Array, list[Overlap]]:
    """Positions by least squares over all pairs, and what each pair is worth beside the others.

    Solved for the distances from the nominal positions: where pairs do not connect all tiles, the
    smallest solution leaves each part on average where it should be.
    """
    first = np.array([pair.first for pair in pairs])
    second = np.array([pair.second for pair in pairs])
    number = np.arange(len(pairs))
    signs = np.repeat([1.0, -1.0], len(pairs))
    places = (np.tile(number, 2), np.concatenate([second, first]))
    design = scipy.sparse.csr_matrix((signs, places), shape=(len(pairs), len(nominal)))
    wanted = np.array([(pair.y, pair.x) for pair in pairs]) - design @ nominal
    trusted = np.array([pair.trusted for pair in pairs])
    base = np.array([evidence(pair.correlation) if pair.trusted else _DOUBT for pair in pairs])
    kept = np.ones(len(pairs))
    for _ in range(_ROUNDS):
        root = np.sqrt(base * kept)
        weighted = scipy.sparse.diags(root) @ design
        away = np.stack(
            [
                scipy.sparse.linalg.lsqr(weighted, root * side, atol=1e-12, btol=1e-12)[0]
                for side in wanted.T
            ],
            axis=1,
        )
        residuals = np.hypot(*(design @ away - wanted).T)
        if not trusted.any():
            break
        scale = max(_TOLERANCE, 3 * 1.4826 * float(np.median(residuals[trusted])))
        before, kept = kept, np.where(trusted, 1 / (1 + (residuals / scale) ** 2) ** 2, 1.0)
        if np.abs(kept - before).max() < 1e-3:
            break
    fitted = [
        replace(pair, trusted=bool(pair.trusted and worth > 0.25), residual=float(residual))
        for pair, worth, residual in zip(pairs, kept, residuals, strict=True)
    ]
    return nominal + away, fitted
