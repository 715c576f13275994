"""Weights that come with the package, by their names; each has a card of the same name."""

from __future__ import annotations

from pathlib import Path

from cellqa.disk import StrPath

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
_SUFFIX = ".safetensors"


def names() -> list[str]:
    """What there is.

    Examples
    --------
    >>> names()
    ['general']
    """
    return sorted(path.stem for path in WEIGHTS.glob(f"*{_SUFFIX}"))


def is_builtin(path: Path) -> bool:
    """Whether weights lie in the package."""
    return path.resolve().parent == WEIGHTS


def resolved(path: StrPath) -> Path:
    """The file of a built-in name, unless something of that name is here; else the path as it is.

    Examples
    --------
    >>> resolved("general").name
    'general.safetensors'
    """
    path = Path(path)
    own = WEIGHTS / f"{path}{_SUFFIX}"
    return own if str(path) in names() and not path.exists() else path
