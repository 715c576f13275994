"""One process at work in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from cellqa.errors import CellqaError


@contextmanager
def alone(path: Path, role: str) -> Iterator[None]:
    """Keep other processes out of the folder of a lock file, which is made.

    Parameters
    ----------
    path : Path
        The lock file; its system's lock ends with the process, however it ends.
    role : str
        What the folder is to the user, as `OUT`.

    Raises
    ------
    CellqaError
        Another process is at work there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise CellqaError(
            f"{role}: another ciegan is at work in {str(path.parent)!r}; wait for it, or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()
