"""Sharpen microscope images with a network, trained and stopped by what cellqa measures.

The names below load when they are first used, so that `import ciegan` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "BrightfieldDefocus": "degrade",
    "Checkpoint": "checkpoint",
    "Config": "config",
    "Cut": "prepare",
    "DEGRADATIONS": "degrade",
    "DISCRIMINATORS": "models",
    "FluorescenceDefocus": "degrade",
    "GENERATORS": "models",
    "Gaussian": "degrade",
    "Microscope": "optics",
    "Noise": "degrade",
    "PRESETS": "config",
    "TASKS": "prepare",
    "Task": "prepare",
    "ZStack": "prepare",
    "assemble": "mosaic",
    "assemble_scans": "mosaic",
    "brightfield_defocus": "optics",
    "compare": "comparing",
    "enhance_files": "enhancing",
    "enhance_plane": "inference",
    "find_scans": "mosaic",
    "export_network": "export",
    "fit_brightfield": "optics",
    "fluorescence_defocus": "optics",
    "load": "checkpoint",
    "parse_methods": "methods",
    "place": "mosaic",
    "prepare_blur": "prepare",
    "prepare_pairs": "prepare",
    "prepare_side_by_side": "prepare",
    "prepare_task": "prepare",
    "prepare_zstack": "prepare",
    "read_config": "config",
    "train": "run",
    "validate": "validation",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ciegan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ciegan.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
