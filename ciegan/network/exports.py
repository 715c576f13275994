"""The formats of other programs that a network can be written in."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Export:
    """A format to export to.

    Attributes
    ----------
    suffix : str
    make : str
        Module and function, as `package.module:function`, which is loaded when it is needed. Of a
        `ciegan.network.export.Model`, it returns the file's content, and the networks read back
        from it.
    packages : tuple of str
        That the extra of the format's name installs.
    """

    suffix: str
    make: str
    packages: tuple[str, ...] = ()

    def load(self) -> Callable[..., Any]:
        """The function."""
        module, _, name = self.make.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function


_ONNX = ("onnx", "onnxruntime", "onnxscript")
EXPORTS: Mapping[str, Export] = {
    "onnx": Export(".onnx", "ciegan.network.export:to_onnx", _ONNX),
    "torchscript": Export(".pt", "ciegan.network.export:to_torchscript"),
    "bioimageio": Export(
        ".zip", "ciegan.network.export:to_bioimageio", (*_ONNX, "bioimageio.spec")
    ),
}
