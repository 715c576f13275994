"""Compiled loops: how they are compiled, and what the user is told about it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit


class _Forgiving:
    """numba's cache, where what is damaged counts as absent and a full disk does not matter."""

    def __init__(self, cache: Any) -> None:
        self._kept = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kept, name)

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return self._kept.load_overload(*arguments)
        except Exception:  # cut short by a crash: whatever unpickling brings up
            with suppress(Exception):
                self._kept.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        with suppress(Exception):
            self._kept.save_overload(*arguments)


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile at the first call; release the GIL; keep the result on the disk if that can be.

    The folder is `NUMBA_CACHE_DIR`, else `__pycache__` beside the source, else one of the user's.
    Where none can be written, every process compiles for itself.

    Parameters
    ----------
    **options
        Of `numba.njit`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            compiled = njit(cache=True, nogil=True, **options)(function)
        except (RuntimeError, OSError):  # numba found no folder to write to
            return njit(nogil=True, **options)(function)
        compiled._cache = _Forgiving(compiled._cache)
        return compiled

    return decorate


def kept_in(compiled: Any) -> Path | None:
    """The folder that keeps a kernel, or None where there is none."""
    path = compiled.stats.cache_path
    return Path(path) if path else None


def is_kept(compiled: Any) -> bool:
    """Whether a compiled version of a kernel is on the disk already."""
    folder = kept_in(compiled)
    if folder is None:
        return False
    name = compiled.py_func.__qualname__
    return any(folder.glob(f"*.{name}-*.nbi"))
