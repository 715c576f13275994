"""The whole command: against decoding alone, one process against two, and the usual stack.

Run: python benchmarks/bench_score.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tifffile
from timing import heading, run_command

METHODS = ("a", "b", "c")
PAIRS = 1128  # as the paper's brightfield set


def make_tiles(folder: Path, count: int, methods: tuple[str, ...]) -> None:
    """256 x 256 PNG tiles that look like phase contrast: smooth cells, a little noise."""
    rng = np.random.default_rng(0)
    field = cv2.GaussianBlur(rng.normal(0, 1, (2048, 2048)), (0, 0), 3)
    field = 128 + 35 * field / field.std()
    for name in ("gt", *methods):
        (folder / name).mkdir(parents=True)
    for k in range(count):
        y, x = rng.integers(0, 2048 - 256, 2)
        tile = field[y : y + 256, x : x + 256]
        for j, name in enumerate(("gt", *methods)):
            noisy = np.clip(tile + rng.normal(0, 1 + j, tile.shape), 0, 255).astype(np.uint8)
            path = folder / name / f"{k:05}.png"
            path.write_bytes(cv2.imencode(".png", noisy)[1].tobytes())


def make_large(folder: Path) -> None:
    """Eight pairs of 2048 x 2048 uint16 TIFF."""
    rng = np.random.default_rng(0)
    for name in ("gt", "a"):
        (folder / name).mkdir(parents=True)
    for k in range(8):
        scene = cv2.GaussianBlur(rng.normal(0, 1, (2048, 2048)), (0, 0), 3)
        scene = 20000 + 6000 * scene / scene.std()
        for j, name in enumerate(("gt", "a")):
            noisy = np.clip(scene + rng.normal(0, 200 + 300 * j, scene.shape), 0, 65535)
            tifffile.imwrite(folder / name / f"{k}.tif", noisy.astype(np.uint16))


def run(folder: Path, methods: tuple[str, ...], jobs: int) -> tuple[float, float]:
    """Wall and CPU seconds of the command, its workers included."""
    pred = [part for name in methods for part in ("--pred", f"{name}={folder / name}")]
    with tempfile.TemporaryDirectory() as out:
        line = [sys.executable, "-m", "cellqa", "score", *pred, "--gt", folder / "gt"]
        cost = run_command(*line, "--out", f"{out}/r", "--jobs", jobs)
    return cost.wall, cost.cpu


def decode(folder: Path) -> float:
    """CPU seconds to read and decode every file, as fast as is known."""
    start = time.process_time()
    for path in sorted(folder.rglob("*.*")):
        if path.suffix == ".png":
            cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        else:
            tifffile.imread(path)
    return time.process_time() - start


def usual_stack(folder: Path, methods: tuple[str, ...], limit: int) -> float:
    """CPU seconds a pair of scikit-image, pytorch-msssim and scikit-learn in a loop."""
    import torch
    from pytorch_msssim import ms_ssim
    from skimage import io, measure, metrics
    from sklearn.metrics import mutual_info_score, normalized_mutual_info_score

    torch.set_num_threads(1)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    start, done = time.process_time(), 0
    for path in sorted((folder / "gt").iterdir())[:limit]:
        gt = io.imread(path)
        data_range = 255 if gt.dtype == np.uint8 else int(gt.max()) - int(gt.min())
        for name in methods:
            image = io.imread(folder / name / path.name)
            a, b = (torch.from_numpy(z.astype(np.float32))[None, None] for z in (gt, image))
            shift = 0 if gt.dtype == np.uint8 else 8
            x, y = (gt >> shift).ravel(), (image >> shift).ravel()
            metrics.peak_signal_noise_ratio(gt, image, data_range=data_range)
            metrics.normalized_root_mse(gt, image)
            metrics.structural_similarity(gt, image, data_range=data_range, **wang)
            ms_ssim(a, b, data_range=data_range)
            mutual_info_score(x, y)
            normalized_mutual_info_score(x, y)
            measure.shannon_entropy(y)
            done += 1
    return (time.process_time() - start) / done


def report(title: str, folder: Path, methods: tuple[str, ...], best_of: int) -> None:
    def best(call: Callable[[], tuple[float, float]]) -> tuple[float, float]:
        return min((call() for _ in range(best_of)), key=lambda pair: pair[0])

    files = len(list((folder / "gt").iterdir()))
    decoding = min(decode(folder) for _ in range(3))
    wall1, cpu1 = best(lambda: run(folder, methods, 1))
    wall2, cpu2 = best(lambda: run(folder, methods, 2))
    stack = usual_stack(folder, methods, 20 if files > 100 else 2) * files * len(methods)
    print(f"{title}: {files} images x {len(methods)} methods, resolution included")
    print(f"  decoding every file            {decoding:8.2f} s CPU")
    print(f"  cellqa score --jobs 1          {cpu1:8.2f} s CPU {wall1:8.2f} s wall")
    print(f"  cellqa score --jobs 2          {cpu2:8.2f} s CPU {wall2:8.2f} s wall")
    print(f"  the usual stack, no resolution {stack:8.2f} s CPU (from a sample)")
    print(f"  CPU, --jobs 1 to decoding: {cpu1 / decoding:.2f}")
    print(f"  wall, --jobs 1 to --jobs 2: {wall1 / wall2:.2f}")
    print(f"  CPU, the usual stack to --jobs 1: {stack / cpu1:.1f}\n", flush=True)


def main() -> None:
    cv2.setNumThreads(1)
    print(heading("The whole command"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_tiles(folder / "tiles", PAIRS, METHODS)
        make_large(folder / "large")
        report("256 x 256 PNG", folder / "tiles", METHODS, 2)
        report("2048 x 2048 uint16 TIFF", folder / "large", ("a",), 2)


if __name__ == "__main__":
    main()
