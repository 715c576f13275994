"""Objects against stardist and scikit-image.

python benchmarks/bench_objects.py FOLDER... [--stardist WHEEL]

Precision, matches and overlaps against `stardist.matching.matching`; areas, centres, intensities
and eccentricities against `skimage.measure.regionprops`. Labels are those of each fluorescence
image of the folders and of what blur and noise leave of it, segmented alike. WHEEL is an unpacked
one of stardist (`pip download --no-deps stardist`, then unzip): its `matching.py` is loaded alone,
without its other dependencies, and its nuclei with masks by hand are compared too.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.measure import regionprops
from timing import heading

from cellqa import Plane, match_objects
from cellqa.io import luminance, open_image
from cellqa.planes import Array
from cellqa.planes.segment import segmented

Pair = tuple[str, Array, Array, Array, Array]  # name, truth, image, labels of both


def matching_of(wheel: Path) -> Callable[..., Any]:
    """`stardist.matching.matching`, of an unpacked wheel."""

    def raising(error: Exception) -> None:
        raise error

    known: Any = types.ModuleType("csbdeep.utils")
    known._raise = raising
    sys.modules.setdefault("csbdeep", types.ModuleType("csbdeep"))
    sys.modules.setdefault("csbdeep.utils", known)
    spec = importlib.util.spec_from_file_location("matching", wheel / "stardist/matching.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Any] = module.matching
    return found


def blurred(folders: list[Path]) -> Iterator[Pair]:
    """Each image and what blur and noise leave of it, segmented alike."""
    for k, path in enumerate(sorted(p for f in folders for p in f.iterdir() if p.is_file())):
        with open_image(path) as file:
            truth = np.asarray(luminance(file.load(file.planes[0])), np.float64)
        rng = np.random.default_rng(k)
        image = rng.poisson(cv2.GaussianBlur(truth, (0, 0), 1.5) * 0.8) / 0.8
        both = (truth, image)
        yield path.name, *both, *(segmented(Plane.of(each, "image")) for each in both)


def by_hand(wheel: Path) -> Iterator[Pair]:
    """Nuclei with masks by hand, and the same cells moved, grown, split, joined and lost."""
    read = [wheel / f"stardist/data/images/{name}2d.tif" for name in ("img", "mask")]
    pixels = []
    for path in read:
        with open_image(path) as file:
            pixels.append(file.load(file.planes[0]))
    image, labels = np.asarray(pixels[0], float), np.asarray(pixels[1]).astype(np.int32)
    yield "nuclei, truth against itself", image, image, labels, labels
    yield "nuclei, built-in segmentation", image, image, labels, segmented(Plane.of(image, "image"))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        moved = np.roll(labels, rng.integers(-4, 5, 2), (0, 1))
        names = np.unique(moved[moved > 0])
        for name in rng.permutation(names)[:20]:
            at = moved == name
            fate = rng.integers(0, 4)
            if fate == 0:
                moved[at] = 0
            elif fate == 1:
                moved[at] = rng.choice(names)
            elif fate == 2:
                rows = np.flatnonzero(at.any(axis=1))
                at[: rows[len(rows) // 2]] = False
                moved[at] = moved.max() + 1
            else:
                around = cv2.dilate(at.astype(np.uint8), np.ones((5, 5))) > 0
                moved[around & (moved == 0)] = name
        yield f"nuclei, moved {seed}", image, image, labels, moved


def differences(pair: Pair, matching: Callable[..., Any] | None) -> dict[str, float]:
    """The largest difference from each peer; relative, of areas and intensities."""
    _, truth, image, labels, own = pair
    found = match_objects(truth, image, labels=(labels, own))
    worst: dict[str, float] = {}

    def against(name: str, value: Any, expected: Any) -> None:
        apart = np.abs(np.asarray(value, float) - np.asarray(expected, float))
        worst[name] = max(worst.get(name, 0.0), float(apart.max(initial=0.0)))

    if matching is not None:
        peers = [matching(_in_turn(labels), _in_turn(own), thresh=t, report_matches=True)
                 for t in np.arange(0.5, 1.0, 0.05)]  # fmt: skip
        first = peers[0]
        against("stardist: accuracy at 0.5", found.ap50, first.accuracy)
        against("stardist: mean of 0.5 to 0.95", found.ap, np.mean([p.accuracy for p in peers]))
        against("stardist: objects", (found.truths, found.found), (first.n_true, first.n_pred))
        against("stardist: matches", len(found.pairs), first.tp)
        scores = [s for s, p in zip(first.matched_scores, first.matched_pairs, strict=True)
                  if s >= 0.5]  # fmt: skip
        against("stardist: overlaps", np.sort(found.iou), np.sort(scores))
    for measured, pixels, of in ((found.of_truth, truth, labels), (found.of_image, image, own)):
        background = float(np.median(pixels[of == 0]))
        for k, each in enumerate(regionprops(of, intensity_image=pixels)):
            assert each.label == measured.names[k]
            total = each.intensity_mean * each.area
            against("regionprops: area", measured.area[k], each.area)
            against("regionprops: centre", (measured.y[k], measured.x[k]), each.centroid)
            against("regionprops: mean, relative", measured.mean[k] / each.intensity_mean, 1)
            sums = (measured.total[k] + background * each.area) / total
            against("regionprops: total, relative", sums, 1)
            against("regionprops: eccentricity", measured.eccentricity[k], each.eccentricity)
    return worst


def _in_turn(labels: Array) -> Array:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--stardist", type=Path)
    given = parser.parse_args()
    print(heading("Objects"))
    matching = matching_of(given.stardist) if given.stardist else None
    pairs = [*blurred(given.folders), *(by_hand(given.stardist) if given.stardist else ())]
    worst: dict[str, float] = {}
    for pair in pairs:
        for name, value in differences(pair, matching).items():
            worst[name] = max(worst.get(name, 0.0), value)
    print(f"\n{len(pairs)} pairs\n\n| of | largest difference |\n|---|---|")
    for name, value in sorted(worst.items()):
        print(f"| {name} | {value:.1e} |")
    pixels = sum(pair[1].size for pair in pairs) / 1e6
    print("\n| | ms/MP |\n|---|---|")
    works: dict[str, Callable[[Pair], Any]] = {
        "segmentation": lambda p: segmented(Plane.of(p[2], "image")),
        "match, and all measures": lambda p: match_objects(p[1], p[2], labels=(p[3], p[4])),
        "regionprops, the same measures of both": lambda p: [
            (e.area, e.centroid, e.intensity_mean, e.eccentricity)
            for of, pixels in ((p[3], p[1]), (p[4], p[2]))
            for e in regionprops(of, intensity_image=pixels)
        ],
    }
    if matching is not None:
        peer = matching
        works["stardist, ten thresholds"] = lambda p: peer(
            _in_turn(p[3]), _in_turn(p[4]), thresh=tuple(np.arange(0.5, 1.0, 0.05))
        )
    for name, work in works.items():
        work(pairs[0])
        start = time.process_time()
        for pair in pairs:
            work(pair)
        print(f"| {name} | {1e3 * (time.process_time() - start) / pixels:.0f} |")


if __name__ == "__main__":
    main()
