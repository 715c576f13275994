"""Decorrelation analysis against a bare FFT of the same image, and NanoPyx if it is installed.

python benchmarks/bench_resolution.py [SIDE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import scipy.fft
from timing import cpu_seconds, heading

from cellqa import decorrelation, simulate

SIDES = (256, 512, 1024, 2048, 4096)


def nanopyx_call(image: np.ndarray) -> Callable[[], object] | None:
    """NanoPyx's analysis of the image, or None where it is not installed."""
    try:
        from nanopyx.core.analysis.decorr import DecorrAnalysis
    except ImportError:
        return None
    return lambda: DecorrAnalysis().run_analysis(image.astype(np.float32))


def main() -> None:
    print(heading("Decorrelation analysis: CPU time of one image"))
    print(" side      kc    FFT ms  cellqa ms  ratio  NanoPyx ms  ratio")
    for side in [int(a) for a in sys.argv[1:]] or SIDES:
        image = simulate.filaments((side, side), cutoff=0.5, photons=300, seed=1).image
        odd = image[: side - 1 + side % 2, : side - 1 + side % 2].astype(np.float32)
        fft = cpu_seconds(lambda odd=odd: scipy.fft.rfft2(odd))
        ours = cpu_seconds(lambda image=image: decorrelation(image))
        peer = nanopyx_call(image) if side <= 1024 else None
        other = cpu_seconds(peer, repeats=1) if peer else float("nan")
        print(
            f"{side:5} {decorrelation(image).kc:7.4f} {fft * 1e3:9.3f} {ours * 1e3:10.3f} "
            f"{ours / fft:6.2f} {other * 1e3:11.1f} {other / fft:6.0f}"
        )


if __name__ == "__main__":
    main()
