"""Methods side by side: the same data, the same budget, the same judge."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cellqa.disk import LOCK, alone
from cellqa.enhance import ENHANCERS, Enhancer
from cellqa.enhance.deconvolution import measured_kernel
from cellqa.errors import CellqaError, printable
from cellqa.planes import Array
from cellqa.reporting.charts import save_charts
from cellqa.reporting.load import load_run
from cellqa.reporting.montage import save_montage
from cellqa.reporting.page import Table, write_report
from cellqa.scoring.finish import Finished
from cellqa.tables.files import write_csv, write_json
from cellqa.tables.folder import FIGURES
from ciegan.config import Config
from ciegan.data.crops import Tile, read_split
from ciegan.data.prepare import PAIRS
from ciegan.data.splits import SPLITS
from ciegan.judging.classical import FITTED, fitted, pairs_to_fit
from ciegan.judging.methods import Method, config_of
from ciegan.judging.tables import METRICS, by_seed, cost_note, costs, means, summary_of
from ciegan.judging.validation import describe, enhanced, score_tiles, targets_of, write_tile
from ciegan.network.checkpoint import (
    LAST,
    Checkpoint,
    choose_device,
    content_hash,
    load,
    make_generator,
)
from ciegan.training.run import SUMMARY, train

Tell = Callable[[str], None]
Progress = Callable[[int, int], None]

STORE = "compare.json"
_PARTS = ("networks", "enhanced", "data-egt", ".data-egt", "results")
COSTS, SEEDS = "cost.csv", "seeds.csv"


@dataclass
class Compared:
    """What a comparison left.

    Attributes
    ----------
    finished : cellqa.scoring.run.Finished
        The scores against ground truth, of the first seed.
    page : Path
    costs, seeds : list of list of str
        Tables with a header.
    failures : list of (method, reason)
        Methods that could not be trained or used.
    warnings : list of str
    """

    finished: Finished
    page: Path
    costs: list[list[str]]
    seeds: list[list[str]]
    failures: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def compare(
    data: Path,
    out: Path,
    methods: Sequence[Method],
    *,
    seconds: float | None = None,
    steps: int | None = None,
    seeds: int = 1,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    kernel: Path | None = None,
    device: str = "auto",
    jobs: int = 1,
    overwrite: bool = False,
    command: Sequence[str] = (),
    tell: Tell = lambda line: None,
    progress: Progress = lambda done, total: None,
) -> Compared:
    """Train what needs training, enhance the test split with each method, score it, report.

    Every network gets the same data, the same budget and the same rule by which its best weights
    are chosen. Called again it goes on: what is done is kept, as long as data and settings are the
    same.

    Parameters
    ----------
    data : Path
        As `ciegan prepare` makes it, with all three splits.
    out : Path
        Receives networks/METHOD/seedK/, enhanced/METHOD/, results/ with report.html (against ground
        truth), results-egt/ (against enhanced ground truth), results-seedK/, cost.csv, seeds.csv.
    methods : sequence of Method
    seconds : float, optional
        Of training, for each network and seed.
    steps : int, optional
        The same budget in steps; one of both must be given.
    seeds : int
        Networks are trained with the seeds 0 to `seeds` - 1; the report shows seed 0, and a table
        how much the others differ.
    settings : mapping of str to mapping of str to str, optional
        Preset to settings of its configuration, as `ciegan train --set`; "" is of all.
    kernel : Path, optional
        A measured kernel for Wiener and Richardson-Lucy; by default a Gaussian is fitted.
    device : str
        `cpu`, `cuda` or `auto`.
    jobs : int
        Processes that score.
    overwrite : bool
        Begin again.
    command : sequence of str
        Stored in run.json.
    tell, progress : callable
        Called with a line at each stage, and with what of the stage is done and all of it.

    Raises
    ------
    CellqaError
        The data cannot be used, or `out` is in use; or no method could be used at all.
    Interrupted
        By the user.
    """
    chosen = choose_device(device)
    if (seconds is None) == (steps is None):
        raise CellqaError("give a budget: either a time or a number of steps")
    place, source = out.resolve(), data.resolve()
    if place == source or source in place.parents or place in source.parents:
        raise CellqaError("--out: it and DATA must not lie inside each other")
    if targets_of(data) == "egt":
        raise CellqaError(
            "DATA has enhanced ground truth as targets; prepare it with --target gt (methods "
            "called PRESET+egt are trained towards enhanced targets)"
        )
    trained = [m for m in methods if m.preset]
    configs = {
        (method, seed): config_of(method, seed, chosen, steps, settings)
        for seed in range(seeds)
        for method in trained
    }
    tiles = {split: read_split(data, split) for split in SPLITS}
    _check_early(tiles, configs.values(), methods, kernel)
    _is_started(out)  # what is refused stays as it is
    with alone(out, "--out"):
        store = _Store(out, data, tiles, overwrite=overwrite)
        work = _Work(data, out, store, tiles, chosen, tell, progress)
        budget = {"seconds": seconds, "steps": steps, "device": chosen.type}
        for (method, _), config in configs.items():
            work.check(method, config, budget)
        folders: dict[int, dict[str, Path]] = {0: {}}
        _filter(work, methods, kernel, folders[0])  # what takes seconds fails before hours pass
        networks: dict[tuple[str, int], Path] = {}
        for (method, seed), config in configs.items():
            with work.failing(method.name, seed):
                networks[method.name, seed] = work.train(method, config, budget)
        networks |= {(m.name, 0): m.weights for m in methods if m.weights is not None}
        for (name, seed), path in networks.items():
            with work.failing(name, seed):
                folders.setdefault(seed, {})[name] = work.enhance_by(name, seed, path)
        if not folders[0]:
            raise CellqaError(f"no method could be used; the first: {work.failures[0][1]}")
        return _report(work, methods, folders, networks, jobs, command)


def _check_early(
    tiles: Mapping[str, Sequence[Tile]],
    configs: Iterable[Config],
    methods: Sequence[Method],
    kernel: Path | None,
) -> None:
    """See what can be seen before hours of training have passed.

    Raises
    ------
    CellqaError
        A network has wrong options, weights cannot be loaded, or the kernel cannot be used.
    """
    for config in configs:
        with torch.device("meta"):
            make_generator(config, 1)
    for method in methods:
        if method.weights is not None:
            load(method.weights)
    if kernel is not None:
        shape = tiles["test"][0].load()[0].shape[:2]
        if max(measured_kernel(kernel).shape) >= min(shape):
            raise CellqaError(f"--kernel: {kernel.name} is not smaller than the tiles")


def _is_started(out: Path) -> bool:
    """Whether there is a comparison in a folder.

    Raises
    ------
    CellqaError
        Something else is there.
    """
    if out.exists() and not out.is_dir():
        raise CellqaError(f"--out: {str(out)!r} is a file; give a folder")
    there = {p.name for p in out.iterdir()} - {LOCK} if out.exists() else set()
    if there and STORE not in there:
        raise CellqaError(f"--out: {str(out)!r} is not empty; give another folder")
    return bool(there)


class _Store:
    """What was done in a folder, and for which data: compare.json."""

    def __init__(
        self,
        out: Path,
        data: Path,
        tiles: Mapping[str, Sequence[Tile]],
        *,
        overwrite: bool,
    ) -> None:
        self.path = out / STORE
        known = _fingerprint(data, tiles)
        self.content: dict[str, Any] = {"data": known, "networks": {}, "enhanced": {}}
        if _is_started(out):
            try:
                found = json.loads(self.path.read_text("utf-8"))
                if not all(type(found[name]) is type(self.content[name]) for name in self.content):
                    raise ValueError
            except (ValueError, KeyError, TypeError):
                raise CellqaError(
                    f"{self.path}: damaged, or not of a comparison; give another folder"
                ) from None
            if overwrite:
                _remove_parts(out)
            else:
                self.content = found
        if self.content["data"] != known:
            raise CellqaError(
                f"--out: {str(out)!r} holds a comparison on other data; give another folder, or "
                "--overwrite"
            )
        self.save()

    def save(self) -> None:
        """Write it; an earlier one stays whole until then."""
        write_json(self.path, self.content)

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """What is known of a network, or of enhanced images."""
        found: dict[str, Any] | None = self.content[kind].get(name)
        return found

    def drop(self, kind: str, name: str) -> None:
        """Forget it."""
        if self.content[kind].pop(name, None) is not None:
            self.save()

    def put(self, kind: str, name: str, about: dict[str, Any]) -> None:
        """Note what is begun or done."""
        self.content[kind][name] = about
        self.save()


def _remove_parts(out: Path) -> None:
    """Remove what a comparison made, and nothing else; its notes last, as they tell what it is."""
    for place in (*(out / name for name in _PARTS), *out.glob("results-*")):
        shutil.rmtree(place, ignore_errors=True)
    for name in (COSTS, SEEDS, STORE):
        (out / name).unlink(missing_ok=True)


def _fingerprint(data: Path, tiles: Mapping[str, Sequence[Tile]]) -> str:
    """What tells data from other data: names, sizes, times, and the table of pairs."""
    found = hashlib.sha256()
    table = data / PAIRS
    found.update(table.read_bytes() if table.exists() else b"")
    for split, of in tiles.items():
        for tile in of:
            for path in (tile.input, tile.target):
                status = path.stat()
                found.update(f"{split} {tile.name} {status.st_size} {status.st_mtime_ns}".encode())
    return found.hexdigest()


@dataclass
class _Work:
    """A comparison on its way."""

    data: Path
    out: Path
    store: _Store
    tiles: Mapping[str, list[Tile]]
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
        half = place.with_name(f".{place.name}")
        shutil.rmtree(half, ignore_errors=True)
        wanted = [(split, tile) for split in ("train", "val") for tile in self.tiles[split]]
        for done, (split, tile) in enumerate(wanted, 1):
            source, target, size = tile.load()
            write_tile(half / split / "input", tile, source, size)
            write_tile(half / split / "target", tile, ENHANCERS["egt"](target), size)
            self.progress(done, len(wanted))
        table = self.data / PAIRS
        if table.exists():
            shutil.copy(table, half / PAIRS)
        half.rename(place)

    def _run(self, method: Method, config: Config) -> tuple[str, Path]:
        """Name and folder of a network."""
        name = f"{method.name}/seed{config.seed}"
        return name, self.out / "networks" / name

    def check(self, method: Method, config: Config, budget: Mapping[str, Any]) -> None:
        """Refuse to go on with a network that was begun with another budget or configuration."""
        name, folder = self._run(method, config)
        known = self.store.get("networks", name)
        begun = any((folder / file).exists() for file in (SUMMARY, LAST))
        if begun and known != {**budget, "config": config.to_toml()}:
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
        self.store.put("networks", name, {**budget, "config": config.to_toml()})
        self.tell(f"training {method.name}, seed {config.seed}")
        resume = (folder / LAST).exists()
        found = train(
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
        self.tell(f"{method.name}, seed {config.seed}: {found.describe()}")
        return folder

    def enhance_by(self, name: str, seed: int, path: Path) -> Path:
        """Write what a network makes of each test tile."""
        network = load(path)
        network.generator.to(self.device)
        learned = (summary_of(path) or {}).get("warnings", []) if path.is_dir() else []
        for warning in dict.fromkeys([*network.warnings, *learned]):
            self.warnings.append(f"{name}: {warning}")
        make = partial(_by_network, network)
        return self.enhance(f"{name}/seed{seed}", describe(network), make, content_hash(path))

    def enhance(
        self, name: str, what: str, make: Callable[[Array, Array, Tile], Array], key: str = ""
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
        shutil.rmtree(folder, ignore_errors=True)
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
            found = make(source, target, tile)
            taken += time.perf_counter() - start
            pixels += source.shape[0] * source.shape[1]
            count += 1
            write_tile(folder, tile, found, size)
            self.progress(count, len(self.tiles["test"]))
        about = {"what": what, "key": key, "tiles": count, "pixels": pixels, "seconds": taken}
        self.store.put("enhanced", name, about)
        return folder


def _filter(
    work: _Work, methods: Sequence[Method], kernel: Path | None, folders: dict[str, Path]
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
    work.enhance("egt", ENHANCERS["egt"].describe(), _of_target)


def _filtered(method: Enhancer, source: Array, target: Array, tile: Tile) -> Array:
    return method(source)


def _by_network(network: Checkpoint, source: Array, target: Array, tile: Tile) -> Array:
    return enhanced(network, source, tile.limits)


def _of_target(source: Array, target: Array, tile: Tile) -> Array:
    return ENHANCERS["egt"](target)


def _report(
    work: _Work,
    methods: Sequence[Method],
    folders: Mapping[int, Mapping[str, Path]],
    networks: Mapping[tuple[str, int], Path],
    jobs: int,
    command: Sequence[str],
) -> Compared:
    """Score against ground truth and enhanced ground truth, draw, and make the page."""
    order = [m.name for m in methods if m.name in folders[0]]
    egt = work.out / "enhanced" / "egt"
    first = {name: folders[0][name] for name in order}
    target, source = (work.data / "test" / role for role in ("target", "input"))
    runs: list[tuple[str, Mapping[str, Path], Path]] = [
        ("results", {**first, "egt": egt}, target),
        ("results-egt", first, egt),
        *((f"results-seed{k}", folders[k], target) for k in sorted(folders) if k),
    ]
    found: dict[str, Finished] = {}
    for name, pred, truth in runs:
        work.tell(f"scoring: {name}")
        results = work.out / name
        found[name] = score_tiles(
            pred,
            work.tiles["test"],
            truth,
            source,
            results,
            jobs=jobs,
            resume=True,
            command=command,
            progress=work.progress,
        )
    weights = {name: path for (name, seed), path in networks.items() if not seed}
    notes = work.store.content
    shown = {n: notes["enhanced"][f"{n}/seed0" if n in weights else n] for n in order}
    cost = costs(order, shown, weights)
    against = means(found["results-egt"], (*order, "input"), METRICS)
    seeds = by_seed(found, [m.name for m in methods if m.preset])
    tables = [
        Table("Cost", cost, cost_note(work.device, notes["networks"])),
        Table(
            "Against enhanced ground truth",
            against,
            "Mean and 95 % interval over fields; the target is the ground truth after TE, as "
            "CIEGANP was trained and judged. Details in results-egt/.",
        ),
        *(
            [Table("Other seeds", seeds, "Mean over the test split for each seed.")]
            if seeds
            else []
        ),
    ]
    write_csv(work.out / COSTS, cost[0], cost[1:])
    if seeds:
        write_csv(work.out / SEEDS, seeds[0], seeds[1:])
    else:
        (work.out / SEEDS).unlink(missing_ok=True)
    work.tell("drawing")
    pages = []
    for name, more in (("results", tables), ("results-egt", ())):
        loaded = load_run(work.out / name)
        save_charts(loaded, work.out / name / FIGURES)
        save_montage(loaded, work.out / name / FIGURES, jobs=jobs)
        pages.append(write_report(work.out / name, jobs=jobs, tables=more))
    warnings = [*work.warnings, *(w for f in found.values() for w in f.warnings)]
    return Compared(
        found["results"], pages[0], cost, seeds, work.failures, list(dict.fromkeys(warnings))
    )
