"""What each measure catches, and what it costs: `python benchmarks/bench_measuring.py FOLDER`.

FOLDER holds sharp fluorescence images of objects, of which every fourth is taken (the built-in
network has seen the others of BBBC038). Each is blurred and made noisy; what filters, a network,
and forgers make of that is measured against the sharp image, and against the noisy one.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from cellqa import (
    Row,
    ScoreOptions,
    Scorer,
    Tally,
    object_measures,
    photometry,
    rsp,
    select,
    ssim,
)
from cellqa.enhance import ENHANCERS
from cellqa.io import luminance, open_image
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.planes.segment import segmented
from cellqa.tables.agreement import ObjectSums, verdicts
from cellqa.terminal import align
from ciegan.judging.validation import enhanced
from ciegan.network.checkpoint import load

WANTED = select(["ap50"])
SHOWN = ("ap50", "count_error", "object_area", "object_intensity", "intensity_slope")


def methods(sharp: Array, noisy: Array, rng: np.random.Generator) -> dict[str, Array]:
    """What is made of a noisy image; forgers know the sharp one."""
    labels = segmented(Plane.of(sharp, "image"))
    some = rng.permutation(np.arange(1, labels.max() + 1))[: max(1, labels.max() // 5)]
    within = np.isin(labels, some)
    background = float(np.median(sharp[labels == 0])) if (labels == 0).any() else 0.0
    wide = cv2.dilate(within.astype(np.uint8), np.ones((5, 5))) > 0
    top = float(sharp.max())
    soft = cv2.GaussianBlur(noisy, (0, 0), 1.0)
    erased = np.where(wide, background, sharp)
    elsewhere = np.roll(np.where(within, sharp, 0), 40, axis=1)
    return {
        "input": noisy,
        "wiener": ENHANCERS["wiener"](noisy),
        "te": ENHANCERS["te"](noisy.clip(0, 255).astype(np.uint8)).astype(float),
        "general": enhanced(load("general"), noisy.astype(np.float32)),
        "gamma 0.7": (soft.clip(0) / top) ** 0.7 * top,
        "1.2 times": 1.2 * soft,
        "truth, a fifth erased": erased,
        "truth, a fifth added": np.maximum(sharp, elsewhere),
        "truth, a fifth moved": np.maximum(erased, elsewhere),
        "truth, all as bright": np.where(labels > 0, float(sharp[labels > 0].mean()), sharp),
        "turned by 180 degrees": np.ascontiguousarray(sharp[::-1, ::-1]),
        "noise": rng.normal(background, 1 + 0.1 * top, sharp.shape),
        "truth": sharp,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=24)
    given = parser.parse_args()
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    spent: dict[str, list[float]] = defaultdict(list)
    seen: dict[str, list[Row]] = defaultdict(list)
    paths = sorted(p for p in given.folder.iterdir() if p.is_file())[3::4][: given.images]
    for k, path in enumerate(paths):
        with open_image(path) as image:
            sharp = np.asarray(luminance(image.load(image.planes[0])), np.float64)
        rng = np.random.default_rng(k)
        sharp *= 250 / max(sharp.max(), 1)
        blurred = cv2.GaussianBlur(sharp, (0, 0), 1.5)
        noisy = rng.poisson(blurred.clip(0) * 0.8) / 0.8
        for name, made in methods(sharp, noisy, rng).items():
            row = values[name]
            row["ssim"].append(float(ssim(sharp, made, data_range=250)))
            row["rsp"].append(rsp(noisy, made))
            start = time.perf_counter()
            found = photometry(noisy, made)
            spent["photometry"].append((time.perf_counter() - start) / made.size * 1e9)
            row["slope"].append(found.slope)
            row["exponent"].append(found.exponent)
            start = time.perf_counter()
            objects = object_measures(sharp, made)
            spent["objects"].append((time.perf_counter() - start) / made.size * 1e9)
            scorer = Scorer(Plane.of(sharp, "image"), ScoreOptions(WANTED, objects="auto"))
            seen[name].append(scorer.score(path.name, name, Plane.of(made, "image")).row)
            for metric in SHOWN:
                row[metric].append(objects[metric])
    columns = ["ssim", "rsp", "slope", "exponent", *SHOWN]
    rows = [["images of", *columns]]
    for name, row in values.items():
        rows.append([name, *(f"{np.nanmean(row[c]):.3f}" for c in columns)])
    print(f"{len(paths)} images of {given.folder}")
    print(align(rows))
    tally, sums = Tally([*seen, "gt"], WANTED), ObjectSums(list(seen))
    for row in (row for of_image in zip(*seen.values(), strict=True) for row in of_image):
        tally.add(row)
        sums.add(row, tally.scored[row.method] - 1)
    print("\n".join(verdict.line for verdict in verdicts(list(sums.agreements(tally)))))
    for name, each in spent.items():
        print(f"{name}: {np.median(each):.0f} ms/MP")


if __name__ == "__main__":
    main()
