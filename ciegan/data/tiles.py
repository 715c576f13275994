"""What every kind of preparation shares: splits by field, tiles, what is empty, the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np

from cellqa.enhance import ENHANCERS
from cellqa.errors import ImageError, printable
from cellqa.io import write_tiff
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.shown import one_line
from ciegan.data.pixels import check_pixels
from ciegan.network.enlarging import check_scale, enlarge
from ciegan.network.normalisation import PERCENTILES

Source = TypeVar("Source")

TARGETS = (Role.REFERENCE, Role.EGT)
GAP = 32  # pixels between the parts of a field
_GRID = 8  # pixels
INPUT, TARGET = "input", "target"  # what a tile is of, and the folder within its split


@dataclass(frozen=True)
class TilingOptions:
    """How fields are split and cut.

    Attributes
    ----------
    tile : int
        Side of the tiles, in pixels.
    min_contrast : float
        A tile is empty, and dropped, where the range of its target (1st to 99th percentile) is
        below this share of the field's (0.1st to 99.9th). 0 keeps all.
    split : str
        Shares of the fields for training, validation and test, as `0.7,0.15,0.15`; or the name of
        a CSV file with the columns field and split.
    within : bool
        Each field is cut into a part for every split, along its longer side, with `GAP` pixels
        between that are in none; for few fields.
    field : str or None
        Regular expression whose groups name the field that an image belongs to; by default each
        image is a field of its own.
    seed : int
        Of the split, and of whatever is drawn.
    target : str
        `gt`, or `egt` for enhanced ground truth.
    pixel_size : float or None
        In micrometres; None takes it from the files.
    """

    tile: int = 256
    min_contrast: float = 0.1
    split: str = "0.7,0.15,0.15"
    within: bool = False
    field: str | None = None
    seed: int = 0
    target: str = Role.REFERENCE
    pixel_size: float | None = None

    __repr__ = one_line

    def __post_init__(self) -> None:
        if not 16 <= self.tile <= 8192:
            raise ValueError(f"`tile` must be 16 to 8192 pixels, got {self.tile}")
        if self.within and self.split.lower().endswith(".csv"):
            raise ValueError("--split-within takes shares (--split), not a table of fields")
        if not 0 <= self.min_contrast < 1:
            raise ValueError(f"`min_contrast` must be 0 to 1, got {self.min_contrast}")
        if self.target not in TARGETS:
            raise ValueError(f"`target` must be one of {', '.join(TARGETS)}, got {self.target!r}")


@dataclass(frozen=True)
class Record:
    """A line of pairs.csv.

    Attributes
    ----------
    name : str
        Of the tile: relative to `input` and `target`, with `/`, without suffix.
    split, source, field, plane : str
    distance : float or str
        From the focus, in micrometres (in planes where the step is unknown); empty where unknown.
    degradation : str
    target : str
        `gt` or `egt`.
    y, x : int
        Upper left corner in the source, in pixels; of what was registered, in the target's.
    shift_y, shift_x : float or str
        Displacement that was undone, in pixels; empty where none was looked for or found.
    low, high : float
        Black and white of the whole input image (0.1st and 99.9th percentile), in grey levels.
    scale : int
        Times as many pixels the target has along each side as the input, which is enlarged when it
        is read (`ciegan.enlarge`).
    """

    name: str
    split: str
    source: str
    field: str
    plane: str
    distance: float | str
    degradation: str
    target: str
    y: int
    x: int
    shift_y: float | str
    shift_x: float | str
    low: float
    high: float
    scale: int = 1


COLUMNS = tuple(each.name for each in fields(Record))


@dataclass(frozen=True)
class Pair:
    """A whole input image and its target.

    Attributes
    ----------
    label : str
        What tells it from other pairs of its source: appended to the tile's name.
    input : ndarray, shape (Y, X) or (Y, X, 3)
    target : ndarray, shape (scale x Y, scale x X) or (scale x Y, scale x X, 3)
    pixel_size : float or None
        Of the target, in micrometres.
    plane, distance, degradation, shift_y, shift_x, scale
        As in `Record`.
    corner : (int, int)
        Where the target's upper left corner lies in the source, in the target's pixels.
    whole : (int, int) or None
        Height and width of the target's source; None where nothing was cut off.
    """

    label: str
    input: Array
    target: Array
    pixel_size: float | None = None
    plane: str = ""
    distance: float | str = ""
    degradation: str = ""
    shift_y: float | str = ""
    shift_x: float | str = ""
    scale: int = 1
    corner: tuple[int, int] = (0, 0)
    whole: tuple[int, int] | None = None

    def within(self, known: tuple[slice, slice]) -> Pair:
        """The part of it where registration left nothing unknown."""
        rows, columns = known
        return replace(
            self,
            input=self.input[known],
            target=self.target[known],
            corner=(rows.start, columns.start),
            whole=(self.target.shape[0], self.target.shape[1]),
        )


def check_tiling(tiling: TilingOptions, scale: int) -> None:
    """Raise ValueError where images cannot be enlarged so many times, or tiles not be reduced."""
    check_scale(scale)
    if tiling.tile % scale:
        raise ValueError(f"--tile must be a multiple of --scale {scale}, got {tiling.tile}")


def cut_tiles(
    pair: Pair,
    stem: str,
    about: tuple[str, str, str],
    out: Path,
    tiling: TilingOptions,
    shares: Mapping[str, float] | None = None,
) -> tuple[list[Record], int]:
    """Cut a pair and write its tiles.

    Parameters
    ----------
    pair : Pair
    stem : str
        How the tiles' names begin.
    about : (str, str, str)
        Source, field and split.
    out : Path
    tiling : TilingOptions
    shares : mapping of str to float, optional
        Of each split, where the field is cut into parts; the name of the part's split is added to
        the field's.

    Returns
    -------
    list of Record, int
        Of the tiles that were written, and how many were empty.

    Raises
    ------
    ImageError
        Input and target differ in shape or type, or are smaller than a tile.
    """
    name, field_name, only = about
    scale, whole = pair.scale, pair.whole or pair.target.shape[:2]
    seen = _checked(pair, tiling.tile)
    low, high = map(float, np.percentile(seen, PERCENTILES))
    black, white = np.percentile(pair.target, PERCENTILES)
    least = tiling.min_contrast * (white - black)
    target = pair.target
    if tiling.target == Role.EGT:
        target = ENHANCERS[Role.EGT](target)
    records, empty = [], 0
    sizes = {INPUT: pair.pixel_size and scale * pair.pixel_size, TARGET: pair.pixel_size}
    parts = parts_of(whole, tiling.tile, shares, scale) if shares else {only: (0, 0, *whole)}
    tile_side = tiling.tile // scale  # in the pixels of the input, as all that follows
    parts = {split: _left_of(part, pair, tiling.tile) for split, part in parts.items()}
    for split, (top, left, height, width) in parts.items():
        part_name = f"{field_name} {split}" if shares else field_name
        sides = product(*(_starts(n // scale, tile_side) for n in (height, width)))
        for y, x in sides:
            y, x = top // scale + y, left // scale + x
            within = np.s_[y : y + tile_side, x : x + tile_side]
            y, x = scale * y, scale * x
            inside = np.s_[y : y + tiling.tile, x : x + tiling.tile]
            y, x = pair.corner[0] + y, pair.corner[1] + x
            if _is_empty(pair.input[within], pair.target[inside], least):
                empty += 1
                continue
            tile = f"{stem}_y{y:05d}_x{x:05d}"
            for role, pixels in ((INPUT, pair.input[within]), (TARGET, target[inside])):
                path = out / split / role / f"{tile}.tif"
                write_tiff(path, np.ascontiguousarray(pixels), sizes[role])
            records.append(
                Record(
                    printable(tile),
                    split,
                    name,
                    part_name,
                    pair.plane,
                    pair.distance,
                    pair.degradation,
                    tiling.target,
                    y,
                    x,
                    pair.shift_y,
                    pair.shift_x,
                    low,
                    high,
                    pair.scale,
                )
            )
    return records, empty


def _checked(pair: Pair, tile: int) -> Array:
    """The input on the target's pixels; ImageError where the two make no tiles."""
    shape = pair.target.shape
    if min(shape[:2]) < tile:
        raise _too_small(shape, tile, "" if pair.whole is None else "that registration left ")
    seen = enlarge(pair.input, pair.scale)
    if seen.shape != shape:
        raise ImageError(f"input {seen.shape} and target {shape} differ in shape")
    if pair.input.dtype != pair.target.dtype:
        raise ImageError(
            f"input {pair.input.dtype} and target {pair.target.dtype} differ in type: convert one"
        )
    for role, pixels in ((INPUT, pair.input), (TARGET, pair.target)):
        check_pixels(pixels, role)
    return seen


def _too_small(shape: tuple[int, ...], tile: int, why: str) -> ImageError:
    size = " x ".join(map(str, shape[:2]))
    return ImageError(f"{size} pixels {why}are smaller than a tile of {tile} (--tile)")


def _left_of(part: tuple[int, int, int, int], pair: Pair, tile: int) -> tuple[int, int, int, int]:
    """What a pair has of a part of its source: top, left, height and width in the pair's pixels.

    Raises
    ------
    ImageError
        It is smaller than a tile.
    """
    whole = pair.whole or pair.target.shape[:2]
    sides = []
    for start, size, corner, side, full in zip(
        part[:2], part[2:], pair.corner, pair.target.shape[:2], whole, strict=True
    ):
        known = corner, corner + side
        for inside in (on_grid(known, full) if pair.whole else known, known):
            low, high = max(start, inside[0]), min(start + size, inside[1])
            if high - low >= tile:
                break
        sides.append((low - corner, high - low))
    (top, height), (left, width) = sides
    if min(height, width) < tile:
        raise _too_small((max(height, 0), max(width, 0)), tile, "that registration left ")
    return top, left, height, width


def on_grid(known: tuple[int, int], side: int) -> tuple[int, int]:
    """Where the part of a side that is known begins and ends on a grid of 8 pixels.

    At least 8 are left out at both ends: planes that are displaced by less are then cut at the same
    places, so that their tiles lie on each other.

    Examples
    --------
    >>> on_grid((3, 100), 100), on_grid((0, 91), 100)
    ((8, 92), (8, 84))
    """
    low, high = (max(_GRID, -(-cut // _GRID) * _GRID) for cut in (known[0], side - known[1]))
    return low, side - high


def _is_empty(source: Array, target: Array, least: float) -> bool:
    """Whether one of them is of one value, or the target has too little contrast."""
    dark, bright = np.percentile(target, (1, 99))
    flat = any(pixels.min() == pixels.max() for pixels in (source, target))
    return flat or bool(bright - dark < least)


def parts_of(
    shape: tuple[int, ...], tile: int, shares: Mapping[str, float], step: int = 1
) -> dict[str, tuple[int, int, int, int]]:
    """Top, left, height and width of the part of a field that each split has.

    All are multiples of `step`, if the shape is.

    Raises
    ------
    ImageError
        One is smaller than a tile.

    Examples
    --------
    >>> parts_of((100, 532), 64, {"train": 0.6, "val": 0.4})
    {'train': (0, 0, 100, 300), 'val': (0, 332, 100, 200)}
    """
    shares = {split: share for split, share in shares.items() if share}
    longer = int(shape[1] >= shape[0])
    side = shape[longer] - GAP * (len(shares) - 1)
    parts, begin, done = {}, 0, 0.0
    for number, (split, share) in enumerate(shares.items()):
        done += share / sum(shares.values())
        end = (round(done * side) + GAP * number) // step * step
        if end - begin < tile:
            raise ImageError(
                f"the part of {split} has {max(end - begin, 0)} of {shape[longer]} pixels, fewer "
                f"than a tile of {tile}: smaller tiles (--tile), or other shares (--split)"
            )
        place, size = [0, 0], list(shape)
        place[longer], size[longer] = begin, end - begin
        parts[split] = (place[0], place[1], size[0], size[1])
        begin = -(-(end + GAP) // step) * step
    return parts


def _starts(side: int, tile: int) -> list[int]:
    """Where tiles start: edge to edge, the last one moved back onto the image."""
    return sorted({min(k, side - tile) for k in range(0, side, tile)})
