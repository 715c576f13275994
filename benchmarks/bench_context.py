"""Neighbours in time: `python benchmarks/bench_context.py [options]`.

Networks that see one frame, or frames before and after, trained for the same seconds on simulated
time-lapses in low light, and tried on series that none has seen. PSNR against the frames without
noise; flicker: standard deviation, from frame to frame, of the result's level over the truth's; and
the flux of each moving nucleus over its true flux.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from cellqa.io import write_tiff
from cellqa.metrics.pixel import psnr
from cellqa.planes import Array
from cellqa.simulate import timelapse
from cellqa.simulate.imaging import OFFSET
from cellqa.simulate.series import Timelapse
from cellqa.terminal import align
from ciegan.config import DEFAULT, Context
from ciegan.data import TilingOptions, prepare_pairs
from ciegan.judging.validation import enhanced
from ciegan.network.checkpoint import Checkpoint, load
from ciegan.network.neighbours import stacked
from ciegan.network.normalisation import PERCENTILES
from ciegan.training.run import train

SHAPE = (16, 192, 192)


def series(number: int, photons: float, speed: float) -> list[Timelapse]:
    """Time-lapses of fields of their own."""
    return [
        timelapse(SHAPE, photons=photons, speed=speed, density=1.5, bleaching=0.03, seed=100 + k)
        for k in range(number)
    ]


def true_frames(lapse: Timelapse) -> Array:
    """What a camera without noise would give."""
    return lapse.ideal + lapse.offset[:, None, None]


def prepared(folder: Path, lapses: list[Timelapse]) -> Path:
    """Every frame of every series as a pair."""
    for k, lapse in enumerate(lapses):
        pairs = {"raw": lapse.image, "true": true_frames(lapse).astype(np.float32)}
        for role, frames in pairs.items():
            for t, frame in enumerate(frames):
                pixels = frame.astype(np.float32)
                write_tiff(folder / role / f"series{k}_t{t:02d}.tif", pixels, None)
    tiling = TilingOptions(tile=SHAPE[1], split="0.75,0.25,0", min_contrast=0)
    prepare_pairs(folder / "raw", folder / "true", folder / "data", check=False, tiling=tiling)
    return folder / "data"


def results(network: Checkpoint, lapse: Timelapse) -> Array:
    """What a network makes of a series, with the same black and white in all frames."""
    low, high = np.percentile(lapse.image, PERCENTILES)
    context = Context.parse(network.config.data.context)
    made = []
    for t in range(len(lapse.image)):
        places = [np.clip(t + k, 0, len(lapse.image) - 1) for k in context.offsets]
        seen = stacked([lapse.image[p].astype(np.float32) for p in places])
        made.append(enhanced(network, seen, (float(low), float(high))))
    return np.stack(made).astype(np.float64)


def judged(made: Array, lapse: Timelapse) -> list[float]:
    """PSNR, flicker and flux of nuclei, in per cent: mean, and median distance from the truth."""
    true = true_frames(lapse)
    quality = np.mean(
        [psnr(t, m, data_range=float(np.ptp(true))) for t, m in zip(true, made, strict=True)]
    )
    levels = (made.mean(axis=(1, 2)) - OFFSET) / (true.mean(axis=(1, 2)) - OFFSET)
    flicker = 100 * np.std(np.diff(levels))
    ratios = []
    for t, labels in enumerate(lapse.labels):
        sums = [
            np.bincount(labels.ravel(), (frames[t] - OFFSET).ravel())[1:] for frames in (made, true)
        ]
        there = sums[1] > 0
        ratios.append(sums[0][there] / sums[1][there])
    flux = np.concatenate(ratios)
    return [quality, flicker, 100 * flux.mean(), 100 * float(np.median(np.abs(flux - 1)))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=150, help="of training each")
    parser.add_argument("--photons", type=float, default=12, help="at white")
    parser.add_argument("--speed", type=float, default=1.5, help="pixels a frame")
    parser.add_argument("--contexts", nargs="*", default=["", "t:1", "t:2"])
    parser.add_argument("--seeds", type=int, default=1)
    chosen = parser.parse_args()
    test = [
        timelapse(SHAPE, photons=chosen.photons, speed=chosen.speed, density=1.5, seed=k)
        for k in range(3)
    ]
    rows = [["frames seen", "seed", "steps", "PSNR", "flicker %", "flux %", "off by %"]]
    rows.append(row("raw", "", "", [judged(lapse.image.astype(float), lapse) for lapse in test]))
    with tempfile.TemporaryDirectory() as place:
        data = prepared(Path(place), series(12, chosen.photons, chosen.speed))
        for context in chosen.contexts:
            for seed in range(chosen.seeds):
                config = replace(
                    DEFAULT,
                    seed=seed,
                    data=replace(DEFAULT.data, context=context),
                    monitor=replace(DEFAULT.monitor, patience=0, samples=0, metrics={"psnr": 1.0}),
                )
                out = Path(place) / f"run{context.replace(':', '')}{seed}"
                done = train(
                    data, out, config, device="cpu", max_time=chosen.seconds, fit_time=True
                )
                found = [judged(results(load(out), lapse), lapse) for lapse in test]
                seen = str(Context.parse(context).planes)
                rows.append(row(seen, str(seed), str(done.steps), found))
                print(" ".join(rows[-1]), flush=True)
    print(align(rows))


def row(name: str, seed: str, steps: str, found: list[list[float]]) -> list[str]:
    """A line of the table: means over the series."""
    means = np.mean(found, axis=0)
    return [name, seed, steps, *(f"{value:.2f}" for value in means)]


if __name__ == "__main__":
    main()
