"""Compiling what scoring needs, once on a machine, before workers start."""

from __future__ import annotations

import numpy as np

from cellqa import interrupts
from cellqa.metrics._kernels import similarity
from cellqa.metrics.table import METRICS
from cellqa.planes.compiled import is_kept, kept_in
from cellqa.planes.labels import Mask
from cellqa.planes.plane import Plane
from cellqa.planes.region import largest_rectangle
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.plane import Scorer
from cellqa.terminal import Tell


def compile_kernels(tell: Tell) -> None:
    """Compile what scoring needs if that was never done here, so that workers find it.

    `tell` is called with a line about it, before it takes its seconds; not otherwise.
    """
    if is_kept(similarity):
        return
    folder = kept_in(similarity)
    kept = (
        f"kept in {folder}"
        if folder
        else "no folder can keep them, so each process does it again; set NUMBA_CACHE_DIR"
    )
    tell(f"compiling for this machine, once, some 10 s ({kept})")
    with interrupts.ends_at_once():
        _compile()


def _compile() -> None:
    """Call each kernel once, by each type."""
    own = tuple(m for m in METRICS.values() if METRICS.package_of(m.name) == "cellqa")
    for dtype in (np.uint8, np.uint16):
        pixels = np.arange(200 * 200).reshape(200, 200).astype(dtype)
        plane = Plane(pixels, pixels.dtype)
        mask = Mask.of(np.greater(pixels, 9))
        for metrics in (tuple(m for m in own if not m.option), own):
            Scorer(plane, ScoreOptions(metrics), raw=plane, mask=mask).score("", "", plane)
    largest_rectangle(np.zeros((2, 2), bool))
