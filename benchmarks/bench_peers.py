"""`default` beside CAREamics on the same pairs for the same seconds: `bench_peers.py DATA OUT`.

DATA is as `ciegan prepare` makes it. The peer runs in an environment of its own (--python, see
peer_careamics.py). One core each, one after the other; both judged by the same metrics on the test
split, tiles of a field as one group. --sources tells images apart that are of one field, as the
planes of a focus series: PSNR, and the correlation with the truth once uneven light is taken off.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from timing import heading

from cellqa.enhance.filters import as_type
from cellqa.io import write_tiff
from cellqa.metrics.pixel import psnr
from cellqa.planes import Array
from cellqa.tables.finished import Finished
from cellqa.terminal import align
from ciegan.config import DEFAULT
from ciegan.data.pixels import load_image
from ciegan.data.tile_pairs import read_split
from ciegan.data.tiles import INPUT, TARGET
from ciegan.judging.validation import enhanced, score_tiles, write_tile
from ciegan.network.checkpoint import load
from ciegan.training.run import train

METRICS = ("psnr", "ssim", "ms_ssim", "frc_resolution", "invented")
LIGHT = 30  # pixels of the Gaussian whose blur is uneven light, and not structure


def ours(data: Path, out: Path, seconds: float, seed: int, learned: str) -> str:
    """Train `default`, write what it makes of the test split."""
    monitor = replace(DEFAULT.monitor, patience=0, samples=0)
    config = replace(
        DEFAULT, seed=seed, monitor=monitor, data=replace(DEFAULT.data, target=learned)
    )
    begun = time.process_time()
    done = train(
        data, out / "run", config, device="cpu", max_time=seconds, fit_time=True, overwrite=True
    )
    spent = time.process_time() - begun
    network = load(out / "run")
    tiles = read_split(data, "test")
    if known := network.trained_on.warning(tiles):
        sys.exit(f"{data}: {known}")
    for tile in tiles:
        source, _, size = tile.load()
        write_tile(out / "test", tile, enhanced(network, source, tile.limits), size)
    return f"{done.steps} steps, {spent:.0f} s of the core"


def run_peer(data: Path, out: Path, seconds: float, seed: int, method: str, python: Path) -> str:
    """Let the peer train, and enhance the test split; its last line."""
    script = Path(__file__).with_name("peer_careamics.py")
    words = [python, script, data, out, "--seconds", seconds, "--seed", seed, "--method", method]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(
        list(map(str, words)), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"the peer failed: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip().splitlines()[-1]


def theirs(data: Path, out: Path, seconds: float, seed: int, method: str, python: Path) -> str:
    """What the peer makes of the test split, as pixels of the input's type."""
    told = run_peer(data, out, seconds, seed, method, python)
    for tile in read_split(data, "test"):
        source, _, size = tile.load()
        place = out / "test" / f"{tile.name}.tif"
        made = load_image(place, as_is=True).pixels
        write_tiff(place, as_type(np.asarray(made, np.float64), source.dtype), size)
    return told


def by_field(finished: Finished) -> list[str]:
    """How far `default` is ahead, with the interval that fields give."""
    return [
        f"{c.metric}: {c.first} - {c.second} {c.mean_difference:.4g} "
        f"({c.ci_low:.4g} to {c.ci_high:.4g}, {c.groups} fields, p {c.p:.2g})"
        for c in finished.comparisons
        if c.metric in METRICS and c.first == "default"
    ]


def structure(image: Array) -> Array:
    """An image without its uneven light."""
    pixels = image.astype(np.float32)
    return (pixels - cv2.GaussianBlur(pixels, (0, 0), LIGHT)).ravel()


def by_source(data: Path, folders: dict[str, Path]) -> list[str]:
    """A line for each method and source: mean PSNR and correlation of its tiles."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for tile in read_split(data, "test"):
        source, truth, _ = tile.load()
        made = {
            n: load_image(f / f"{tile.name}.tif", as_is=True).pixels for n, f in folders.items()
        }
        for name, image in {"input": source, **made}.items():
            alike = np.corrcoef(structure(image), structure(truth))[0, 1]
            place = re.sub(r"_y\d+_x\d+$", "", tile.name)
            found[name, place].append((psnr(truth, image, data_range=255), float(alike)))
    means = {key: np.mean(values, axis=0) for key, values in found.items()}
    return [f"{n} {place}: {p:.2f} dB, correlation {c:.3f}" for (n, place), (p, c) in means.items()]


def main() -> None:
    """Print a row for each method and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, nargs="*", default=[120])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--method", choices=("care", "n2v"), default="care")
    parser.add_argument("--python", type=Path, help="of the peer")
    parser.add_argument("--sources", action="store_true", help="a line for each image, too")
    chosen = parser.parse_args()
    print(heading("default beside CAREamics"))
    learned = "self" if chosen.method == "n2v" else "truth"
    rows = [["seconds", "seed", "method", *METRICS, "what"]]
    for seconds in chosen.seconds:
        for seed in range(chosen.seeds):
            out = chosen.out / f"{seconds:g}s{seed}"
            told = {"default": ours(chosen.data, out / "default", seconds, seed, learned)}
            if chosen.python:
                told[chosen.method] = theirs(
                    chosen.data, out / chosen.method, seconds, seed, chosen.method, chosen.python
                )
            finished = score_tiles(
                {name: out / name / "test" for name in told},
                read_split(chosen.data, "test"),
                chosen.data / "test" / TARGET,
                chosen.data / "test" / INPUT,
                out / "results",
                overwrite=True,
            )
            means = {
                (s.method, s.metric): s.mean for s in finished.summaries if s.metric in METRICS
            }
            for name in ("input", *told):
                numbers = [f"{means.get((name, metric), np.nan):.4g}" for metric in METRICS]
                rows.append([f"{seconds:g}", str(seed), name, *numbers, told.get(name, "")])
                print(" ".join(rows[-1]), flush=True)
            print(*by_field(finished), sep="\n", flush=True)
            if chosen.sources:
                folders = {name: out / name / "test" for name in told}
                print(*by_source(chosen.data, folders), sep="\n", flush=True)
    print(align(rows))


if __name__ == "__main__":
    main()
