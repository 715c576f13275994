"""How long until the first verdict, and until the page is there: `bench_first_hour.py [--clone]`.

With --clone: from `git clone` of this folder, through a new environment, to the verdict over twelve
fields of the first tutorial. Then pages of 50 and 1,000 images with two methods, and of a table of
50,000: their size, what it takes to make them, and to open them in Chromium.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from timing import heading

from cellqa.io import write_tiff
from cellqa.metrics.registry import select
from cellqa.pairs.pairing import pair_folders
from cellqa.reporting.page import report
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.run import score_to_folder
from cellqa.simulate import nuclei
from cellqa.tables.external import run_of_table
from cellqa.terminal import align

PROJECT = Path(__file__).resolve().parent.parent
SIDE = 128
METRICS = ["psnr", "ssim", "frc_resolution", "invented"]


def from_clone(folder: Path) -> list[list[str]]:
    """Seconds of each step from a clone to a verdict."""
    text = (PROJECT / "docs/tutorials/score.md").read_text(encoding="utf-8")
    images = text.partition("```python")[2].partition("\n")[2].partition("```")[0]
    (folder / "images.py").write_text(images, encoding="utf-8")
    env = folder / "env/bin"
    steps = {
        "git clone": ["git", "clone", "--quiet", PROJECT, "cellqa"],
        "python -m venv": [sys.executable, "-m", "venv", "env"],
        "pip install": [env / "pip", "install", "--quiet", "./cellqa"],
        "images of the tutorial": [env / "python", "images.py"],
        "cellqa enhance": [env / "cellqa", "enhance", "raw", "te", "--method", "te"],
        "cellqa score": [
            *(env / "cellqa", "score", "--pred", "te=te", "--gt", "sharp", "--input", "raw"),
        ],
    }
    rows, begun = [["step", "seconds"]], time.perf_counter()
    for name, line in steps.items():
        start = time.perf_counter()
        done = subprocess.run(list(map(str, line)), cwd=folder, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr.decode().strip().splitlines()[-1]}")
        rows.append([name, f"{time.perf_counter() - start:.1f}"])
    return [*rows, ["all", f"{time.perf_counter() - begun:.1f}"]]


def scored(folder: Path, images: int) -> Path:
    """The folder of a run of two methods."""
    rng = np.random.default_rng(0)
    scenes = [nuclei((SIDE, SIDE), seed=k).image for k in range(16)]
    for k in range(images):
        sharp = np.roll(scenes[k % 16], (7 * k, 3 * k), (0, 1))
        for name, noise in (("gt", 0), ("raw", 12), ("a", 6), ("b", 4)):
            noisy = np.clip(sharp + rng.normal(0, noise, sharp.shape), 0, None).astype(np.uint16)
            write_tiff(folder / name / f"{k:05}.tif", noisy, 0.2)
    pairing = pair_folders(
        {"a": folder / "a", "b": folder / "b"}, reference=folder / "gt", raw=folder / "raw"
    )
    options = ScoreOptions(metrics=tuple(select(METRICS)))
    score_to_folder(pairing, folder / "run", options=options)
    return folder / "run"


def table(path: Path, images: int) -> Path:
    """Somebody else's table of two methods and three metrics."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"image": np.repeat([f"{k:06}.tif" for k in range(images)], 2)})
    frame["method"] = ["a", "b"] * images
    for name, level, spread in (("psnr", 30, 2), ("ssim", 0.8, 0.05), ("frc_resolution", 1, 0.1)):
        frame[name] = rng.normal(level, spread, len(frame)).round(4)
    frame.to_csv(path, index=False)
    return path


def opened(page: Path) -> tuple[float, float]:
    """Seconds until a page is parsed, and until all of it, pictures too, is there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport={"width": 1300, "height": 900})
        tab.goto(page.as_uri(), wait_until="load")
        timing = "performance.getEntriesByType('navigation')[0]"
        ready = tab.evaluate(f"{timing}.domContentLoadedEventEnd")
        whole = tab.evaluate(f"{timing}.loadEventEnd")
        browser.close()
    return ready / 1000, whole / 1000


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clone", action="store_true")
    chosen = parser.parse_args()
    print(heading("The first hour"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.clone:
            print(align(from_clone(folder)), flush=True)
        rows = [["images", "MB", "MB of report.zip", "made in s", "parsed in s", "loaded in s"]]
        for images in (50, 1000, 50_000):
            if images <= 1000:
                run = scored(folder / str(images), images)
            else:
                run = folder / "of-table"
                run_of_table(table(folder / "table.csv", images), run)
            begun = time.perf_counter()
            page = report(run)
            spent = time.perf_counter() - begun
            zipped = page.with_suffix(".zip")
            size = f"{zipped.stat().st_size / 1e6:.1f}" if zipped.exists() else "-"
            ready, whole = opened(page)
            rows.append(
                [
                    f"{images:,}",
                    f"{page.stat().st_size / 1e6:.1f}",
                    size,
                    *(f"{seconds:.2f}" for seconds in (spent, ready, whole)),
                ]
            )
            print(" ".join(rows[-1]), flush=True)
        print(align(rows))


if __name__ == "__main__":
    main()
