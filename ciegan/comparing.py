"""Methods side by side: the same data, the same budget, the same judge."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

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
from ciegan.checkpoint import BEST, LAST, Checkpoint, choose_device, load
from ciegan.classical import FITTED, NAMES, fitted, pairs_to_fit
from ciegan.config import PRESETS, Config, from_dict, with_settings
from ciegan.cost import multiplications, parameters
from ciegan.data import Tile, read_split
from ciegan.prepare.tiles import PAIRS, SPLITS
from ciegan.run import SUMMARY, train
from ciegan.validation import describe, enhanced, score_tiles, targets_of, write_tile

Array = npt.NDArray[Any]
Tell = Callable[[str], None]
Progress = Callable[[int, int], None]

STORE = "compare.json"
COSTS, SEEDS, METRICS = "cost.csv", "seeds.csv", ("psnr", "ssim", "ms_ssim", "frc_resolution")
_SEED_METRICS = (*METRICS, "overclaim", "resolution")
_EGT = "+egt"
_RESERVED = ("input", "gt", "egt", "mask")
_NAME = re.compile(r"[\w][\w.+-]*")
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
            if not _NAME.fullmatch(name) or name in (*_RESERVED, *NAMES, *PRESETS):
                raise CellqaError(
                    f"--methods: {printable(part)!r} needs a name of its own, of letters and digits"
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
        if name in found:
            raise CellqaError(f"--methods: {printable(name)!r} is there twice")
        found[name] = method
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
        every = max(1, min(start.monitor.every, steps // 10))
        start = replace(
            start,
            schedule=replace(start.schedule, steps=steps),
            monitor=replace(start.monitor, every=every),
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
        config = with_settings(config, settings.get(name, {}))
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
    if targets_of(data) == "egt":
        raise CellqaError(
            "DATA has enhanced ground truth as targets; prepare it with --target gt (methods "
            "called PRESET+egt are trained towards enhanced targets)"
        )
    if kernel is not None:
        measured_kernel(kernel)  # what is wrong with it is told before hours pass
    for preset in {m.preset for m in methods if m.preset}:
        _configured(Method(preset, preset), 0, chosen, steps, settings or {})
    tiles = {split: read_split(data, split) for split in SPLITS}
    store = _Store(out, data, tiles, overwrite=overwrite)
    work = _Work(data, out, store, tiles, chosen, tell, progress)
    budget = {"seconds": seconds, "steps": steps, "device": chosen.type}
    trained = [m for m in methods if m.preset]
    if any(m.egt for m in trained):
        work.enhance_targets()
    networks: dict[tuple[str, int], Path] = {}
    for seed in range(seeds):
        for method in trained:
            config = _configured(method, seed, chosen, steps, settings or {})
            with work.failing(method.name):
                networks[method.name, seed] = work.train(method, config, budget, seconds)
    networks |= {(m.name, 0): m.weights for m in methods if m.weights is not None}
    folders = _enhance_all(work, methods, networks, kernel)
    if not folders.get(0):
        raise CellqaError(f"no method could be used; the first: {work.failures[0][1]}")
    return _report(work, methods, folders, networks, jobs, command)


class _Store:
    """What was done in a folder, and for which data: compare.json."""

    def __init__(
        self, out: Path, data: Path, tiles: Mapping[str, Sequence[Tile]], *, overwrite: bool
    ) -> None:
        if out.exists() and not out.is_dir():
            raise CellqaError(f"--out: {str(out)!r} is a file; give a folder")
        place, source = out.resolve(), data.resolve()
        if place == source or source in place.parents or place in source.parents:
            raise CellqaError("--out: it and DATA must not lie inside each other")
        self.path = out / STORE
        known = _fingerprint(data, tiles)
        there = out.exists() and any(out.iterdir())
        if there and not self.path.exists():
            raise CellqaError(f"--out: {str(out)!r} is not empty; give another folder")
        if there and overwrite:
            shutil.rmtree(out)
        out.mkdir(parents=True, exist_ok=True)
        self.content: dict[str, Any] = {"data": known, "networks": {}, "enhanced": {}}
        if self.path.exists():
            try:
                self.content = {**self.content, **json.loads(self.path.read_text("utf-8"))}
            except ValueError:
                raise CellqaError(f"{self.path}: damaged; use --overwrite") from None
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

    def put(self, kind: str, name: str, about: dict[str, Any]) -> None:
        """Note what is begun or done."""
        self.content[kind][name] = about
        self.save()


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

    def failing(self, name: str) -> _Failing:
        """A method that fails is told of, and the others go on."""
        return _Failing(self, name)

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

    def train(
        self, method: Method, config: Config, budget: Mapping[str, Any], seconds: float | None
    ) -> Path:
        """Train a network, go on with it, or take it as it is."""
        name = f"{method.name}/seed{config.seed}"
        folder = self.out / "networks" / name
        wanted = {**budget, "config": config.to_toml()}
        known = self.store.get("networks", name)
        if known is not None and known != wanted:
            raise CellqaError(
                f"--out: {name} was trained with another budget or other settings; give another "
                "folder, or --overwrite"
            )
        if (folder / SUMMARY).exists():
            return folder
        self.store.put("networks", name, wanted)
        self.tell(f"training {method.name}, seed {config.seed}")
        resume = (folder / LAST).exists()
        found = train(
            self.enhanced_data if method.egt else self.data,
            folder,
            config,
            device=self.device.type,
            max_time=seconds,
            fit_time=seconds is not None,
            resume=resume,
            overwrite=not resume,
            tell=self.tell,
            progress=self.progress,
        )
        self.tell(f"{method.name}, seed {config.seed}: {found.describe()}")
        return folder

    def enhance(self, name: str, key: str, make: Callable[[Array, Tile], Array]) -> Path:
        """Write what a method makes of each test tile, and how long that takes it."""
        folder = self.out / "enhanced" / name
        known = self.store.get("enhanced", name)
        if known and known["key"] == key and len(list(folder.rglob("*.tif"))) == known["tiles"]:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        self.tell(f"enhancing with {name}")
        taken, pixels, count = 0.0, 0, 0
        for tile in self.tiles["test"]:
            try:
                source, _, size = tile.load()
            except CellqaError as error:
                self.warnings.append(f"{printable(tile.name)} is left out: {error}")
                continue
            if not count:
                make(source, tile)  # the first is slower: it warms up
            start = time.perf_counter()
            found = make(source, tile)
            taken += time.perf_counter() - start
            pixels += source.shape[0] * source.shape[1]
            count += 1
            write_tile(folder, tile, found, size)
            self.progress(count, len(self.tiles["test"]))
        about = {"key": key, "tiles": count, "pixels": pixels, "seconds": taken}
        self.store.put("enhanced", name, about)
        return folder


@dataclass
class _Failing:
    """Keeps the failure of one method from the others."""

    work: _Work
    name: str

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if not isinstance(error, (CellqaError, MemoryError)):
            return False
        self.work.failures.append((self.name, str(error) or "not enough memory"))
        self.work.tell(f"{self.name} failed: {self.work.failures[-1][1]}")
        return True


def _enhance_all(
    work: _Work,
    methods: Sequence[Method],
    networks: Mapping[tuple[str, int], Path],
    kernel: Path | None,
) -> dict[int, dict[str, Path]]:
    """Seed to method to the folder of what it made; classical methods are with seed 0."""
    folders: dict[int, dict[str, Path]] = {}
    pairs = pairs_to_fit(work.data) if {m.name for m in methods} & set(FITTED) else []
    for method in methods:
        if method.preset or method.weights:
            continue
        with work.failing(method.name):
            work.tell(f"fitting {method.name}" if method.name in FITTED else method.name)
            filter_ = fitted(method.name, pairs, kernel)
            make = partial(_filtered, filter_)
            key = f"{filter_.describe()} {hash_of(kernel) if kernel else ''}"
            folders.setdefault(0, {})[method.name] = work.enhance(method.name, key, make)
    for (name, seed), path in networks.items():
        with work.failing(name):
            network = load(path)
            network.generator.to(work.device)
            place = f"{name}/seed{seed}"
            key = hash_of(path / BEST if path.is_dir() else path)
            make = partial(_by_network, network)
            folders.setdefault(seed, {})[name] = work.enhance(place, key, make)
    if work.tiles["test"]:
        work.enhance("egt", "", partial(_of_target, METHODS["egt"]))
    return folders


def _filtered(method: Enhancer, source: Array, tile: Tile) -> Array:
    return method(source)


def _by_network(network: Checkpoint, source: Array, tile: Tile) -> Array:
    return enhanced(network, source, tile.limits)


def _of_target(method: Enhancer, source: Array, tile: Tile) -> Array:
    return method(tile.load()[1])


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
            resume=(results / "journal.jsonl").exists(),
            command=command,
            progress=work.progress,
        )
    costs = _costs(work, methods, order, networks)
    against = _means(found["results-egt"], (*order, "input"), METRICS)
    seeds = _seeds(found, [m.name for m in methods if (m.name, 1) in networks])
    tables = [
        Table("Cost", costs, _cost_note(work, methods)),
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
    for name, rows in ((COSTS, costs), (SEEDS, seeds)):
        if rows:
            write_csv(work.out / name, rows[0], rows[1:])
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
    work: _Work,
    methods: Sequence[Method],
    order: Sequence[str],
    networks: Mapping[tuple[str, int], Path],
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
            if (path / SUMMARY).exists():
                summary = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
                training, steps = f"{summary['seconds']:.0f}", str(summary["steps"])
                kept = str(summary["best"]["step"])
        assert about is not None
        speed = [f"{about[k] / about['seconds'] / unit:.3g}" for k, unit in _SPEEDS.items()]
        rows.append([name, size, arithmetic, training, steps, kept, *speed, what])
    return rows


_SPEEDS = {"tiles": 1.0, "pixels": 1e6}


def _cost_note(work: _Work, methods: Sequence[Method]) -> str:
    """Where and how, and what was changed of the presets."""
    threads = f"{torch.get_num_threads()} threads"
    place = threads if work.device.type == "cpu" else torch.cuda.get_device_name()
    changes = []
    for preset in dict.fromkeys(m.preset for m in methods if m.preset):
        used = {**_ADAPTED.get(preset, {})}
        if work.device.type == "cpu":
            used |= _ON_CPU.get(preset, {})
        for part, values in used.items():
            own = getattr(PRESETS[preset], part)
            for name, value in values.items():
                was = getattr(own, name)
                changes.append(f"{preset}: {part}.{name} {value:g} in place of {was:g}")
    note = (
        f"On {work.device.type} ({place}). Images/s of one test tile after the other, in memory. "
        "Every network had the same budget, data and rule for its best weights (SSIM on the "
        "validation split)."
    )
    return f"{note} Presets were changed: {'; '.join(changes)}." if changes else note


def _means(finished: Finished, methods: Sequence[str], metrics: Sequence[str]) -> list[list[str]]:
    """Mean and interval of some metrics for each method."""
    of = {(s.method, s.metric): s for s in finished.summaries}
    rows = [["method", *metrics]]
    for method in methods:
        row = [method]
        for metric in metrics:
            s = of.get((method, metric))
            defined = s is not None and s.n and not math.isnan(s.mean)
            row.append(f"{s.mean:.4g} ({s.ci_low:.4g} to {s.ci_high:.4g})" if defined and s else "")
        rows.append(row)
    return rows


def _seeds(found: Mapping[str, Finished], names: Sequence[str]) -> list[list[str]]:
    """The mean of each seed, and how much they differ."""
    others = sorted((n for n in found if n.startswith("results-seed")), key=lambda n: int(n[12:]))
    if not others or not names:
        return []
    runs = [found["results"], *(found[name] for name in others)]
    rows = [["method", "metric", *(f"seed {k}" for k in range(len(runs))), "mean", "std"]]
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
