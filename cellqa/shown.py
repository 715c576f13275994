"""How results look where they are printed: one line, whatever they hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

_LONGEST = 60  # of a text or a path
_MOST = 4  # entries that are named one by one
_WIDEST = 200  # of a line


def one_line(of: Any) -> str:
    """A dataclass in one line, for its `__repr__`: large parts by what they are and how many.

    Fields that are empty or have their usual value are left out.

    Examples
    --------
    >>> from dataclasses import dataclass, field
    >>> @dataclass
    ... class Found:
    ...     name: str
    ...     values: list[float] = field(default_factory=list)
    ...     __repr__ = one_line
    >>> Found("a", [0.5] * 1000), Found("b", [1 / 3])
    (Found(name='a', values=1000 float), Found(name='b', values=[0.3333]))
    >>> @dataclass
    ... class Run:
    ...     best: Found
    ...     rest: object
    ...     __repr__ = one_line
    >>> Run(Found("a"), object())
    Run(best=Found(name='a'), rest=<object>)
    """
    name, parts = type(of).__name__, []
    for each in fields(of):
        value = getattr(of, each.name)
        if not each.repr or _is_usual(value, each.default):
            continue
        parts.append(f"{each.name}={_short(value)}")
    line = f"{name}({', '.join(parts)})"
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 4]}...)"


def _is_usual(value: Any, default: Any) -> bool:
    if value is None or (isinstance(value, (str, list, tuple, dict, set)) and not len(value)):
        return True
    return isinstance(value, (bool, int, float, str)) and (value is default or value == default)


def _short(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (str, PurePath)):
        text = str(value)
        return repr(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        size = " x ".join(map(str, value.shape)) or "one"
        return f"<{size} {str(value.dtype).removeprefix('torch.')}>"
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, Collection):
        return _of_collection(value)
    name = getattr(value, "__name__", type(value).__name__)
    if callable(value) and not is_dataclass(value):
        return name
    text = repr(value)
    if len(text) <= _LONGEST and "\n" not in text and " object at 0x" not in text:
        return text
    return name if is_dataclass(value) else f"<{name}>"


def _of_mapping(value: Mapping[Any, Any]) -> str:
    plain = all(isinstance(v, (int, float, str, type(None))) for v in value.values())
    if len(value) > 2 * _MOST:
        return f"{len(value)} entries"
    if plain and len(value) <= _MOST:
        return "{" + ", ".join(f"{_short(k)}: {_short(v)}" for k, v in value.items()) + "}"
    return "{" + ", ".join(map(_short, value)) + "}"


def _of_collection(value: Collection[Any]) -> str:
    kinds = {type(each).__name__ for each in value}
    plain = all(isinstance(each, (int, float, str, PurePath, type(None))) for each in value)
    if plain and len(value) <= _MOST:
        return f"[{', '.join(map(_short, value))}]"
    return f"{len(value)} {kinds.pop() if len(kinds) == 1 else 'entries'}"
