"""The same work over many items, in this process or in several, results in order."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from cellqa.errors import CellqaError

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 16  # items sent to a worker at once
_WORTH = 8  # items for which another process, which takes a second to start, is worth it


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, using up to `jobs` processes.

    Only a few chunks of items are under way at a time, so that memory does not grow with their
    number.

    Raises
    ------
    CellqaError
        A worker process ended without a word (killed, or out of memory).
    """
    jobs = min(jobs, max(1, len(items) // _WORTH))
    if jobs == 1:
        quiet_libraries()
        yield from map(function, items)
        return
    size = max(1, min(_CHUNK, len(items) // (4 * jobs)))
    chunks = (items[at : at + size] for at in range(0, len(items), size))
    under_way: deque[Future[list[Result]]] = deque()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=quiet_libraries) as pool:
        try:
            for chunk in chunks:
                under_way.append(pool.submit(_each, function, chunk))
                if len(under_way) > 3 * jobs:
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()
        except BrokenProcessPool:
            raise CellqaError(
                "a worker process was ended from outside (out of memory?); try --jobs 1"
            ) from None
        finally:
            for future in under_way:
                future.cancel()


def quiet_libraries() -> None:
    """One thread for each process, and OpenCV's own messages off: failures are rows."""
    import cv2

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _each(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    return [function(item) for item in chunk]
