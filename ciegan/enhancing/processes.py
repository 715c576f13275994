"""Several processes that enhance files, each with the network on the device.

A file takes some milliseconds of Python, which one process runs on one core at a time: it feeds a
device 200 files a second, of which the device could take thousands. What several processes share is
the folder, of which the one that started them keeps others out.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from cellqa import interrupts
from cellqa.enhance.files import Job
from cellqa.errors import CellqaError
from ciegan.enhancing.enhanced import Enhanced
from ciegan.enhancing.enhancer import EnhanceOptions
from ciegan.enhancing.pool import Pool
from ciegan.network.checkpoint import load
from ciegan.network.device import DeviceError
from ciegan.network.runner import Runner

_AHEAD = 12  # files that a process has before it
_PAYS, _PAYS_MB = 200, 400  # files, or megabytes of them, for which a process is worth starting
_MEMORY = 2e9  # bytes of a device for each process

_Message = tuple[Job, Enhanced] | BaseException | None


@dataclass(frozen=True)
class Setup:
    """What a process needs to begin.

    Attributes
    ----------
    weights : Path
    options : EnhanceOptions
    devices : tuple of torch.device
        Which the processes share out.
    precision : str
    compiled : bool or None
    source, target : Path
        Folders.
    overwrite : bool
    number : int
        Of the processes.
    """

    weights: Path
    options: EnhanceOptions
    devices: tuple[torch.device, ...]
    precision: str
    compiled: bool | None
    source: Path
    target: Path
    overwrite: bool
    number: int


def processes_for(files: int, size: float, device: torch.device) -> int:
    """Processes that pay for so many files: several on CUDA only, where Python is what is slow.

    Parameters
    ----------
    files : int
    size : float
        Of all of them, in bytes.
    device : torch.device
    """
    if device.type != "cuda":
        return 1
    room = int(torch.cuda.mem_get_info(device)[0] / _MEMORY)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    paid = max(files // _PAYS, min(files, int(size / 1e6 / _PAYS_MB)))
    return max(1, min(room, (cores or 1) - 1, paid))


class Crew:
    """Processes at work on a sequence of files.

    Parameters
    ----------
    setup : Setup
    pool : Pool
        Of the one who starts them: its journal knows what was done before.
    """

    def __init__(self, setup: Setup, pool: Pool) -> None:
        self.setup, self.pool = setup, pool
        # where there is one, a server imports PyTorch once, and each process is a copy of it
        served = "forkserver" in multiprocessing.get_all_start_methods()
        self._context: Any = multiprocessing.get_context("forkserver" if served else "spawn")
        if served:
            self._context.set_forkserver_preload([__name__])
        self._begun: dict[Connection, list[Job]] = {}
        self._processes: dict[Connection, tuple[int, Any]] = {}  # with its number
        self._tried_again: set[Job] = set()
        self._left_by_the_dead: set[Path] = set()  # folders

    def run(self, work: Sequence[Job]) -> Iterator[tuple[Job, Enhanced] | None]:
        """Yield what became of each file as it is done, and None from time to time.

        Raises
        ------
        CellqaError
            Another process is at work in the target, the device failed, or all processes died.
        """
        with self.pool.alone():
            left = list(reversed(work))
            try:
                known = self.pool.ledger.without_source()
                for number in range(self.setup.number):
                    self._start(number, known)
                while left or any(self._begun.values()):
                    self._hand_out(left)
                    yield None
                    for connection in wait(list(self._begun), timeout=0.5):
                        assert isinstance(connection, Connection)
                        yield from self._take(connection, left)
            finally:
                self._end()
                self.pool.ledger.gather()
                self.pool.tidy(self._left_by_the_dead)

    def _start(self, number: int, known: Sequence[Mapping[str, Any]]) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_work, args=(theirs, self.setup, number, known), daemon=True
        )
        with interrupts.starting():
            process.start()
        theirs.close()  # so that the end of the process is the end of the connection
        self._begun[ours], self._processes[ours] = [], (number, process)

    def _hand_out(self, left: list[Job]) -> None:
        for connection, begun in self._begun.items():
            while left and len(begun) < _AHEAD:
                job = left.pop()
                begun.append(job)
                with suppress(OSError):  # its end is noticed where it is waited for
                    connection.send((job, self.pool.ledger.entry(job.target)))

    def _take(self, connection: Connection, left: list[Job]) -> Iterator[tuple[Job, Enhanced]]:
        try:
            while connection.poll():
                message = connection.recv()
                if isinstance(message, BaseException):
                    raise message
                self._begun[connection].remove(message[0])
                yield message
        except (EOFError, OSError):
            yield from self._lost(connection, left)

    def _lost(self, connection: Connection, left: list[Job]) -> Iterator[tuple[Job, Enhanced]]:
        """A process died: others do what it had begun, once."""
        begun = self._begun.pop(connection)
        number, process = self._processes.pop(connection)
        process.join()
        connection.close()
        self.pool.ledger.learn_part(number)  # what it wrote, and could not tell any more
        self._left_by_the_dead |= {job.target.parent.absolute() for job in begun}
        for job in reversed(begun):
            if job in self._tried_again:
                name = job.source.relative_to(self.setup.source).as_posix()
                reason = f"the process that enhanced it died (status {process.exitcode}), twice"
                yield job, Enhanced(name, "failed", reason=reason)
            else:
                self._tried_again.add(job)
                left.append(job)
        if not self._begun and left:
            raise CellqaError(
                f"the processes that enhance died (status {process.exitcode}); what is done stays: "
                "run the command again, with --jobs 1 to see why"
            )

    def _end(self) -> None:
        for connection in self._begun:
            with suppress(OSError):
                connection.send(None)
        for connection, (_, process) in self._processes.items():
            while process.is_alive():  # it may wait for somebody who listens
                with suppress(EOFError, OSError):
                    while connection.poll(0.1):
                        connection.recv()
                process.join(0.1)
            connection.close()


def _work(
    connection: Connection, setup: Setup, number: int, known: Sequence[Mapping[str, Any]]
) -> None:
    """What each process does, until it is told to end or the one who started it is gone."""
    interrupts.follow()
    torch.set_num_threads(1)
    jobs: queue.Queue[Job | None] = queue.Queue()
    lock = threading.Lock()

    def send(message: _Message) -> None:
        with lock:
            connection.send(message)

    try:
        checkpoint = load(setup.weights)
        runner = Runner(
            checkpoint.generator,
            setup.devices[number % len(setup.devices)],
            precision=setup.precision,
            compiled=setup.compiled,
            share=min(1.0, len(setup.devices) / setup.number),
        )
        pool = Pool(
            checkpoint,
            setup.options,
            [runner],
            setup.source,
            setup.target,
            overwrite=setup.overwrite,
            part=number,
        )
        for entry in known:
            pool.ledger.learn(entry)

        def listen() -> None:
            try:
                while (message := connection.recv()) is not None:
                    job, entry = message
                    if entry:
                        pool.ledger.learn(entry)
                    jobs.put(job)
            except (EOFError, OSError):
                pass
            pool.stop()  # at the end nothing is left; before it, what was not begun stays undone
            jobs.put(None)

        threading.Thread(target=listen, daemon=True).start()
        for item in pool.serve(iter(jobs.get, None)):
            if item:
                send(item)
    except (BrokenPipeError, ConnectionResetError):
        return
    except BaseException as error:  # belongs to the one who started it
        kind = DeviceError if isinstance(error, DeviceError) else CellqaError
        with suppress(OSError):
            send(kind(f"{error}" if isinstance(error, CellqaError) else f"{error!r}"))
