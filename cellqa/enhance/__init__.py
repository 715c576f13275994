"""Enhancers.

A new one is a module with a callable of a plane, and a line in `ENHANCERS`; or it comes from
another package through the entry point `cellqa.enhancers`.
"""

from dataclasses import is_dataclass
from typing import Any

from cellqa.enhance.deconvolution import RichardsonLucy, Wiener
from cellqa.enhance.files import Enhancer, enhance_files
from cellqa.enhance.filters import Traditional, clahe, unsharp_mask
from cellqa.enhance.simple import Bicubic, Clahe, Unsharp
from cellqa.plugins import Registry, settings_of, with_settings


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
