"""Where the work runs. A new engine is a module with a class of this shape, and a line here."""

from __future__ import annotations

from cellqa.engines.base import Engine
from cellqa.engines.local import LocalEngine

__all__ = ["Engine", "LocalEngine", "open_engine"]


def open_engine(name: str, jobs: int) -> Engine:
    """Return the engine that `--engine` names.

    Parameters
    ----------
    name : str
        `local`, `dask`, `dask=ADDRESS` or `dask=FILE.json` (a scheduler file).
    jobs : int
        Processes, where the engine starts them.

    Raises
    ------
    ValueError
        There is no such engine.
    CellqaError
        Its packages are not installed, or the cluster does not answer.
    """
    kind, _, address = name.partition("=")
    if name == "local":
        return LocalEngine(jobs)
    if kind == "dask" and (address or "=" not in name):
        from cellqa.engines.dask import DaskEngine

        return DaskEngine(address or None, jobs)
    raise ValueError(f"no engine is called {name!r}; choose local, dask, dask=ADDRESS or dask=FILE")
