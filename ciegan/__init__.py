"""Sharpen microscope images with a network, trained and stopped by what cellqa measures.

The names below load when they are first used, so that `import ciegan` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "BrightfieldDefocus": "data.degrade",
    "Checkpoint": "network.checkpoint",
    "Config": "config",
    "TilingOptions": "data",
    "DEGRADATIONS": "data.degrade",
    "DISCRIMINATORS": "models",
    "FluorescenceDefocus": "data.degrade",
    "GENERATORS": "models",
    "Gaussian": "data.degrade",
    "Microscope": "data.optics",
    "Noise": "data.degrade",
    "PRESETS": "config",
    "TASKS": "data",
    "Task": "data",
    "ZStack": "data",
    "assemble": "mosaic",
    "assemble_scans": "mosaic",
    "brightfield_defocus": "data.optics",
    "compare": "judging.comparing",
    "enhance_files": "enhancing.folder",
    "enhance_plane": "network.windows",
    "find_scans": "mosaic",
    "export_network": "network.export",
    "fit_brightfield": "data.optics",
    "fluorescence_defocus": "data.optics",
    "load": "network.checkpoint",
    "parse_methods": "judging.methods",
    "place": "mosaic",
    "prepare_blur": "data",
    "prepare_pairs": "data",
    "prepare_side_by_side": "data",
    "prepare_task": "data",
    "prepare_zstack": "data",
    "read_config": "config",
    "train": "training.run",
    "validate": "judging.validation",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ciegan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ciegan.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
