"""An engine: threads of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cellqa import EngineKind

Item = TypeVar("Item")
Result = TypeVar("Result")


class Threads:
    """Threads; a crash in a C library ends the run."""

    def __init__(self, address: str | None, jobs: int) -> None:
        self.jobs = jobs

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        on_crash: Callable[[Item, str], Result],
        isolate: bool,
        bytes_each: float,
    ) -> Iterator[Result]:
        """Yield the result of each item."""
        with ThreadPoolExecutor(self.jobs) as pool:
            yield from pool.map(function, items)

    def describe(self) -> str:
        """For run.json."""
        return f"{self.jobs} threads"

    def close(self) -> None:
        """Nothing is left: the threads end with each `map`."""


THREADS = EngineKind("threads", "cellqa_example.engine:Threads")
