"""Whether memory is there, asked before it is taken."""

from __future__ import annotations

import psutil

from cellqa.errors import CellqaError

_SHARE = 0.9  # of what is free: the viewer needs some itself


def check(needed: float, what: str) -> None:
    """Refuse work that memory has no room for.

    Parameters
    ----------
    needed : float
        Bytes.
    what : str
        That needs them, to begin the line with.

    Raises
    ------
    CellqaError
        They are not free.
    """
    free = psutil.virtual_memory().available
    if needed > _SHARE * free:
        raise CellqaError(
            f"{what}: some {_spoken(needed)} of memory are needed, {_spoken(free)} are free; "
            "crop the layer, or take the shown plane only"
        )


def _spoken(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
