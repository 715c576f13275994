"""Where the work runs.

A new engine is a module with a class of the shape of `Engine`, and a line in `ENGINES`; or it comes
from another package through the entry point `cellqa.engines`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from cellqa.engines.base import Engine, EngineLostError
from cellqa.engines.local import LocalEngine
from cellqa.errors import CellqaError, did_you_mean, with_type
from cellqa.plugins import Registry, instance_of
from cellqa.shown import one_line

__all__ = [
    "ENGINES",
    "Engine",
    "EngineKind",
    "EngineLostError",
    "LocalEngine",
    "open_engine",
    "parse_engine",
]


@dataclass(frozen=True)
class EngineKind:
    """A kind of engine, as `--engine` names it.

    Attributes
    ----------
    name : str
    opens : str
        `module:callable` of an address (None where none is given) and a number of processes,
        which returns an `Engine`; it is imported when the engine is used.
    address : str
        What an address may be, as `ADDRESS|FILE.json`; empty where it takes none.
    """

    name: str
    opens: str
    address: str = ""

    __repr__ = one_line

    @property
    def usage(self) -> str:
        """How it is named."""
        return f"{self.name}[={self.address}]" if self.address else self.name


ENGINES: Registry[EngineKind] = Registry(
    "cellqa.engines",
    (
        EngineKind("local", "cellqa.engines.local:open_local"),
        EngineKind("dask", "cellqa.engines.dask:DaskEngine", "ADDRESS|FILE.json"),
    ),
    wrong=instance_of(EngineKind),
)


def parse_engine(text: str) -> tuple[EngineKind, str | None]:
    """The kind of engine that a text names, and its address.

    Raises
    ------
    ValueError
        There is no such engine, or it takes no address, or the address is empty.

    Examples
    --------
    >>> parse_engine("dask=tcp://10.0.0.5:8786")[1]
    'tcp://10.0.0.5:8786'
    """
    name, equals, address = text.partition("=")
    if name not in ENGINES or (equals and not ENGINES[name].address):
        usages = ", ".join(kind.usage for kind in ENGINES.values())
        near = did_you_mean(name, ENGINES)
        raise ValueError(f"must be one of {usages}, got {text!r}{near}")
    if equals and not address:
        raise ValueError("the address is empty")
    return ENGINES[name], address or None


def open_engine(text: str, jobs: int) -> Engine:
    """Return the engine that `--engine` names.

    Parameters
    ----------
    text : str
        `local`, `dask`, `dask=ADDRESS` or `dask=FILE.json` (a scheduler file); or of another
        package.
    jobs : int
        Processes, where the engine starts them.

    Raises
    ------
    ValueError
        There is no such engine.
    CellqaError
        Its packages are not installed, or the cluster does not answer; or another package's engine
        cannot be opened.
    """
    kind, address = parse_engine(text)
    module, _, name = kind.opens.partition(":")
    try:
        engine: Engine = getattr(importlib.import_module(module), name)(address, jobs)
    except CellqaError:
        raise
    except Exception as error:
        if ENGINES.package_of(kind.name) == "cellqa":
            raise
        raise CellqaError(
            f"--engine {kind.name}: its package cannot open it ({with_type(error)})"
        ) from None
    return engine
