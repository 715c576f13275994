"""Enhancers.

A new one is a module with a callable of a plane, and a line in `ENHANCERS`; or it comes from
another package through the entry point `cellqa.enhancers`.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from cellqa.enhance.deconvolution import RichardsonLucy, Wiener
from cellqa.enhance.files import Enhancer, enhance_files
from cellqa.enhance.filters import Traditional, clahe, unsharp_mask
from cellqa.enhance.simple import Bicubic, Clahe, Unsharp
from cellqa.errors import CellqaError
from cellqa.plugins import Registry


def _wrong(entry: Any) -> str:
    if not callable(entry) or not callable(getattr(entry, "describe", None)):
        return f"{entry!r} is no enhancer: it must be callable and have `describe`"
    if not is_dataclass(entry):
        return f"{entry!r} is no enhancer: its settings must be the fields of a dataclass"
    return "" if isinstance(getattr(entry, "name", None), str) else f"{entry!r} has no name"


ENHANCERS: Registry[Enhancer] = Registry(
    "cellqa.enhancers",
    (
        Traditional("te"),
        Traditional("egt"),
        Unsharp(),
        Clahe(),
        Bicubic(),
        Wiener(),
        RichardsonLucy(),
    ),
    wrong=_wrong,
)


def settings_of(method: Enhancer) -> dict[str, Any]:
    """Settings of an enhancer and their values, its name left out.

    Examples
    --------
    >>> settings_of(ENHANCERS["wiener"])
    {'sigma': 2.0, 'kernel': None, 'balance': 0.01}
    """
    return {f.name: getattr(method, f.name) for f in fields(method) if f.name != "name"}  # type: ignore[arg-type]


def with_settings(method: Enhancer, given: Mapping[str, str]) -> Enhancer:
    """An enhancer with settings changed, from text.

    Raises
    ------
    CellqaError
        There is no such setting, or its value is of another type.
    ValueError
        The value is out of range.

    Examples
    --------
    >>> with_settings(ENHANCERS["rl"], {"iterations": "30"}).describe()
    'Richardson-Lucy: Gaussian sigma 2, 30 iterations'
    """
    known = settings_of(method)
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in known:
            raise CellqaError(
                f"{method.name} has no setting {name!r}; it has {', '.join(known) or 'none'}"
            )
        kind = str if known[name] is None else type(known[name])
        try:
            values[name] = kind(text)
        except ValueError:
            raise CellqaError(
                f"{method.name}: {name} must be {_KINDS[kind]}, got {text!r}"
            ) from None
    changed: Enhancer = replace(method, **values)  # type: ignore[type-var]
    return changed


_KINDS = {int: "a whole number", float: "a number", str: "text"}

__all__ = [
    "ENHANCERS",
    "Bicubic",
    "Clahe",
    "Enhancer",
    "RichardsonLucy",
    "Traditional",
    "Unsharp",
    "Wiener",
    "clahe",
    "enhance_files",
    "settings_of",
    "unsharp_mask",
    "with_settings",
]
