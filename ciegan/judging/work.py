"""A comparison on its way: networks trained, methods fitted, test tiles enhanced."""

from __future__ import annotations

import shutil
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cellqa.disk import appearing, own_folder, remove_folder
from cellqa.enhance import ENHANCERS, Enhancer
from cellqa.errors import CellqaError, printable
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.terminal import Progress, Tell
from ciegan.config import Config, from_dict, to_toml
from ciegan.data.pixels import load_image
from ciegan.data.prepare import PAIRS
from ciegan.data.tile_pairs import TilePair
from ciegan.data.tiles import INPUT, TARGET
from ciegan.judging.classical import FITTED, fitted, pairs_to_fit
from ciegan.judging.methods import Method
from ciegan.judging.store import Store
from ciegan.judging.tables import summary_of
from ciegan.judging.validation import describe, enhanced, views_of, write_tile
from ciegan.network.checkpoint import (
    LAST,
    Checkpoint,
    content_hash,
    load,
)
from ciegan.training.folder import RUN_SUMMARY
from ciegan.training.run import train


@dataclass
class Work:
    """A comparison on its way."""

    data: Path
    out: Path
    store: Store
    tiles: Mapping[str, list[TilePair]]
    device: torch.device
    tell: Tell
    progress: Progress
    failures: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def failing(self, name: str, seed: int = 0) -> Iterator[None]:
        """A method that fails is told of, and the others go on."""
        try:
            yield
        except (CellqaError, MemoryError) as error:
            label = f"{name}, seed {seed}" if seed else name
            self.failures.append((label, str(error) or "not enough memory"))
            self.tell(f"{label} failed: {self.failures[-1][1]}")

    @property
    def enhanced_data(self) -> Path:
        """The data with enhanced targets."""
        return self.out / "data-egt"

    def enhance_targets(self) -> None:
        """Make the data that `+egt` is trained on: the same inputs, targets enhanced."""
        place = self.enhanced_data
        if place.exists():
            return
        self.tell("enhancing the targets (EGT)")
        wanted = [(split, tile) for split in ("train", "val") for tile in self.tiles[split]]
        with appearing(place, folder=True) as made:
            for done, (split, tile) in enumerate(wanted, 1):
                source = load_image(tile.input, as_is=True).pixels
                _, target, size = tile.load()
                write_tile(made / split / INPUT, tile, source, size and tile.scale * size)
                write_tile(made / split / TARGET, tile, ENHANCERS[Role.EGT](target), size)
                self.progress(done, len(wanted))
            table = self.data / PAIRS
            if table.exists():
                shutil.copy(table, made / PAIRS)

    def _run(self, method: Method, config: Config) -> tuple[str, Path]:
        """Name and folder of a network."""
        name = f"{method.name}/seed{config.seed}"
        return name, self.out / "networks" / name

    def check(self, method: Method, config: Config, budget: Mapping[str, Any]) -> None:
        """Refuse to go on with a network that was begun with another budget or configuration."""
        name, folder = self._run(method, config)
        known = self.store.get("networks", name)
        begun = any((folder / file).exists() for file in (RUN_SUMMARY, LAST))
        if begun and not _is_same(known, config, budget):
            raise CellqaError(
                f"--out: {name} was trained with another budget or other settings; give another "
                "folder, or --overwrite"
            )

    def train(self, method: Method, config: Config, budget: Mapping[str, Any]) -> Path:
        """Train a network, go on with it, or take it as it is."""
        name, folder = self._run(method, config)
        if summary_of(folder):
            return folder
        if method.egt:
            self.enhance_targets()
        self.store.put("networks", name, {**budget, "config": to_toml(config)})
        self.tell(f"training {method.name}, seed {config.seed}")
        resume = (folder / LAST).exists()
        trained = train(
            self.enhanced_data if method.egt else self.data,
            folder,
            config,
            device=self.device.type,
            max_time=budget["seconds"],
            fit_time=budget["seconds"] is not None,
            resume=resume,
            overwrite=not resume,
            tell=self.tell,
            progress=self.progress,
        )
        self.tell(f"{method.name}, seed {config.seed}: {trained.describe()}")
        return folder

    def enhance_by(self, name: str, seed: int, path: Path) -> Path:
        """Write what a network makes of each test tile."""
        network = load(path)
        network.generator.to(self.device)
        learned = (summary_of(path) or {}).get("warnings", []) if path.is_dir() else []
        remembered = network.trained_on.warning(self.tiles["test"])
        for warning in dict.fromkeys([*network.warnings, *learned, *filter(None, [remembered])]):
            self.warnings.append(f"{name}: {warning}")
        make = partial(_by_network, network, views_of(self.tiles["test"], network))
        return self.enhance(f"{name}/seed{seed}", describe(network), make, content_hash(path))

    def enhance(
        self, name: str, what: str, make: Callable[[Array, Array, TilePair], Array], key: str = ""
    ) -> Path:
        """Write what a method makes of input and target of each test tile, and how long it takes.

        Tiles that were written before are taken as they are, where all are there and the method is
        what it was (`what`, and `key` of the files that it depends on).
        """
        folder = self.out / "enhanced" / name
        known = self.store.get("enhanced", name)
        there = [(folder / f"{tile.name}.tif").exists() for tile in self.tiles["test"]]
        same = known and (known.get("what"), known["key"]) == (what, key)
        if known and same and sum(there) == known["tiles"]:
            return folder
        self.store.drop("enhanced", name)  # before what it tells of is replaced
        remove_folder(folder)
        own_folder(folder, self.out)
        self.tell(f"enhancing with {name}")
        taken, pixels, count = 0.0, 0, 0
        for tile in self.tiles["test"]:
            try:
                source, target, size = tile.load()
            except CellqaError as error:
                self.warnings.append(f"{printable(tile.name)} is left out: {error}")
                continue
            if not count:
                make(source, target, tile)  # the first is slower: it warms up
            start = time.perf_counter()
            image = make(source, target, tile)
            taken += time.perf_counter() - start
            pixels += source.shape[0] * source.shape[1]
            count += 1
            write_tile(folder, tile, image, size)
            self.progress(count, len(self.tiles["test"]))
        about = {"what": what, "key": key, "tiles": count, "pixels": pixels, "seconds": taken}
        self.store.put("enhanced", name, about)
        return folder


def _is_same(known: Mapping[str, Any] | None, config: Config, budget: Mapping[str, Any]) -> bool:
    """Whether a network was begun with this configuration and budget."""
    if known is None or {k: v for k, v in known.items() if k != "config"} != budget:
        return False
    try:
        return from_dict(tomllib.loads(known["config"])) == config
    except (KeyError, ValueError, CellqaError):  # of another version
        return False


def filter_tiles(
    work: Work, methods: Sequence[Method], kernel: Path | None, folders: dict[str, Path]
) -> None:
    """Fit the classical methods, and note the folders of what they made; and of EGT."""
    pairs: list[tuple[Array, Array]] = []
    for method in methods:
        if method.preset or method.weights:
            continue
        with work.failing(method.name):
            if method.name in FITTED:
                work.tell(f"fitting {method.name}")
                pairs = pairs or pairs_to_fit(work.data)
            chosen = fitted(method.name, pairs, kernel)
            key = content_hash(kernel) if kernel else ""
            make = partial(_filtered, chosen)
            folders[method.name] = work.enhance(method.name, chosen.describe(), make, key)
    work.enhance(Role.EGT, ENHANCERS[Role.EGT].describe(), _of_target)


def _filtered(method: Enhancer, source: Array, target: Array, tile: TilePair) -> Array:
    return method(source)


def _by_network(
    network: Checkpoint,
    views: Mapping[str, TilePair],
    source: Array,
    target: Array,
    tile: TilePair,
) -> Array:
    return enhanced(network, views[tile.name].seen(source), tile.limits)


def _of_target(source: Array, target: Array, tile: TilePair) -> Array:
    return ENHANCERS[Role.EGT](target)
