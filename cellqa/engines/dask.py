"""A Dask cluster, local or of many machines: chunks of items go out, results come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from cellqa.engines.local import limit_threads
from cellqa.errors import CellqaError, MissingExtraError

Item = TypeVar("Item")
Result = TypeVar("Result")

_SMALLEST_TASK = 100  # items: a task costs the scheduler about a millisecond
_LARGEST_TASK = 1000
_LARGEST_BYTES = 2e9  # a task that reads more is split below the smallest: it takes minutes
_TASKS_EACH = 4  # tasks under way for each thread of the cluster
_ANSWER = 30  # seconds for the scheduler to answer


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
            from distributed import Client, LocalCluster
        except ModuleNotFoundError:
            raise MissingExtraError(
                "--engine dask needs dask.distributed; install it with: "
                "pip install 'cellqa[cluster]'"
            ) from None
        self.address = address
        self._cluster: Any = None
        try:
            if address is None:
                self._cluster = LocalCluster(
                    n_workers=jobs, threads_per_worker=1, dashboard_address=None
                )
                self._client = Client(self._cluster)
            elif address.endswith(".json"):
                if not Path(address).is_file():
                    raise CellqaError(f"--engine: there is no scheduler file {address!r}")
                self._client = Client(scheduler_file=address, timeout=_ANSWER)
            else:
                self._client = Client(address, timeout=_ANSWER)
        except (OSError, ValueError) as error:
            raise CellqaError(
                f"--engine: no Dask scheduler answers at {address!r} ({error})"
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
        """Yield results as they come. What a lost worker had is done again by another."""
        from distributed import KilledWorker, as_completed

        threads = max(1, sum(self._client.nthreads().values()))
        size = task_size(len(items), bytes_each, threads)
        chunks = (items[at : at + size] for at in range(0, len(items), size))
        sent: dict[Any, Sequence[Item]] = {}

        def submit(chunk: Sequence[Item]) -> Any:
            future = self._client.submit(_each, function, chunk, pure=False)
            sent[future.key] = chunk
            return future

        running = as_completed([submit(c) for c in islice(chunks, _TASKS_EACH * threads)])
        for future in running:
            chunk = sent.pop(future.key)
            try:
                yield from future.result()
            except KilledWorker:
                # it ended several workers in a row: one of its items does, each goes by itself
                if len(chunk) == 1:
                    yield on_crash(chunk[0], "ended several workers")
                else:
                    running.update([submit([item]) for item in chunk])
            future.release()
            running.update([submit(c) for c in islice(chunks, 1)])

    def describe(self) -> str:
        """For run.json."""
        return f"dask, {self.address or 'local cluster'}"

    def close(self) -> None:
        """Leave the cluster; end it if it is this engine's own."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def task_size(items: int, bytes_each: float, threads: int) -> int:
    """Items a task: four tasks for each thread, but 100 to 1,000 items, and at most 2 GB.

    Examples
    --------
    >>> task_size(480_000, 2e5, threads=256), task_size(100, 2e5, 8), task_size(1000, 2.7e8, 8)
    (468, 100, 7)
    """
    size = min(max(_SMALLEST_TASK, items // (_TASKS_EACH * threads)), _LARGEST_TASK)
    return max(1, min(size, int(_LARGEST_BYTES / max(bytes_each, 1))))


def _each(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    limit_threads()
    return [function(item) for item in chunk]
