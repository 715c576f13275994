"""What the measures of belief cost, in decorrelation analyses of the same image.

python benchmarks/bench_belief.py [SIDE ...]

As a run computes them, on top of the eight metrics that need no such question: spectra and scales
of an image are shared. One method is scored, so that preparing ground truth and input counts in
full.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from timing import cpu_seconds, heading

from cellqa import decorrelation, resolution_map, sector_resolution, simulate
from cellqa.metrics.registry import select
from cellqa.planes.labels import Mask
from cellqa.planes.plane import Plane
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.plane import Scorer

SIDES = (256, 512, 1024, 2048)
EIGHT = ("psnr", "nrmse", "ssim", "ms_ssim", "mi", "nmi", "entropy", "resolution")
GROUPS = {
    "frc_resolution": ("frc_resolution",),
    "detail budget, supported": (
        "invented",
        "invented_amplitude",
        "measured",
        "inferred",
        "noise",
        "untestable",
        "supported",
    ),
    "unexplained": ("unexplained",),
    "rsp, rse, rsf_sigma": ("rsp", "rse", "rsf_sigma"),
    "shift": ("shift_y", "shift_x"),
    "affine fit": ("gain", "offset", "psnr_fit", "nrmse_fit", "ssim_fit", "ms_ssim_fit", "si_psnr"),
    "foreground": ("psnr_fg", "nrmse_fg", "ssim_fg"),
}


def peers(truth: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """What others take for the same, where they are installed."""
    from skimage.registration import phase_cross_correlation

    return {
        "shift, scikit-image (upsample_factor 100)": cpu_seconds(
            lambda: phase_cross_correlation(truth, image, upsample_factor=100), repeats=2
        )
    }


def main() -> None:
    # glibc gives memory back, and fetches it anew, up to the largest block that was ever freed
    np.empty(31 << 20, np.uint8)
    print(heading("Measures of belief: CPU time of one image, in decorrelation analyses"))
    for side in [int(a) for a in sys.argv[1:]] or SIDES:
        scene = simulate.filaments((side, side), cutoff=0.6, photons=1000, seed=1)
        again = simulate.acquire(scene.structure, cutoff=0.4, photons=500, seed=5)
        raw = simulate.acquire(scene.structure, cutoff=0.3, photons=300, seed=6).image
        truth, image = scene.image, again.image
        mask = Mask.of(scene.structure > 0.1)
        unit = cpu_seconds(lambda image=image: decorrelation(image))
        print(f"\n{side} x {side} uint16: decorrelation analysis {unit * 1e3:.2f} ms")

        def scored(names: tuple[str, ...]) -> float:
            options = replace(ScoreOptions(), metrics=select(names))
            dtype = truth.dtype

            def call() -> None:
                planes = [Plane(pixels, dtype) for pixels in (truth, raw, image)]
                scorer = Scorer(planes[0], options, raw=planes[1], mask=mask)
                scorer.score("", "net", planes[2])

            return cpu_seconds(call)

        base = scored(EIGHT)
        rows = {label: scored((*EIGHT, *names)) - base for label, names in GROUPS.items()}
        every = tuple(name for names in GROUPS.values() for name in names)
        rows["all of them"] = scored((*EIGHT, *every)) - base
        rows["for comparison: the eight metrics"] = base
        rows["map, tiles of 128"] = cpu_seconds(lambda: resolution_map(image), repeats=2)
        rows["8 sectors"] = cpu_seconds(lambda: sector_resolution(image, sectors=8), repeats=2)
        rows |= peers(truth, image)
        for label, seconds in rows.items():
            print(f"  {label:45} {seconds * 1e3:9.2f} ms {seconds / unit:7.2f}")


if __name__ == "__main__":
    main()
