"""Enhancers. A new one is a module with a callable of a plane, and a line in `METHODS`."""

from collections.abc import Mapping

from cellqa.enhance.deconvolution import RichardsonLucy, Wiener
from cellqa.enhance.files import Enhancer, enhance_files
from cellqa.enhance.filters import Traditional, clahe, unsharp_mask

METHODS: Mapping[str, Enhancer] = {
    "te": Traditional("te"),
    "egt": Traditional("egt"),
    "wiener": Wiener(),
    "rl": RichardsonLucy(),
}

__all__ = [
    "METHODS",
    "Enhancer",
    "RichardsonLucy",
    "Traditional",
    "Wiener",
    "clahe",
    "enhance_files",
    "unsharp_mask",
]
