"""Denoising without ground truth on public pairs: `bench_public.py FMD [options]`.

FMD holds `raw/KIND_N.png` and `gt/KIND_N.png` (Zhang et al. 2019, arXiv 1812.10366). For each kind,
a network is trained on its raw images alone (`ciegan train --target self`) for --seconds, and
enhances them; the ground truth is looked at for the scores alone. Beside it stands BM3D after a
generalised Anscombe transform with the same noise model, where the package `bm3d` is installed, and
CAREamics' Noise2Void 2 with the same seconds, where --python names its environment (see
peer_careamics.py).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from bench_peers import run_peer
from timing import heading

from cellqa import ssim
from cellqa.io import write_tiff
from cellqa.metrics.pixel import psnr
from cellqa.planes import Array
from cellqa.terminal import align
from ciegan.config import DEFAULT
from ciegan.data import TilingOptions, prepare_noisy
from ciegan.data.noisy import NoiseModel, noise_model
from ciegan.data.pixels import load_image
from ciegan.data.tiles import INPUT
from ciegan.judging.validation import enhanced
from ciegan.network.checkpoint import load
from ciegan.training.run import train

ORDER = ("raw", "bm3d", "self", "n2v")


def denoised_by_bm3d(image: Array, noise: NoiseModel) -> Array | None:
    """Generalised Anscombe transform, BM3D, and its unbiased inverse (Makitalo and Foi 2013)."""
    try:
        from bm3d import bm3d
    except ImportError:
        return None
    pixels = image.astype(np.float64)
    gain = max(noise.gain, 1e-6)
    read = max(noise.constant, 0.0)  # an offset is within the constant: taken as no read noise
    offset = max(-noise.constant / gain, 0.0)
    signal = pixels - offset
    stable = 2 / gain * np.sqrt(np.maximum(gain * signal + 3 / 8 * gain**2 + read, 0))
    span = float(np.ptp(stable))
    least = float(stable.min())
    done = bm3d((stable - least) / span, 1 / span) * span + least
    done = np.maximum(done, 1e-3)
    counts = done**2 / 4 + np.sqrt(1.5) / 4 / done - 11 / 8 / done**2
    counts += 5 / 8 * np.sqrt(1.5) / done**3 - 1 / 8 - read / gain**2
    return np.asarray(counts * gain + offset)


def main() -> None:
    """Print a row for each kind as it is done, and the table of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=300.0, help="of training a kind")
    parser.add_argument("--kinds", nargs="*", help="as Confocal_MICE [default: all]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--python", type=Path, help="of CAREamics")
    chosen = parser.parse_args()
    print(heading("Denoising without ground truth", "all threads"))
    kinds = defaultdict(list)
    for path in sorted((chosen.folder / "raw").glob("*.png")):
        kinds[re.sub(r"_\d+$", "", path.stem)].append(path)
    names = chosen.kinds or list(kinds)
    rows = [["kind", *ORDER, *(f"ssim {name}" for name in ORDER), "steps", "steps n2v"]]
    print(" | ".join(rows[0]), flush=True)
    with tempfile.TemporaryDirectory() as place:
        for kind in names:
            row = of_kind(
                kinds[kind], Path(place) / kind, chosen.seconds, chosen.seed, chosen.python
            )
            rows.append([kind, *row])
            print(" | ".join(rows[-1]), flush=True)
    numbers = np.array([[float(v or "nan") for v in row[1:]] for row in rows[1:]])
    rows.append(["mean", *(f"{v:.4g}" for v in numbers.mean(axis=0))])
    print(align(rows))


def by_n2v(
    images: list[Array], place: Path, seconds: float, seed: int, python: Path
) -> tuple[list[Array], str]:
    """What Noise2Void 2 makes of the images whose parts in `place/data` it learned from."""
    for number, image in enumerate(images):
        write_tiff(place / "data" / "test" / INPUT / f"{number:03d}.tif", image, None)
    told = run_peer(place / "data", place / "n2v", seconds, seed, "n2v", python)
    made = sorted((place / "n2v" / "test").glob("*.tif"))
    if len(made) != len(images):
        sys.exit(f"the peer ended early: {told}")
    return [load_image(path, as_is=True).pixels for path in made], told.split()[0]


def of_kind(
    raw: list[Path], place: Path, seconds: float, seed: int, python: Path | None
) -> list[str]:
    """Mean PSNR and SSIM of the raw images, of BM3D, and of networks trained on them."""
    for path in raw:
        (place / "in").mkdir(parents=True, exist_ok=True)
        (place / "in" / path.name).symlink_to(path.resolve())
    tiling = TilingOptions(tile=128, within=True, split="0.7,0.3,0", min_contrast=0)
    prepare_noisy(place / "in", place / "data", tiling=tiling)
    config = replace(
        DEFAULT,
        seed=seed,
        data=replace(DEFAULT.data, target="self"),
        monitor=replace(DEFAULT.monitor, patience=0, samples=0),
    )
    trained = train(
        place / "data", place / "run", config, device="cpu", max_time=seconds, fit_time=True
    )
    network = load(place / "run")
    images = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in raw]
    truths = [
        cv2.imread(str(p.parents[1] / "gt" / p.name), cv2.IMREAD_UNCHANGED).astype(np.float32)
        for p in raw
    ]
    others, their_steps = by_n2v(images, place, seconds, seed, python) if python else ([], "")
    noise = noise_model(images)
    scores: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number, (image, truth) in enumerate(zip(images, truths, strict=True)):
        found = {"raw": image, "bm3d": denoised_by_bm3d(image, noise)}
        found["self"] = enhanced(network, image)
        found["n2v"] = others[number] if others else None
        for name, result in found.items():
            if result is not None:
                made = np.clip(result, 0, 255).astype(np.float32)
                both = psnr(truth, made, data_range=255), ssim(truth, made, data_range=255)
                scores[name].append((float(both[0]), float(both[1])))
    means = {name: np.mean(values, axis=0) for name, values in scores.items()}
    return [
        *(f"{means[n][0]:.2f}" if n in means else "" for n in ORDER),
        *(f"{means[n][1]:.4f}" if n in means else "" for n in ORDER),
        str(trained.steps),
        their_steps,
    ]


if __name__ == "__main__":
    main()
