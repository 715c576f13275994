"""Cost and memory against the number of images and against their size.

Run: python benchmarks/scaling.py [LARGEST_COUNT [LARGEST_SIDE]]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import tifffile
from timing import Cost, heading, run_command

COUNTS = (100, 1000, 5000, 20000)
SIDES = (256, 512, 1024, 2048, 4096, 8192)


def score(folder: Path, jobs: int) -> Cost:
    """Cost of a run over the folder."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    line = [sys.executable, "-m", "cellqa", "score", "--pred", f"a={folder / 'a'}"]
    return run_command(*line, "--gt", folder / "gt", "--out", out, "--jobs", jobs)


def slope(x: list[float], y: list[float]) -> float:
    """Exponent of a power law fitted to both."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def by_number(folder: Path, largest: int) -> None:
    rng = np.random.default_rng(0)
    for name in ("gt", "a"):
        (folder / name).mkdir(parents=True)
    base = cv2.GaussianBlur(rng.normal(0, 1, (1024, 1024)), (0, 0), 3)
    base = 128 + 35 * base / base.std()
    made, counts, costs = 0, [], []
    print("  images     wall s      CPU s   ms CPU a pair     main MB   worker MB", flush=True)
    for count in [c for c in COUNTS if c <= largest]:
        for k in range(made, count):
            y, x = rng.integers(0, 768, 2)
            for j, name in enumerate(("gt", "a")):
                tile = base[y : y + 256, x : x + 256] + rng.normal(0, 1 + j, (256, 256))
                data = cv2.imencode(".png", np.clip(tile, 0, 255).astype(np.uint8))[1]
                (folder / name / f"{k:06}.png").write_bytes(data.tobytes())
        made = count
        wall, cpu, main, worker = score(folder, 1)
        counts.append(float(count))
        costs.append(cpu)
        print(
            f"{count:8} {wall:10.2f} {cpu:10.2f} {cpu / count * 1e3:15.2f} {main / 1e6:12.0f} "
            f"{worker / 1e6:10.0f}",
            flush=True,
        )
    if len(counts) > 2:
        marginal = np.polyfit(counts, costs, 1)
        print(f"  one more pair: {marginal[0] * 1e3:.2f} ms CPU; start: {marginal[1]:.2f} s\n")


def by_side(folder: Path, largest: int) -> None:
    rng = np.random.default_rng(0)
    sides, costs = [], []
    print("    side     wall s      CPU s   ns CPU a pixel   memory MB   times the pair's bytes")
    for side in [s for s in SIDES if s <= largest]:
        shutil.rmtree(folder, ignore_errors=True)
        scene = 20000 + 5000 * cv2.GaussianBlur(
            rng.standard_normal((side, side), dtype=np.float32), (0, 0), 2
        )
        for j, name in enumerate(("gt", "a")):
            (folder / name).mkdir(parents=True)
            noise = rng.standard_normal((side, side), dtype=np.float32) * (200 + 300 * j)
            tifffile.imwrite(folder / name / "x.tif", np.clip(scene + noise, 0, 65535).astype("u2"))
        del scene, noise
        wall, cpu, main, worker = score(folder, 1)
        memory = max(main, worker)
        pair = 2 * 2 * side * side
        sides.append(float(side))
        costs.append(cpu)
        print(
            f"{side:8} {wall:10.2f} {cpu:10.2f} {cpu / side**2 * 1e9:16.0f} {memory / 1e6:11.0f} "
            f"{memory / pair:10.1f}"
        )
    if len(sides) > 3:
        print(f"  CPU grows as side^{slope(sides[-3:], costs[-3:]):.2f} over the last three\n")


def main() -> None:
    counts = int(sys.argv[1]) if len(sys.argv) > 1 else COUNTS[-1]
    sides = int(sys.argv[2]) if len(sys.argv) > 2 else SIDES[-1]
    print(heading("Cost against number and size, --jobs 1"))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        by_number(Path(temporary) / "number", counts)
        by_side(Path(temporary) / "side", sides)
    print(f"{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
