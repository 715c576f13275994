"""Prepared tiles as training crops. Which crop is taken is a pure function of its number."""

from __future__ import annotations

import csv
import hashlib
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cellqa.errors import CellqaError, first_line, printable
from cellqa.pairs.naming import composed
from cellqa.pairs.pairing import scan
from cellqa.planes import Array
from cellqa.tables.cells import unguarded
from ciegan.config import Data
from ciegan.data.noisy import NoiseModel, noise_model, recorrupted
from ciegan.data.pixels import check_pixels, load_image
from ciegan.data.prepare import MARK, PAIRS, seed_of
from ciegan.data.tiles import INPUT, TARGET
from ciegan.network.normalisation import PERCENTILES, Normalisation, channels_of, scaled
from ciegan.network.trained_on import TrainedOn, digest

_REMEMBERED = 10_000  # tiles whose digests are kept with the weights
_LOOKED_AT = 32  # tiles that the noise is measured on
_SAMPLE = 2_000_000  # values that the percentiles of a training set are taken from


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
    """

    name: str
    input: Path
    target: Path
    field: str
    limits: tuple[float, float] | None = None

    def load(self) -> tuple[Array, Array, float | None]:
        """Input, target and the target's pixel size.

        Raises
        ------
        CellqaError
            A file cannot be read, or the two are not of one shape.
        """
        source, _ = load_image(self.input, as_is=True)
        target, size = load_image(self.target, as_is=True)
        if source.shape != target.shape:
            raise CellqaError(
                f"{printable(self.name)}: input {source.shape} and target {target.shape} differ in "
                "shape"
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


def read_split(folder: Path, split: str) -> list[TilePair]:
    """The pairs of `folder/split`, sorted by name; pairs.csv tells field and limits if it is there.

    Raises
    ------
    CellqaError
        The split does not exist, is empty, or an image has no partner.
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
        field, limits = known.get(composed(printable(name)), (name, None))
        paths = {role: place / role / matching[0] for role, matching in files.items()}
        tiles.append(TilePair(name, paths[INPUT], paths[TARGET], field, limits))
    return tiles


def _known(table: Path) -> dict[str, tuple[str, tuple[float, float]]]:
    """Field and limits of each tile, from pairs.csv."""
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
                )
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise CellqaError(
            f"{table}: not as `ciegan prepare` writes it ({first_line(error)})"
        ) from (None)


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


class Draw(NamedTuple):
    """What is drawn for a crop.

    Attributes
    ----------
    place : int
        Of the tile.
    y, x : int
        Its corner there.
    turns : int
        Quarter turns.
    flip : bool
        Left and right exchanged, after turning.
    """

    place: int
    y: int
    x: int
    turns: int
    flip: bool


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Random crops of tiles, scaled to -1 to 1, channels first.

    Item k is drawn with the seed (seed, k), so that training goes on exactly after any end, and
    several processes share the items out without telling each other.

    Raises
    ------
    CellqaError
        A tile is smaller than a crop, constant, of other channels than the first, or unreadable.
    """

    def __init__(self, tiles: Sequence[TilePair], data: Data, seed: int) -> None:
        self.tiles, self.data, self.seed = tiles, data, seed
        self.kept: dict[int, tuple[Array, Array]] = {}
        self._limits: dict[int, tuple[float, float]] = {}
        self.channels = 0
        self.digests: dict[int, tuple[str, str]] = {}  # of input and target
        room = data.memory * 2**30
        for k in range(len(tiles)):
            pair = self._load(k)
            room -= sum(pixels.nbytes for pixels in pair)
            if room >= 0:  # every tile is looked at, so that none fails after hours
                self.kept[k] = pair
        self.normalisation = self._normalisation()
        self.noise: NoiseModel | None = None
        if data.target == "self":
            some = np.linspace(0, len(tiles) - 1, min(len(tiles), _LOOKED_AT)).astype(int)
            self.noise = noise_model([self.pair(k)[0] for k in some])

    def check_targets(self) -> None:
        """Raise CellqaError where targets are their inputs, and none are made of these."""
        if self.noise is None and all(a == b for a, b in self.digests.values()):
            what = "noisy images teach themselves with --target self"
            raise CellqaError(f"input and target are the same: there is nothing to learn ({what})")

    @property
    def fingerprint(self) -> str:
        """Of names and pixels of all tiles: training goes on exactly only with the same."""
        told = [(tile.name, tile.limits, self.digests[k]) for k, tile in enumerate(self.tiles)]
        return hashlib.sha256(repr(told).encode("utf-8", "backslashreplace")).hexdigest()

    def with_held(self, validation: Iterable[TilePair]) -> str:
        """The fingerprint, with the pixels of tiles to validate on."""
        held = [digest(pixels) for tile in validation for pixels in tile.load()[:2]]
        return digest(f"{self.fingerprint} {held}".encode())

    @property
    def trained_on(self) -> TrainedOn:
        """What weights are to remember of the tiles and fields that they were trained on."""
        some = np.linspace(0, len(self.tiles) - 1, min(len(self.tiles), _REMEMBERED)).astype(int)
        return TrainedOn(
            frozenset(self.digests[k][1] for k in some),
            frozenset(digest(self.tiles[k].field.encode("utf-8", "replace")) for k in some),
        )

    def pair(self, k: int) -> tuple[Array, Array]:
        """Input and target of a tile."""
        return self.kept[k] if k in self.kept else self._load(k)

    def _load(self, k: int) -> tuple[Array, Array]:
        tile = self.tiles[k]
        source, target, _ = tile.load()
        name = printable(tile.name)
        if min(source.shape[:2]) < self.data.crop:
            size = " x ".join(map(str, source.shape[:2]))
            raise CellqaError(
                f"{name}: {size} pixels are smaller than a crop of {self.data.crop}; make larger "
                "tiles, or set --crop"
            )
        channels = channels_of(source.shape)
        self.channels = self.channels or channels
        if channels != self.channels:
            raise CellqaError(
                f"{name}: {channels} channels, but {printable(self.tiles[0].name)} has "
                f"{self.channels}; keep grey and colour images apart"
            )
        if k not in self.digests:
            self.digests[k] = digest(source), digest(target)
        return source, target

    def _normalisation(self) -> Normalisation:
        rule = self.data.normalize
        places = range(len(self.tiles))
        if rule == "range":
            pairs = (self.pair(k) for k in places)
            ends = [
                (0.0, 255.0) if p.dtype == np.uint8 else (float(p.min()), float(p.max()))
                for pair in pairs
                for p in pair
            ]
            return Normalisation(rule, min(a for a, _ in ends), max(b for _, b in ends))
        if rule == "image" and all(tile.limits for tile in self.tiles):
            limits = [tile.limits for tile in self.tiles if tile.limits]
            low, high = np.mean(limits, axis=0)
            return Normalisation(rule, float(low), float(high))
        each = max(1, _SAMPLE // len(self.tiles))
        inputs = (self.pair(k)[0].ravel() for k in places)
        sample = np.concatenate([x[:: max(1, x.size // each)] for x in inputs])
        low, high = map(float, np.percentile(sample, PERCENTILES))
        return Normalisation(rule, low, high if high > low else low + 1)

    def __len__(self) -> int:
        return 2**62  # drawn, not listed

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        """Input and target, float32, shape (C, crop, crop)."""
        first, second = self.__getitems__([k])
        return first[0], second[0]

    def __getitems__(self, places: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Inputs and targets, float32, shape (B, C, crop, crop)."""
        drawn = [self._cut(k) for k in places]
        limits = [ends for _, _, ends in drawn]
        return (
            _stacked([source for source, _, _ in drawn], limits),
            _stacked([target for _, target, _ in drawn], limits),
        )

    def draw(self, k: int) -> Draw:
        """Where item k is cut, and how it is turned."""
        rng = np.random.default_rng([self.seed, k])
        place = int(rng.integers(len(self.tiles)))
        source, _ = self.pair(place)
        y, x = (int(rng.integers(n - self.data.crop + 1)) for n in source.shape[:2])
        turns, flip = 0, False
        if self.data.augment:
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        return Draw(place, y, x, turns, flip)

    def limits(self, place: int) -> tuple[float, float]:
        """Black and white of a tile."""
        if place not in self._limits:
            source, _ = self.pair(place)
            self._limits[place] = self.normalisation.limits(source, self.tiles[place].limits)
        return self._limits[place]

    def _cut(self, k: int) -> tuple[Array, Array, tuple[float, float]]:
        """A crop of the input and of the target, and black and white."""
        drawn, side = self.draw(k), self.data.crop
        pair = self.pair(drawn.place)
        source, target = (p[drawn.y : drawn.y + side, drawn.x : drawn.x + side] for p in pair)
        source, target = (np.rot90(p, drawn.turns) for p in (source, target))
        if drawn.flip:
            source, target = source[:, ::-1], target[:, ::-1]
        source, target = self.learned(source, target, [self.seed, k, 1])
        return source, target, self.limits(drawn.place)

    def loaded(self, tile: TilePair) -> tuple[Array, Array, float | None]:
        """A tile to validate on: input, target (made of the input without another), pixel size."""
        source, target, size = tile.load()
        if self.noise is not None:
            rng = np.random.default_rng(seed_of(tile.name))
            source, target = recorrupted(source, self.noise, rng)
        return source, target, size

    def learned(self, source: Array, target: Array, seed: Sequence[int]) -> tuple[Array, Array]:
        """Input and target to learn from: what they are, exchanged, or made of the input."""
        if self.data.target == "truth":
            return source, target
        rng = np.random.default_rng(seed)
        if self.noise is not None:
            return recorrupted(np.ascontiguousarray(source), self.noise, rng)
        return (target, source) if rng.integers(2) else (source, target)


def _stacked(crops: Sequence[Array], limits: Sequence[tuple[float, float]]) -> Tensor:
    """Crops as a batch, scaled."""
    planes = [scaled(crop, ends) for crop, ends in zip(crops, limits, strict=True)]
    return torch.from_numpy(np.stack(planes))


class TimedLoader(DataLoader[tuple[Tensor, Tensor]]):
    """A loader that reads a batch ahead, and knows how long it was waited for.

    Attributes
    ----------
    waited : float
        Seconds.
    """

    waited = 0.0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = super().__iter__()
        with ThreadPoolExecutor(1) as ahead:
            pending = ahead.submit(next, batches, None)
            while True:
                start = time.perf_counter()
                batch = pending.result()
                self.waited += time.perf_counter() - start
                if batch is None:
                    return
                pending = ahead.submit(next, batches, None)
                yield batch


def crops_of_steps(
    crops: Crops, first: int, last: int, *, rank: int = 0, world: int = 1
) -> TimedLoader:
    """Batches of the steps from `first` to below `last`, for one of `world` processes."""
    batch = crops.data.batch_size
    keys = range(first * batch * world + rank, last * batch * world, world)
    return TimedLoader(
        crops,
        batch_size=batch,
        sampler=keys,
        collate_fn=_as_it_is,
        num_workers=crops.data.workers,
        pin_memory=torch.cuda.is_available(),
    )


def _as_it_is(batch: Any) -> Any:
    """What `Crops` draws is a batch already."""
    return batch
