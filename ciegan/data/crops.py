"""Prepared tiles as training crops. Which crop is taken is a pure function of its number."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cellqa.errors import CellqaError, printable
from cellqa.planes import Array
from ciegan.config import ConfigError, Data
from ciegan.data.levels import relative_gain
from ciegan.data.noisy import Noises, recorrupted
from ciegan.data.prepare import seed_of
from ciegan.data.tile_pairs import TilePair, scale_of
from ciegan.network.neighbours import middle, stacked
from ciegan.network.normalisation import PERCENTILES, Normalisation, channels_of, scaled
from ciegan.network.trained_on import TrainedOn, digest

_REMEMBERED = 10_000  # tiles whose digests are kept with the weights
_LOOKED_AT = 32  # tiles that noise and contrast are measured on
_GAIN = 1.1  # by which the contrast of two captures may differ
_SAMPLE = 2_000_000  # values that the percentiles of a training set are taken from


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
        self.scale = scale_of(tiles)
        self._check_scale()
        self.digests: dict[int, tuple[str, str]] = {}  # of input and target
        room = data.memory * 2**30
        for k in range(len(tiles)):
            pair = self._load(k)
            room -= sum(pixels.nbytes for pixels in pair)
            if room >= 0:  # every tile is looked at, so that none fails after hours
                self.kept[k] = pair
        self.normalisation = self._normalisation()
        self.noise: Noises | None = None
        if data.target == "self":
            some = np.linspace(0, len(tiles) - 1, min(len(tiles), _LOOKED_AT)).astype(int)
            self.noise = Noises([self.own(k) for k in some])

    def _check_scale(self) -> None:
        """Raise ConfigError where enlarged inputs cannot be trained on as is asked for."""
        for name, usual in (("target", "truth"), ("context", "")):
            value = getattr(self.data, name)
            if self.scale > 1 and value != usual:
                raise ConfigError(f"data.{name} = {value!r} takes inputs that were not enlarged")

    def check_targets(self) -> None:
        """Raise CellqaError where targets are their inputs, and none are made of these."""
        if self.noise is None and all(a == b for a, b in self.digests.values()):
            what = "noisy images teach themselves with --target self"
            raise CellqaError(f"input and target are the same: there is nothing to learn ({what})")

    def warnings(self) -> list[str]:
        """What to distrust of inputs and targets, a line each."""
        told = self.noise.warnings() if self.noise else []
        lacking = sum(tile.input in tile.beside for tile in self.tiles)
        if 2 * lacking > len(self.tiles):
            told.append(
                f"data.context: {lacking} of {len(self.tiles)} tiles lack a neighbour and stand in "
                "for it (`prepare zstack` keeps the sharpest plane out; `--min-contrast 0` keeps "
                "empty tiles)"
            )
        if self.data.target == "other":
            some = np.linspace(0, len(self.tiles) - 1, min(len(self.tiles), _LOOKED_AT)).astype(int)
            gain = float(np.median([relative_gain(self.own(k), self.pair(k)[1]) for k in some]))
            if not 1 / _GAIN < gain < _GAIN:
                told.append(
                    f"--target other: the second capture has {gain:.2f} times the contrast of the "
                    "first, which the network learns as well: they may differ in noise alone "
                    "(ciegan prepare pairs --match-levels)"
                )
        return told

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
        """Input, as a network sees it, and target of a tile."""
        return self.kept[k] if k in self.kept else self._load(k)

    def own(self, k: int) -> Array:
        """Input of a tile, without neighbours."""
        return middle(self.pair(k)[0], self.channels)

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
        return tile.seen(source), target

    def _normalisation(self) -> Normalisation:
        rule = self.data.normalize
        places = range(len(self.tiles))
        if rule == "range":
            ends = [
                (0.0, 255.0) if p.dtype == np.uint8 else (float(p.min()), float(p.max()))
                for source, target in map(self.pair, places)
                for p in (middle(source, self.channels), target)
            ]
            return Normalisation(rule, min(a for a, _ in ends), max(b for _, b in ends))
        if rule == "image" and all(tile.limits for tile in self.tiles):
            limits = [tile.limits for tile in self.tiles if tile.limits]
            low, high = np.mean(limits, axis=0)
            return Normalisation(rule, float(low), float(high))
        each = max(1, _SAMPLE // len(self.tiles))
        inputs = (self.own(k).ravel() for k in places)
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
            own = self.own(place)
            self._limits[place] = self.normalisation.limits(own, self.tiles[place].limits)
        return self._limits[place]

    def _cut(self, k: int) -> tuple[Array, Array, tuple[float, float]]:
        """A crop of the input and of the target, and black and white."""
        drawn, side = self.draw(k), self.data.crop
        pair = self.pair(drawn.place)
        source, target = (p[drawn.y : drawn.y + side, drawn.x : drawn.x + side] for p in pair)
        source, target = (np.rot90(p, drawn.turns) for p in (source, target))
        if drawn.flip:
            source, target = source[:, ::-1], target[:, ::-1]
        source, target = self.learned(drawn.place, source, target, [self.seed, k, 1])
        return source, target, self.limits(drawn.place)

    def loaded(self, tile: TilePair) -> tuple[Array, Array, float | None]:
        """A tile to validate on: input, target (made of the input without another), pixel size.

        Its neighbours are not among them; see `TilePair.seen`.
        """
        own, target, size = tile.load()
        if self.noise is None:
            return own, target, size
        noise = self.noise.of(tile.name, lambda: own)
        rng = np.random.default_rng(seed_of(tile.name))
        return *recorrupted(own, noise, rng), size

    def seen(self, tile: TilePair, source: Array) -> Array:
        """A tile to validate on as a network sees it: what `loaded` gave, and its neighbours."""
        if self.noise is None or not tile.beside:
            return tile.seen(source)
        every = tile.seen(tile.load()[0])  # of which the first was made noisier
        return stacked([source, every[:, :, self.channels :].astype(source.dtype)])

    def learned(
        self, place: int, source: Array, target: Array, seed: Sequence[int]
    ) -> tuple[Array, Array]:
        """What a crop of a tile teaches: what it is, exchanged, or made of the input."""
        if self.data.target == "truth":
            return source, target
        rng = np.random.default_rng(seed)
        own = np.ascontiguousarray(middle(source, self.channels))
        if self.noise is not None:
            noise = self.noise.of(self.tiles[place].name, partial(self.own, place))
            taken, target = recorrupted(own, noise, rng)
        else:
            taken, target = (target, own) if rng.integers(2) else (own, target)
        if source.shape == own.shape:
            return taken, target
        # neighbours are other captures: their noise is their own
        return stacked([taken, source[:, :, self.channels :].astype(taken.dtype)]), target


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
