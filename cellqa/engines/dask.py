"""A Dask cluster, local or of many machines: chunks of items go out, results come back."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from cellqa import interrupts
from cellqa.engines.base import EngineLostError, Item, Result, do_all
from cellqa.errors import CellqaError, MissingExtraError, first_line
from cellqa.extras import install_line

_log = logging.getLogger(__name__)

_SMALLEST_TASK = 100  # items: a task costs the scheduler about a millisecond
_LARGEST_TASK = 1000
_LARGEST_BYTES = 2e9  # a task that reads more is split below the smallest: it takes minutes
_TASKS_EACH = 4  # tasks under way for each thread of the cluster
_ANSWER = 30  # seconds for the scheduler, and for a first worker, to answer
_SILENT = 3  # seconds until it is said what is waited for
_LOOK = 5.0  # seconds between looks at the workers
_SERVERS = ("scheduler", "worker")
_ALONE = 60.0  # seconds without any worker, before that is an error


class DaskEngine:
    """A Dask cluster.

    Parameters
    ----------
    address : str or None
        `tcp://HOST:PORT`, a scheduler file that ends in .json, or None for a cluster of this
        machine's own, with `jobs` processes.
    jobs : int

    Raises
    ------
    MissingExtraError
        dask.distributed is not installed.
    CellqaError
        The scheduler does not answer.
    """

    def __init__(self, address: str | None, jobs: int) -> None:
        try:
            import cryptography  # noqa: F401  (for keys; Dask would say so too late)
            from distributed import Client
        except ModuleNotFoundError:
            raise MissingExtraError(
                f"--engine dask needs dask.distributed; install it with: {install_line('cluster')}"
            ) from None
        for name in [*logging.Logger.manager.loggerDict, "asyncio", "tornado.application"]:
            if name.startswith(("distributed", "asyncio", "tornado")):
                logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is raised
        self.address = address
        self._cluster: Any = None
        try:
            if address is None:
                self._cluster = _own_cluster(jobs)
                self._client = Client(self._cluster)
            elif address.endswith(".json"):
                if not Path(address).is_file():
                    raise CellqaError(f"--engine: there is no scheduler file {address!r}")
                reach(str(json.loads(Path(address).read_text(encoding="utf-8"))["address"]))
                self._client = Client(scheduler_file=address, timeout=_ANSWER)
            else:
                reach(address)
                self._client = Client(address, timeout=_ANSWER)
        except CellqaError:
            raise
        except Exception as error:  # a wrong scheduler file brings up anything
            raise CellqaError(
                f"--engine: no Dask scheduler answers at {address!r} ({first_line(error)})"
            ) from None
        try:
            self._client.wait_for_workers(1, timeout=_ANSWER)
        except Exception:
            self.close()
            raise CellqaError(
                f"--engine: no worker is connected to {address!r}; start one with `dask worker`"
            ) from None

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        on_crash: Callable[[Item, str], Result],
        isolate: bool,
        bytes_each: float,
    ) -> Iterator[Result]:
        """Yield results as they come. What a lost worker had is done again by another.

        Raises
        ------
        EngineLostError
            The scheduler, or every worker, is gone.
        """
        try:
            yield from self._map(function, items, on_crash, bytes_each)
        except CellqaError:
            raise
        except Exception as error:  # at any call, where the scheduler is gone
            raise self._lost(first_line(error)) from None

    def _map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        on_crash: Callable[[Item, str], Result],
        bytes_each: float,
    ) -> Iterator[Result]:
        from distributed import KilledWorker

        threads = max(1, sum(self._client.nthreads().values()))
        size = task_size(len(items), bytes_each, threads)
        chunks = (items[at : at + size] for at in range(0, len(items), size))
        sent: dict[Any, Sequence[Item]] = {}

        def submit(chunk: Sequence[Item]) -> None:
            sent[self._client.submit(do_all, function, chunk, pure=False)] = chunk

        for chunk in islice(chunks, _TASKS_EACH * threads):
            submit(chunk)
        suspects: list[Item] = []
        while sent:
            for future in self._completed(list(sent)):
                chunk = sent.pop(future)
                for following in islice(chunks, 1):
                    submit(following)
                try:
                    yield from future.result()
                except KilledWorker:
                    # several workers in a row ended with it: one of its items may do that
                    if len(chunk) == 1:
                        suspects.append(chunk[0])
                    for item in chunk if len(chunk) > 1 else ():
                        submit([item])
        for item in suspects:  # with nothing beside it that may have done it
            submit([item])
            (future,) = self._completed(list(sent))
            sent.clear()
            try:
                yield from future.result()
            except KilledWorker:
                yield on_crash(item, "ended several workers")

    def _completed(self, futures: list[Any]) -> list[Any]:
        """Futures that are done, once there are some; an error when no worker is left."""
        from distributed import wait

        alone = 0.0
        while True:
            try:
                return list(wait(futures, timeout=_LOOK, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                alone = 0.0 if self._client.nthreads() else alone + _LOOK
            if alone >= _ALONE:
                raise self._lost(f"no worker for {_ALONE:.0f} s")

    def _lost(self, why: str) -> EngineLostError:
        place = f"the cluster at {self.address!r}" if self.address else "the local cluster"
        return EngineLostError(f"--engine: {place} was lost ({why})")

    def describe(self) -> str:
        """For run.json."""
        return f"dask, {self.address or 'local cluster'}"

    def close(self) -> None:
        """Leave the cluster; end it if it is this engine's own."""
        with suppress(Exception):  # a cluster that is gone cannot be left in order
            for nanny in self._cluster.workers.values() if self._cluster is not None else ():
                # asked to end, a worker first ends its task, which may take minutes
                nanny.auto_restart = False
                os.kill(nanny.pid, signal.SIGKILL)
            self._client.close(timeout=1)
            if self._cluster is not None:
                self._cluster.close(timeout=1)


def _own_cluster(jobs: int) -> Any:
    """Processes on this machine that only this process can reach.

    Every user of a machine can connect to its ports, and who can talk to a scheduler runs code as
    its owner: all is encrypted, and needs a key that is made for this run and kept in memory. No
    page of Dask's is served.
    """
    import dask
    from distributed import LocalCluster

    routes: dict[str, Any] = {f"distributed.{who}.http.routes": [] for who in _SERVERS}
    with interrupts.blocked(), dask.config.set(routes):
        return LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            dashboard_address=None,
            host="127.0.0.1",
            security=True,
        )


def reach(address: str, patience: float = _ANSWER) -> None:
    """See that a scheduler answers: Dask's own client waits for good where something is silent.

    Raises
    ------
    CellqaError
        Nothing does within this many seconds.
    """
    from distributed.comm import connect
    from distributed.security import Security

    async def ask() -> None:
        options = Security().get_connection_args("client")
        asked = asyncio.ensure_future(connect(address, timeout=patience, **options))
        done, _ = await asyncio.wait([asked], timeout=min(_SILENT, patience))
        if not done:
            _log.warning(f"waiting for the scheduler at {address!r}, up to {patience:.0f} s")
            done, _ = await asyncio.wait([asked], timeout=max(0, patience - _SILENT))
        if not done:
            asked.cancel()
            raise TimeoutError(f"nothing in {patience:.0f} s")
        await (await asked).close()

    try:
        asyncio.run(ask())
    except Exception as error:
        raise CellqaError(
            f"--engine: no Dask scheduler answers at {address!r} ({first_line(error)})"
        ) from None


def task_size(items: int, bytes_each: float, threads: int) -> int:
    """Items a task: four tasks for each thread, but 100 to 1,000 items, and at most 2 GB.

    Fewer than 100 where some thread would have none.

    Examples
    --------
    >>> task_size(480_000, 2e5, threads=256), task_size(100, 2e5, 8), task_size(1000, 2.7e8, 8)
    (468, 13, 7)
    """
    size = min(max(_SMALLEST_TASK, items // (_TASKS_EACH * threads)), _LARGEST_TASK)
    size = min(size, -(-items // threads))
    return max(1, min(size, int(_LARGEST_BYTES / max(bytes_each, 1))))
