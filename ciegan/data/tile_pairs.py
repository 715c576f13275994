"""Prepared tiles, as they lie in a folder: inputs, targets, and neighbours of inputs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cellqa.errors import CellqaError, first_line, printable
from cellqa.pairs.naming import composed
from cellqa.pairs.pairing import scan
from cellqa.planes import Array
from cellqa.planes.blocks import times
from cellqa.tables.cells import unguarded
from ciegan.config import Context
from ciegan.data.pixels import check_pixels, load_image
from ciegan.data.prepare import MARK, PAIRS
from ciegan.data.tiles import INPUT, TARGET
from ciegan.network.checkpoint import Checkpoint
from ciegan.network.enlarging import LARGEST, check_scale, enlarge
from ciegan.network.neighbours import stacked


@dataclass(frozen=True)
class TilePair:
    """A pair of files.

    Attributes
    ----------
    name : str
        Relative to `input` and `target`, without suffix.
    input, target : Path
    field : str
    limits : (float, float) or None
        Black and white of the whole image that the input was cut from.
    beside : tuple of Path
        Inputs of the neighbours that are seen with it (`data.context`).
    scale : int
        Times that the input is enlarged when it is loaded.
    """

    name: str
    input: Path
    target: Path
    field: str
    limits: tuple[float, float] | None = None
    beside: tuple[Path, ...] = ()
    scale: int = 1

    def load(self) -> tuple[Array, Array, float | None]:
        """Input, with the pixels of its target; target; and the target's pixel size.

        Raises
        ------
        CellqaError
            A file cannot be read, or the two are not of one shape.
        """
        source = enlarge(load_image(self.input, as_is=True).pixels, self.scale)
        target, size, _ = load_image(self.target, as_is=True)
        if source.shape != target.shape:
            hint = ""
            if 1 < times(source.shape, target.shape) <= LARGEST:
                hint = " (for super-resolution, `ciegan prepare pairs --scale` makes such data)"
            raise CellqaError(
                f"{printable(self.name)}: input {source.shape} and target {target.shape} differ in "
                f"shape{hint}"
            )
        if source.dtype != target.dtype:
            raise CellqaError(
                f"{printable(self.name)}: input {source.dtype} and target {target.dtype} differ in "
                "type: convert one"
            )
        for role, pixels in ((INPUT, source), (TARGET, target)):
            try:
                check_pixels(pixels, role, prepared=self.limits is not None)
            except CellqaError as error:
                raise CellqaError(f"{printable(self.name)}: {error}") from None
        return source, target, size

    def seen(self, source: Array) -> Array:
        """The input as a network sees it: with its neighbours, if there are any.

        Raises
        ------
        CellqaError
            A neighbour cannot be read, or is of another shape or type.
        """
        others = [
            source if p == self.input else load_image(p, as_is=True).pixels for p in self.beside
        ]
        for path, other in zip(self.beside, others, strict=True):
            if (other.shape, other.dtype) != (source.shape, source.dtype):
                raise CellqaError(
                    f"{printable(self.name)}: {source.shape} {source.dtype}, and its neighbour "
                    f"{printable(path.stem)} {other.shape} {other.dtype}"
                )
        return stacked([source, *others])


def read_split(folder: Path, split: str, context: str = "") -> list[TilePair]:
    """The pairs of `folder/split`, sorted by name; pairs.csv tells field and limits if it is there.

    With a `context` (`ciegan.config.Data`) each knows its neighbours, by their names.

    Raises
    ------
    CellqaError
        The split does not exist, is empty, or an image has no partner; or none has a neighbour.
    """
    place = folder / split
    if not folder.is_dir():
        raise CellqaError(f"DATA: there is no folder {str(folder)!r}")
    if not place.is_dir():
        raise CellqaError(
            f"DATA: {str(folder)!r} has no {split}/; make it with `ciegan prepare`, as "
            f"{split}/input and {split}/target"
        )
    parts: dict[str, dict[str, tuple[str, ...]]] = {}
    for role in (INPUT, TARGET):
        parts[role] = {}
        for name, found in scan(place / role, f"{split}/{role}").images.items():
            parts[role][composed(name)] = parts[role].get(composed(name), ()) + found
    known = _known(folder / PAIRS)
    tiles = []
    for name in sorted(parts[INPUT].keys() | parts[TARGET].keys()):
        files = {role: images.get(name, ()) for role, images in parts.items()}
        for role, matching in files.items():
            if len(matching) != 1:
                what = "has no partner" if not matching else "is there twice"
                raise CellqaError(f"{split}: {printable(name)} {what} in {role}/")
        field, limits, scale = known.get(composed(printable(name)), (name, None, 1))
        paths = {role: place / role / matching[0] for role, matching in files.items()}
        tiles.append(TilePair(name, paths[INPUT], paths[TARGET], field, limits, scale=scale))
    return in_context(tiles, split, context)


def in_context(tiles: Sequence[TilePair], split: str, context: str) -> list[TilePair]:
    """Tiles of a split that know their neighbours, some of which may be left out since they do.

    Raises
    ------
    CellqaError
        None has any.
    """
    number = len(Context.parse(context).offsets) - 1
    if all(len(tile.beside) == number for tile in tiles):
        return list(tiles)
    neighbours = Context.parse(context).neighbours([tile.name for tile in tiles])
    if all(set(others) == {name} for name, others in neighbours.items()):
        raise CellqaError(
            f"{split}: no tile has a neighbour for data.context = {context!r}: their names do not "
            f"tell the {'time' if context[0] == 't' else 'focus'}, as stacks, series, or files "
            "called pos1_t00, pos1_z03 do"
        )
    inputs = {tile.name: tile.input for tile in tiles}
    return [replace(t, beside=tuple(inputs[n] for n in neighbours[t.name])) for t in tiles]


def scale_of(tiles: Iterable[TilePair]) -> int:
    """Times that the inputs of tiles are enlarged.

    Raises
    ------
    CellqaError
        They differ.
    """
    scales = {tile.scale for tile in tiles}
    if len(scales) > 1:
        times = " and ".join(map(str, sorted(scales)))
        raise CellqaError(f"DATA: inputs are to be enlarged {times} times (`scale` of {PAIRS})")
    return scales.pop() if scales else 1


def check_scale_of(tiles: Iterable[TilePair], network: Checkpoint) -> None:
    """Raise CellqaError where a network was trained on inputs that were enlarged otherwise."""
    scale = scale_of(tiles)
    if scale != network.scale:
        raise CellqaError(
            f"DATA: along each side its targets have {scale} times the pixels of its inputs, those "
            f"that {network.path.name} was trained on {network.scale} times (see `ciegan prepare` "
            "--scale)"
        )


def _known(table: Path) -> dict[str, tuple[str, tuple[float, float], int]]:
    """Field, limits and scale of each tile, from pairs.csv."""
    if not table.exists():
        if (table.parent / MARK).exists():
            raise CellqaError(f"DATA: {str(table.parent)!r} was not prepared to the end")
        return {}
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return {
                composed(unguarded(row["name"])): (
                    unguarded(row["field"]),
                    _limits(row["low"], row["high"]),
                    _scale(row.get("scale") or "1"),  # not in tables of versions up to 0.1
                )
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise CellqaError(
            f"{table}: not as `ciegan prepare` writes it ({first_line(error)})"
        ) from (None)


def _scale(text: str) -> int:
    """Times that an input is enlarged; ValueError where that is out of range."""
    check_scale(int(text))
    return int(text)


def _limits(low: str, high: str) -> tuple[float, float]:
    """Black and white of a tile.

    Raises
    ------
    ValueError
        They are not finite numbers in order.
    """
    limits = float(low), float(high)
    if not 0 <= limits[1] - limits[0] < math.inf:
        raise ValueError(f"levels of {low} to {high}")
    return limits


def spread(tiles: Sequence[TilePair], number: int) -> list[TilePair]:
    """So many tiles, from all over the list."""
    places = np.linspace(0, len(tiles) - 1, min(number, len(tiles))).round().astype(int)
    return [tiles[k] for k in places]
