"""Methods side by side: the same data, the same budget, the same judge."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import filelock
import numpy.typing as npt
import torch

from cellqa.enhance import METHODS, Enhancer
from cellqa.enhance.deconvolution import measured_kernel
from cellqa.errors import CellqaError, printable
from cellqa.io import appearing
from cellqa.report.charts import save_charts
from cellqa.report.load import load_run
from cellqa.report.montage import save_montage
from cellqa.report.page import Table, write_report
from cellqa.results import FIGURES
from cellqa.run import Finished
from cellqa.tables import write_csv
from ciegan.checkpoint import BEST, LAST, Checkpoint, choose_device, load, make_generator
from ciegan.classical import FITTED, NAMES, fitted, pairs_to_fit
from ciegan.config import PRESETS, Config, from_dict, with_settings
from ciegan.cost import multiplications, parameters
from ciegan.data import Tile, read_split
from ciegan.prepare.tiles import PAIRS, SPLITS
from ciegan.run import SUMMARY, every_of, train
from ciegan.validation import describe, enhanced, score_tiles, targets_of, write_tile

Array = npt.NDArray[Any]
Tell = Callable[[str], None]
Progress = Callable[[int, int], None]

STORE = "compare.json"
_PARTS = ("networks", "enhanced", "data-egt", ".data-egt", "results")
_LOCK = ".ciegan-compare.lock"
COSTS, SEEDS, METRICS = "cost.csv", "seeds.csv", ("psnr", "ssim", "ms_ssim", "frc_resolution")
_SEED_METRICS = (*METRICS, "overclaim", "resolution")
_EGT = "+egt"
_RESERVED = ("input", "gt", "egt", "mask")
_FIXED = {"seed", "schedule.steps"}  # or networks would not be alike
_NAME = re.compile(r"\w([\w.+-]*\w)?")
_SIDE = 256  # of the image whose multiplications are counted
# Every network sees as many validations, and stops at the end of the budget alone. The phases of
# the paper become shares: its 7,500 first steps would be all that most budgets have room for.
_FAIR: Mapping[str, Any] = {"monitor": {"patience": 0, "images": 24, "samples": 4}}
_ADAPTED: Mapping[str, Mapping[str, Any]] = {
    "paper": {"schedule": {"generator": 0.5, "discriminator": 0.1}},
}
# Batches that a CPU can take steps of.
_ON_CPU: Mapping[str, Mapping[str, Any]] = {
    "paper": {"data": {"crop": 128, "batch_size": 2}},
    "pix2pix": {"data": {"batch_size": 1}},
}


@dataclass(frozen=True)
class Method:
    """A method to compare.

    Attributes
    ----------
    name : str
        In tables, and of its folder.
    preset : str
        Of a network that is trained here.
    egt : bool
        Whether it is trained towards enhanced ground truth.
    weights : Path or None
        Of a network that is not trained here: a run, or a file that `ciegan enhance` takes.
    """

    name: str
    preset: str = ""
    egt: bool = False
    weights: Path | None = None


def parse_methods(text: str) -> list[Method]:
    """Methods from their names: classical ones, presets, PRESET+egt, and NAME=WEIGHTS.

    Raises
    ------
    CellqaError
        A name is unknown, given twice, or no name of a folder.

    Examples
    --------
    >>> [m.name for m in parse_methods("te,rl,paper+egt,default")]
    ['te', 'rl', 'paper+egt', 'default']
    """
    found: dict[str, Method] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, path = part.partition("=")
        preset = name.removesuffix(_EGT)
        if equals:
            method = Method(name, weights=Path(path))
            taken = name.casefold() in (*_RESERVED, *NAMES, *PRESETS) or preset != name
            if taken or not path or not _NAME.fullmatch(name):
                raise CellqaError(
                    f"--methods: {printable(part)!r} is not NAME=WEIGHTS with a name of its "
                    "own, of letters and digits"
                )
        elif preset in PRESETS:
            method = Method(name, preset, name.endswith(_EGT))
        elif name in NAMES:
            method = Method(name)
        else:
            known = ", ".join((*NAMES, *PRESETS))
            raise CellqaError(
                f"--methods: {printable(name)!r} is none of {known}, PRESET+egt, NAME=WEIGHTS"
            )
        # names become folders, and some systems do not tell A from a
        if name.casefold() in found:
            raise CellqaError(f"--methods: {printable(name)!r} is there twice")
        found[name.casefold()] = method
    if not found:
        raise CellqaError("--methods: name one at least")
    return list(found.values())


def config_of(method: Method, seed: int, device: torch.device, steps: int | None) -> Config:
    """How a preset is trained here: as published, where that fits into a budget at all."""
    start = PRESETS[method.preset]
    for changes in (
        _FAIR,
        _ADAPTED.get(method.preset, {}),
        _ON_CPU.get(method.preset, {}) if device.type == "cpu" else {},
    ):
        start = from_dict(changes, start)
    if steps is not None:
        start = replace(
            start,
            schedule=replace(start.schedule, steps=steps),
            monitor=replace(start.monitor, every=every_of(start, steps)),
        )
    return replace(start, seed=seed)


def _configured(
    method: Method,
    seed: int,
    device: torch.device,
    steps: int | None,
    settings: Mapping[str, Mapping[str, str]],
) -> Config:
    config = config_of(method, seed, device, steps)
    for name in ("", method.preset):
        own = settings.get(name, {})
        for key in _FIXED & set(own):
            raise CellqaError(f"--set {key}: it is the comparison's own; see --seeds and --steps")
        config = with_settings(config, own)
    return config


@dataclass
class Compared:
    """What a comparison left.

    Attributes
    ----------
    finished : cellqa.run.Finished
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
        (method, seed): _configured(method, seed, chosen, steps, settings or {})
        for seed in range(seeds)
        for method in trained
    }
    tiles = {split: read_split(data, split) for split in SPLITS}
    _check_early(tiles, configs.values(), methods, kernel)
    with _alone(out, overwrite=overwrite) as started:
        store = _Store(out, data, tiles, overwrite=overwrite, started=started)
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


@contextmanager
def _alone(out: Path, *, overwrite: bool) -> Iterator[bool]:
    """Keep other processes out of the folder; whether there was a comparison in it."""
    if out.exists() and not out.is_dir():
        raise CellqaError(f"--out: {str(out)!r} is a file; give a folder")
    there = [p.name for p in out.iterdir() if p.name != _LOCK] if out.exists() else []
    if there and STORE not in there:
        raise CellqaError(f"--out: {str(out)!r} is not empty; give another folder")
    out.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(out / _LOCK)
    try:
        lock.acquire(timeout=0)  # ends with the process, however it ends
    except filelock.Timeout:
        raise CellqaError(
            f"--out: another ciegan compare is at work in {str(out)!r}; wait for it, or stop it"
        ) from None
    try:
        yield bool(there)
    finally:
        lock.release()


class _Store:
    """What was done in a folder, and for which data: compare.json."""

    def __init__(
        self,
        out: Path,
        data: Path,
        tiles: Mapping[str, Sequence[Tile]],
        *,
        overwrite: bool,
        started: bool,
    ) -> None:
        self.path = out / STORE
        known = _fingerprint(data, tiles)
        self.content: dict[str, Any] = {"data": known, "networks": {}, "enhanced": {}}
        if started:
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
        with appearing(self.path, ".json") as temporary:
            temporary.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")

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
            write_tile(half / split / "target", tile, METHODS["egt"](target), size)
            self.progress(done, len(wanted))
        table = self.data / PAIRS
        if table.exists():
            shutil.copy(table, half / PAIRS)
        half.rename(place)

    def check(self, method: Method, config: Config, budget: Mapping[str, Any]) -> None:
        """Refuse to go on with a network that was begun with another budget or configuration."""
        name = f"{method.name}/seed{config.seed}"
        known = self.store.get("networks", name)
        folder = self.out / "networks" / name
        begun = any((folder / file).exists() for file in (SUMMARY, LAST))
        if begun and known != {**budget, "config": config.to_toml()}:
            raise CellqaError(
                f"--out: {name} was trained with another budget or other settings; give another "
                "folder, or --overwrite"
            )

    def train(self, method: Method, config: Config, budget: Mapping[str, Any]) -> Path:
        """Train a network, go on with it, or take it as it is."""
        name = f"{method.name}/seed{config.seed}"
        folder = self.out / "networks" / name
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
        key = hash_of(path / BEST if path.is_dir() else path)
        return self.enhance(f"{name}/seed{seed}", key, partial(_by_network, network))

    def enhance(self, name: str, key: str, make: Callable[[Array, Array, Tile], Array]) -> Path:
        """Write what a method makes of input and target of each test tile, and how long it takes.

        Tiles that were written before are taken as they are, where all are there.
        """
        folder = self.out / "enhanced" / name
        known = self.store.get("enhanced", name)
        there = [(folder / f"{tile.name}.tif").exists() for tile in self.tiles["test"]]
        if known and known["key"] == key and sum(there) == known["tiles"]:
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
        about = {"key": key, "tiles": count, "pixels": pixels, "seconds": taken}
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
            key = f"{chosen.describe()} {hash_of(kernel) if kernel else ''}"
            folders[method.name] = work.enhance(method.name, key, partial(_filtered, chosen))
    work.enhance("egt", "", _of_target)


def _filtered(method: Enhancer, source: Array, target: Array, tile: Tile) -> Array:
    return method(source)


def _by_network(network: Checkpoint, source: Array, target: Array, tile: Tile) -> Array:
    return enhanced(network, source, tile.limits)


def _of_target(source: Array, target: Array, tile: Tile) -> Array:
    return METHODS["egt"](target)


def summary_of(folder: Path) -> dict[str, Any] | None:
    """What a finished run says of itself; None where it is not finished."""
    try:
        found = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        return found if {"seconds", "steps", "best"} <= set(found) else None
    except (OSError, ValueError, TypeError):
        return None


def hash_of(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises
    ------
    CellqaError
        There is no such file.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CellqaError(f"{path}: {error.strerror}") from None


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
    costs = _costs(work, order, networks)
    against = _means(found["results-egt"], (*order, "input"), METRICS)
    seeds = _seeds(found, [m.name for m in methods if m.preset])
    tables = [
        Table("Cost", costs, _cost_note(work)),
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
    write_csv(work.out / COSTS, costs[0], costs[1:])
    if seeds:
        write_csv(work.out / SEEDS, seeds[0], seeds[1:])
    else:
        (work.out / SEEDS).unlink(missing_ok=True)
    work.tell("drawing")
    for name in ("results", "results-egt"):
        loaded = load_run(work.out / name)
        save_charts(loaded, work.out / name / FIGURES)
        save_montage(loaded, work.out / name / FIGURES, jobs=jobs)
        page = write_report(work.out / name, jobs=jobs, tables=tables if name == "results" else ())
        if name == "results":
            first_page = page
    warnings = [*work.warnings, *(w for f in found.values() for w in f.warnings)]
    return Compared(
        found["results"], first_page, costs, seeds, work.failures, list(dict.fromkeys(warnings))
    )


def _costs(
    work: _Work, order: Sequence[str], networks: Mapping[tuple[str, int], Path]
) -> list[list[str]]:
    """What each method takes: size, arithmetic, training, time for an image."""
    header = ["method", "parameters", f"GMAC of {_SIDE} x {_SIDE}", "training, s", "steps"]
    rows = [[*header, "kept step", "images/s", "MP/s", "what"]]
    for name in order:
        size = arithmetic = training = steps = kept = ""
        about = work.store.get("enhanced", name)
        what = about["key"].rsplit(" ", 1)[0] if about else ""
        path = networks.get((name, 0))
        if path is not None:
            network = load(path)
            about = work.store.get("enhanced", f"{name}/seed0")
            what = describe(network)
            if count := parameters(network.generator):
                size = f"{count:,}"
                arithmetic = f"{multiplications(network.generator, _SIDE) / 1e9:.3g}"
            if summary := summary_of(path):
                training, steps = f"{summary['seconds']:.0f}", str(summary["steps"])
                kept = str(summary["best"]["step"])
        assert about is not None
        speed = [f"{about[k] / about['seconds'] / unit:.3g}" for k, unit in _SPEEDS.items()]
        rows.append([name, size, arithmetic, training, steps, kept, *speed, what])
    return rows


_SPEEDS = {"tiles": 1.0, "pixels": 1e6}


def _cost_note(work: _Work) -> str:
    """Where and how, and what is other than in the presets."""
    threads = f"{torch.get_num_threads()} threads"
    place = threads if work.device.type == "cpu" else torch.cuda.get_device_name()
    changes = []
    for name, about in work.store.content["networks"].items():
        if not name.endswith("/seed0"):
            continue
        config = from_dict(tomllib.loads(about["config"]))
        for key, was, value in _differences(asdict(PRESETS[config.preset]), asdict(config)):
            changes.append(f"{name.removesuffix('/seed0')}: {key} {value} (of {was})")
    return (
        f"On {work.device.type} ({place}). Images/s of one test tile after the other, in memory. "
        "Every network had the same budget, data, and images to choose its best weights by. Other "
        f"than in the presets: {'; '.join(changes) or 'nothing'}."
    )


def _differences(
    first: Mapping[str, Any], second: Mapping[str, Any], at: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Dotted names of what differs, with both values; how long and which seed is told elsewhere."""
    for name, value in second.items():
        was = first.get(name)
        if isinstance(value, dict) and isinstance(was, dict):
            yield from _differences(was, value, f"{at}{name}.")
        elif value != was and f"{at}{name}" not in _FIXED:
            yield f"{at}{name}", was, value


def _means(finished: Finished, methods: Sequence[str], metrics: Sequence[str]) -> list[list[str]]:
    """Mean and interval of some metrics for each method."""
    of = {(s.method, s.metric): s for s in finished.summaries}
    rows = [["method", *metrics]]
    for method in methods:
        row = [method]
        for metric in metrics:
            s = of.get((method, metric))
            row.append(interval(s.mean, s.ci_low, s.ci_high) if s is not None and s.n else "")
        rows.append(row)
    return rows


def interval(mean: float, low: float, high: float) -> str:
    """A mean, and its interval where it has one.

    Examples
    --------
    >>> interval(1.23456, 1.0, 2.0), interval(3.0, float("nan"), float("nan"))
    ('1.235 (1 to 2)', '3')
    """
    if math.isnan(mean):
        return ""
    return f"{mean:.4g}" + ("" if math.isnan(low) else f" ({low:.4g} to {high:.4g})")


def _seeds(found: Mapping[str, Finished], names: Sequence[str]) -> list[list[str]]:
    """The mean of each seed, and how much they differ."""
    others = sorted((n for n in found if n.startswith("results-seed")), key=lambda n: int(n[12:]))
    if not others or not names:
        return []
    runs = [found["results"], *(found[name] for name in others)]
    numbers = ["0", *(name.removeprefix("results-seed") for name in others)]
    rows = [["method", "metric", *(f"seed {k}" for k in numbers), "mean", "std"]]
    for name in names:
        for metric in _SEED_METRICS:
            values = [
                next((s.mean for s in r.summaries if (s.method, s.metric) == (name, metric)), None)
                for r in runs
            ]
            there = [v for v in values if v is not None and math.isfinite(v)]
            if not there:
                continue
            spread = f"{stdev(there):.3g}" if len(there) > 1 else ""
            cells = ["" if v is None or not math.isfinite(v) else f"{v:.4g}" for v in values]
            rows.append([name, metric, *cells, f"{fmean(there):.4g}", spread])
    return rows
