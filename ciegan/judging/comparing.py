"""Methods side by side: the same data, the same budget, the same judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from cellqa.disk import StrPath, alone
from cellqa.enhance.deconvolution import measured_kernel
from cellqa.errors import CellqaError
from cellqa.pairs.roles import Role
from cellqa.terminal import Progress, Tell
from ciegan.config import Config
from ciegan.data.splits import SPLITS
from ciegan.data.tile_pairs import TilePair, read_split
from ciegan.judging.methods import Method, config_of
from ciegan.judging.results import Compared, write_results
from ciegan.judging.store import Store, is_started
from ciegan.judging.validation import targets_of
from ciegan.judging.work import Work, filter_tiles
from ciegan.network.checkpoint import load, make_generator
from ciegan.network.device import choose_device


def compare(
    data: StrPath,
    out: StrPath,
    methods: Sequence[Method],
    *,
    seconds: float | None = None,
    steps: int | None = None,
    seeds: int = 1,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    kernel: StrPath | None = None,
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
    data : path
        As `ciegan prepare` makes it, with all three splits.
    out : path
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
    kernel : path, optional
        A measured kernel for Wiener and Richardson-Lucy; by default a Gaussian is fitted.
    device : str
        See `ciegan.network.device.choose_device`.
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
    data, out = Path(data), Path(out)
    kernel = None if kernel is None else Path(kernel)
    chosen = choose_device(device)
    if (seconds is None) == (steps is None):
        raise CellqaError("give a budget: either a time or a number of steps")
    place, source = out.resolve(), data.resolve()
    if place == source or source in place.parents or place in source.parents:
        raise CellqaError("--out: it and DATA must not lie inside each other")
    if targets_of(data) == Role.EGT:
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
    is_started(out)  # what is refused stays as it is
    with alone(out, "--out"):
        store = Store(out, data, tiles, overwrite=overwrite)
        work = Work(data, out, store, tiles, chosen, tell, progress)
        budget = {"seconds": seconds, "steps": steps, "device": chosen.type}
        for (method, _), config in configs.items():
            work.check(method, config, budget)
        folders: dict[int, dict[str, Path]] = {0: {}}
        filter_tiles(
            work, methods, kernel, folders[0]
        )  # what takes seconds fails before hours pass
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
        return write_results(work, methods, folders, networks, jobs, command)


def _check_early(
    tiles: Mapping[str, Sequence[TilePair]],
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
