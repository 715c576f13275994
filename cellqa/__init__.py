"""Judge enhanced microscope images: how good, by how much, how sure.

The names below load when they are first used, so that `import cellqa` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "CellqaError": "errors",
    "Bound": "errors",
    "Undefined": "errors",
    "METRICS": "metrics.registry",
    "metric": "metrics.registry",
    "psnr": "metrics.pixel",
    "nrmse": "metrics.pixel",
    "ssim": "metrics.structural",
    "ms_ssim": "metrics.structural",
    "mi": "metrics.information",
    "nmi": "metrics.information",
    "entropy": "metrics.information",
    "decorrelation": "metrics.resolution",
    "resolution": "metrics.resolution",
    "frc": "metrics.frc",
    "frc_resolution": "metrics.frc",
    "frc_single": "metrics.frc",
    "overclaim": "metrics.overclaim",
    "consistency": "metrics.consistency",
    "consistency_map": "metrics.consistency",
    "rsp": "metrics.consistency",
    "rse": "metrics.consistency",
    "rsf_sigma": "metrics.consistency",
    "shift": "metrics.alignment",
    "shift_y": "metrics.alignment",
    "shift_x": "metrics.alignment",
    "affine": "metrics.fitted",
    "gain": "metrics.fitted",
    "offset": "metrics.fitted",
    "psnr_fit": "metrics.fitted",
    "nrmse_fit": "metrics.fitted",
    "ssim_fit": "metrics.fitted",
    "ms_ssim_fit": "metrics.fitted",
    "si_psnr": "metrics.fitted",
    "error_map": "metrics.fitted",
    "psnr_fg": "metrics.foreground",
    "nrmse_fg": "metrics.foreground",
    "ssim_fg": "metrics.foreground",
    "ssim_map": "metrics.structural",
    "resolution_map": "metrics.local",
    "sector_resolution": "metrics.local",
    "sharpest": "focus.vote",
    "Traditional": "enhance",
    "clahe": "enhance",
    "unsharp_mask": "enhance",
    "open_image": "io",
    "write_image": "io",
    "ScoreOptions": "scoring.options",
    "Scorer": "scoring.plane",
    "Case": "metrics.case",
    "Metric": "metrics.metric",
    "pair_folders": "pairs.pairing",
    "Tally": "tables.tally",
    "score_pairing": "scoring.run",
    "score_to_folder": "scoring.run",
    "summarise": "tables.summary",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cellqa' has no attribute {name!r}")
    return getattr(importlib.import_module(f"cellqa.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
