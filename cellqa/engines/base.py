"""What a run needs of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from cellqa.errors import CellqaError

Item = TypeVar("Item")
Result = TypeVar("Result")


class EngineLostError(CellqaError):
    """What the work runs on went away in mid-run; what came back before stays."""


class Engine(Protocol):
    """Runs one function over many items, in any order, and survives what the items do."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        on_crash: Callable[[Item, str], Result],
        isolate: bool,
        bytes_each: float,
    ) -> Iterator[Result]:
        """Yield the result of each item; of one that ends its process, `on_crash(item, why)`.

        `isolate`: items may crash, so not even a few are done in this process. `bytes_each`:
        what an item reads, about; tasks are sized by it.
        """
        ...

    def describe(self) -> str:
        """For run.json."""
        ...

    def close(self) -> None:
        """Leave what it runs on."""
        ...


def do_all(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    """Do the items of a chunk, in a process that others work beside."""
    limit_threads()
    return [function(item) for item in chunk]


def limit_threads() -> None:
    """One thread for each process: the processes are the parallelism."""
    import cv2

    cv2.setNumThreads(1)
