"""The same work over many items: in this process, or in others that may crash."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import Any

from cellqa import interrupts
from cellqa.engines.base import Item, Result, do_all, limit_threads
from cellqa.errors import CellqaError, first_line
from cellqa.shown import one_line

_CHUNK = 16  # items sent to a worker at once
_WORTH = 8  # items for which another process, which takes a second to start, is worth it
_SECONDS = 600.0  # for a chunk, and then for each of its items, before its worker is ended


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    *,
    on_crash: Callable[[Item, str], Result],
    isolate: bool = False,
    seconds: float | None = _SECONDS,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, using up to `jobs` processes.

    Only a few chunks of items are under way at a time, so that memory does not grow with their
    number. Processes end with this one, however it ends.

    Parameters
    ----------
    function : callable
        Of one item; importable, as it is sent to other processes.
    items : sequence
    jobs : int
        Processes. One is this one; and a few items are done in this one, as starting another takes
        a second.
    on_crash : callable
        Gives the result of an item that ended its process (a crash in a C library, memory, or
        ten minutes without an answer), from the item and the reason.
    isolate : bool
        Use other processes in any case, since items may crash.
    seconds : float or None
        For a chunk, and then for each of its items; None where what they call has limits.
    """
    if not isolate and (jobs == 1 or len(items) < _WORTH):
        limit_threads()
        yield from map(function, items)
        return
    jobs = min(jobs, max(1, len(items) // 2))
    yield from _in_processes(function, items, jobs, on_crash, seconds)


def _in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    on_crash: Callable[[Item, str], Result],
    seconds: float | None,
) -> Iterator[Result]:
    from pebble import ProcessPool

    _check_sendable(function)
    pool = ProcessPool(max_workers=jobs, initializer=_start_worker, context=_context())
    size = max(1, min(_CHUNK, len(items) // (4 * jobs)))
    under_way: deque[tuple[Sequence[Item], Future[list[Result]]]] = deque()

    def submit(chunk: Sequence[Item]) -> Future[list[Result]]:
        future: Future[list[Result]] = pool.schedule(
            do_all, args=(function, chunk), timeout=seconds
        )
        return future

    def results() -> Iterator[Result]:
        chunk, future = under_way.popleft()
        try:
            yield from future.result()
            return
        except (_died(), TimeoutError) as error:
            if len(chunk) == 1:
                yield on_crash(chunk[0], _why(error, seconds))
                return
        for item in chunk:  # one of them did it: each by itself
            try:
                yield from submit([item]).result()
            except (_died(), TimeoutError) as error:
                yield on_crash(item, _why(error, seconds))

    try:
        with interrupts.deferred():  # a worker that is ended while it starts complains
            for started in [pool.schedule(_is_there) for _ in range(jobs)]:
                started.result()
        for at in range(0, len(items), size):
            chunk = items[at : at + size]
            under_way.append((chunk, submit(chunk)))
            if len(under_way) > 3 * jobs:
                yield from results()
        while under_way:
            yield from results()
        pool.close()
    except BrokenExecutor:
        if interrupts.seen():  # by all processes of the terminal
            raise KeyboardInterrupt from None
        raise CellqaError(
            "worker processes cannot start (in a script, call this below "
            "`if __name__ == '__main__':`)"
        ) from None
    finally:
        with contextlib.suppress(Exception):  # what is broken cannot be stopped in order
            pool.stop()
            pool.join(timeout=1)


def _check_sendable(function: Callable[..., Any]) -> None:
    """Refuse in one line what no other process can be told.

    Raises
    ------
    CellqaError
        It holds a function that no module has by name, or something else that is of this process.
    """
    try:
        pickle.dumps(function)
    except Exception as error:
        raise CellqaError(
            f"the work cannot be sent to other processes ({first_line(error)}): define what it "
            "calls at the top of a module, or compute with jobs=1"
        ) from None


def _context() -> multiprocessing.context.BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["cellqa.scoring.image", "cellqa.enhance"]
    )  # imported once for all
    with interrupts.starting(), _safe_path():
        forkserver.ensure_running()
    return context


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """Processes that are started do not import from the current folder, which may hold anything."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _died() -> type[Exception]:
    from pebble import ProcessExpired

    expired: type[Exception] = ProcessExpired
    return expired


def _why(error: Exception, seconds: float | None) -> str:
    if isinstance(error, TimeoutError):
        return f"gave no answer within {seconds:.0f} s"
    code = getattr(error, "exitcode", None)
    if isinstance(code, int) and code < 0:
        return f"ended its process ({signal.Signals(-code).name})"
    return f"ended its process (exit status {code})"


def _is_there() -> None:
    time.sleep(0.02)  # long enough for every worker to take one


def _start_worker() -> None:
    limit_threads()
    # glibc hands blocks back to the system, and takes page faults to get them again, unless one
    # as large was freed before
    bytearray(31 << 20)
    interrupts.follow()  # the end of the main process, however it comes, is ours
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


@dataclass(frozen=True)
class LocalEngine:
    """Processes of this machine.

    Attributes
    ----------
    jobs : int
        Processes.
    seconds : float or None
        That an item may take; None for no limit.
    """

    jobs: int = 1
    seconds: float | None = _SECONDS

    __repr__ = one_line

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        on_crash: Callable[[Item, str], Result],
        isolate: bool,
        bytes_each: float,
    ) -> Iterator[Result]:
        """Yield results in the order of the items."""
        return ordered_map(
            function,
            items,
            self.jobs,
            on_crash=on_crash,
            isolate=isolate,
            seconds=self.seconds,
        )

    def describe(self) -> str:
        """For run.json."""
        return f"local, {self.jobs} processes"

    def close(self) -> None:
        """Nothing is left: processes end with each `map`."""


def open_local(address: str | None, jobs: int) -> LocalEngine:
    """The engine `local`, which has no address."""
    return LocalEngine(jobs)
