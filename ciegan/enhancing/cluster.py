"""Files that other machines enhance: each worker holds a network, the one who starts the ledger.

Workers see the files under the same absolute paths. What they make appears by renaming, so that a
file that a dead worker had begun is done again by another.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, overload

import torch

from cellqa.disk import StrPath
from cellqa.engines import Engine
from cellqa.enhance.files import Job, absolute, bytes_each
from cellqa.errors import CellqaError, printable, with_type
from cellqa.io.stores import state
from cellqa.shown import one_line
from ciegan.enhancing.enhanced import Enhanced
from ciegan.enhancing.enhancer import EnhanceOptions
from ciegan.enhancing.ledger import Ledger
from ciegan.enhancing.pool import Pool, beside
from ciegan.network.checkpoint import Checkpoint, content_hash, load
from ciegan.network.device import DeviceError, choose_device
from ciegan.network.runner import Runner

_MOST_FILES = 16  # of a task, where there are many small ones
_WORTH = 1000  # files for each that a task has
_BYTES = 8e6  # of the sources of a task with several
_ALONE = 1e12  # bytes that make an engine send each task by itself


@dataclass(frozen=True)
class Cluster:
    """Where a network runs beyond this process.

    Attributes
    ----------
    engine : Engine
        As `cellqa.open_engine` returns it.
    device, precision, compiled : str, str, bool or None
        Of the network of each worker, as of `make_runners`; `auto` is a device that the worker has.
    """

    engine: Engine
    device: str = "auto"
    precision: str = "auto"
    compiled: bool | None = None

    __repr__ = one_line


@dataclass(frozen=True)
class _Setup:
    """What a worker needs to know; `model` is the hash of the weights."""

    weights: Path
    model: str
    settings: str
    options: EnhanceOptions
    device: str
    precision: str
    compiled: bool | None
    source: Path
    target: Path
    spread: Path
    overwrite: bool

    @property
    def network(self) -> tuple[str, str, str, bool | None]:
        """What makes a network another one."""
        return self.model, self.device, self.precision, self.compiled


_Task = tuple[tuple[int, Job, Mapping[str, Any] | None], ...]  # place, files, what is noted
_Outcome = tuple[Enhanced, Mapping[str, Any] | None] | str  # or why a worker did not survive it


class Workers:
    """Workers of an engine, at work on a sequence of files.

    Parameters
    ----------
    cluster : Cluster
    pool : Pool
        Of the one who starts: its ledger knows what was done before.
    weights : path
    options : EnhanceOptions
    source, target : Path
        Folders.
    overwrite : bool
    """

    def __init__(
        self,
        cluster: Cluster,
        pool: Pool,
        weights: StrPath,
        options: EnhanceOptions,
        source: Path,
        target: Path,
        *,
        overwrite: bool,
    ) -> None:
        self.cluster, self.pool, self.source = cluster, pool, source
        self._setup = _Setup(
            Path(weights).absolute(),
            pool.model,
            pool.ledger.settings,
            options,
            cluster.device,
            cluster.precision,
            cluster.compiled,
            *absolute(Job(source, target)),
            beside(target, "spread").absolute(),
            overwrite,
        )

    def run(self, work: Sequence[Job]) -> Iterator[tuple[Job, Enhanced] | None]:
        """Yield what became of each file as it is done.

        Raises
        ------
        CellqaError
            Another process is at work in the target, or a worker has no such weights or device.
        EngineLostError
            What the engine runs on went away.
        """
        with self.pool.alone():
            known = self._known(work)
            if known:
                yield from self.pool.serve(known)
            without = set(known)
            left = [job for job in work if job not in without]
            try:
                crashed = yield from self._hand_out(left, _files_a_task(left))
                yield from self._hand_out(crashed, 1)
            finally:
                self.pool.ledger.close()
                self.pool.tidy({job.target.parent.absolute() for job in left})

    def _known(self, work: Sequence[Job]) -> list[Job]:
        """Files that need no network: done before, also under another name."""
        ledger = self.pool.ledger
        sizes = {tuple(entry["source"][1:2]) for entry in ledger.without_source()}

        def moved(job: Job) -> bool:
            if tuple(state(job.source)[:1]) not in sizes:
                return False
            try:
                return ledger.moved(ledger.key(job.source)) is not None
            except OSError:
                return False

        return [job for job in work if ledger.seen(job) or (sizes and moved(job))]

    def _hand_out(
        self, jobs: Sequence[Job], size: int
    ) -> Generator[tuple[Job, Enhanced], None, list[Job]]:
        """What became of files, `size` a task; returns those whose task ended its workers."""
        ledger = self.pool.ledger
        crashed: list[Job] = []
        if not jobs:
            return crashed
        tasks = self.cluster.engine.map(
            partial(_enhance, setup=self._setup),
            _Tasks(jobs, size, ledger),
            on_crash=_crashed,
            isolate=True,
            bytes_each=_ALONE,
        )
        for place, outcome in (each for task in tasks for each in task):
            job = jobs[place]
            if not isinstance(outcome, str):
                ledger.take(job, outcome[1])
                yield job, outcome[0]
            elif size > 1:
                crashed.append(job)
            else:
                ledger.take(job, None)
                name = printable(job.source.relative_to(self.source).as_posix())
                yield job, Enhanced(name, "failed", reason=f"enhancing this image {outcome}")
        return crashed


def _files_a_task(work: Sequence[Job]) -> int:
    """One, or a few where there are many small ones."""
    if len(work) < 2 * _WORTH:
        return 1
    return max(1, min(_MOST_FILES, len(work) // _WORTH, int(_BYTES / max(bytes_each(work), 1))))


class _Tasks(Sequence[_Task]):
    """Files, some to a task; they are noted as given away when the task is taken."""

    def __init__(self, jobs: Sequence[Job], size: int, ledger: Ledger) -> None:
        self._jobs, self._size, self._ledger = jobs, size, ledger

    def __len__(self) -> int:
        return -(-len(self._jobs) // self._size)

    @overload
    def __getitem__(self, place: int) -> _Task: ...
    @overload
    def __getitem__(self, place: slice) -> list[_Task]: ...
    def __getitem__(self, place: int | slice) -> _Task | list[_Task]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        first = place * self._size
        jobs = self._jobs[first : first + self._size]
        return tuple(
            (k, absolute(job), self._ledger.give(job)) for k, job in enumerate(jobs, first)
        )


def _crashed(task: _Task, reason: str) -> list[tuple[int, _Outcome]]:
    return [(place, reason) for place, _, _ in task]


# what each worker does

_turn = threading.Lock()  # one task at a time, however many threads the worker has
_held: dict[tuple[str, str, str, bool | None], tuple[Checkpoint, Runner]] = {}  # one network


def _enhance(task: _Task, *, setup: _Setup) -> list[tuple[int, _Outcome]]:
    """Enhance the files of a task.

    Raises
    ------
    CellqaError
        This worker cannot; it says where it runs.
    """
    with _turn:
        try:
            return _enhanced_by(_pool(setup), task)
        except Exception as error:
            kind = DeviceError if isinstance(error, DeviceError) else CellqaError
            why = str(error) if isinstance(error, CellqaError) else with_type(error)
            raise kind(f"worker at {socket.gethostname()}: {why}") from None


def _enhanced_by(pool: Pool, task: _Task) -> list[tuple[int, _Outcome]]:
    places = {job: place for place, job, _ in task}
    for _, _, entry in task:
        if entry:
            pool.ledger.learn(entry)
    done: list[tuple[int, _Outcome]] = []
    for item in pool.serve(places):
        if item:
            job, record = item
            entry = pool.ledger.entry(job.target) if record.status == "ok" else None
            done.append((places[job], (record, entry)))
    return done


def _pool(setup: _Setup) -> Pool:
    """A pool with the network that this worker holds.

    Raises
    ------
    CellqaError
        The weights or versions are not those of the one who started.
    """
    checkpoint, runner = _network(setup)
    pool = Pool(
        checkpoint,
        setup.options,
        [runner],
        setup.source,
        setup.target,
        overwrite=setup.overwrite,
        model=setup.model,
        spread=setup.spread,
        noted=True,
    )
    if pool.ledger.settings != setup.settings:
        raise CellqaError("its version of cellqa is not the one that hands the files out")
    return pool


def _network(setup: _Setup) -> tuple[Checkpoint, Runner]:
    """The network that this worker holds, loaded where it is not the one that is asked for."""
    if setup.network not in _held:
        _held.clear()
        if content_hash(setup.weights) != setup.model:
            raise CellqaError(f"{setup.weights}: other weights than where the run was started")
        device = choose_device(setup.device)
        if threads := _threads():
            torch.set_num_threads(threads)
        checkpoint = load(setup.weights)
        _held[setup.network] = (
            checkpoint,
            Runner(
                checkpoint.generator, device, precision=setup.precision, compiled=setup.compiled
            ),
        )
    return _held[setup.network]


def _threads() -> int | None:
    """Cores that a Dask worker was given; None where this is none."""
    try:
        return int(sys.modules["distributed"].get_worker().state.nthreads)
    except (KeyError, ValueError):
        return None
