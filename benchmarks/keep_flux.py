"""What `ciegan enhance --keep-flux` costs in PSNR, and what it keeps: nuclei, with `general`.

    python benchmarks/keep_flux.py SHARP [--fields 12] [--pairs RAW GT ...]

SHARP holds sharp fields of nuclei, which are blurred and dimmed here. RAW and GT are folders of
acquired pairs of the same names.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from cellqa import photometry, psnr
from cellqa.io import grey, open_image
from ciegan.enhancing.enhancer import EnhanceOptions, NetworkEnhancer
from ciegan.network.checkpoint import load
from ciegan.network.runner import Runner

# blur in pixels, photons at white
KINDS = {"blurred": (2.0, 20_000), "dim": (1.2, 100), "very dim": (0.5, 20)}


def read(path: Path) -> np.ndarray:
    with open_image(path) as file:
        return np.asarray(grey(file.load(file.planes[0])), np.float64)


def degraded(sharp: np.ndarray, sigma: float, photons: float, seed: int) -> np.ndarray:
    blurred = cv2.GaussianBlur(sharp, (0, 0), sigma)
    white = np.percentile(sharp, 99.9)
    counts = np.random.default_rng(seed).poisson(np.maximum(blurred, 0) / white * photons)
    return (counts / photons * white * 64).clip(0, 65535).astype(np.uint16)


def fields(arguments: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Kind, raw image and ground truth."""
    paths = sorted(arguments.sharp.iterdir())[: arguments.fields]
    for kind, (sigma, photons) in KINDS.items():
        for k, path in enumerate(paths):
            sharp = read(path)[:256, :256]
            if min(sharp.shape) >= 128:
                yield kind, degraded(sharp, sigma, photons, k), sharp * 64
    if arguments.pairs:
        raw, truth = arguments.pairs
        for path in sorted(raw.iterdir()):
            if arguments.like in path.name and (truth / path.name).exists():
                pair = read(path)[:256, :256], read(truth / path.name)[:256, :256]
                yield f"pairs {arguments.like}".strip(), pair[0].astype(np.uint16), pair[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sharp", type=Path)
    parser.add_argument("--fields", type=int, default=12)
    parser.add_argument("--pairs", type=Path, nargs=2)
    parser.add_argument("--like", default="", help="part of the names of pairs")
    arguments = parser.parse_args()
    network = load("general")
    runner = Runner(network.generator)
    rows: dict[str, list[list[float]]] = {}
    for kind, raw, truth in fields(arguments):
        row = [psnr(truth, raw, data_range=float(np.ptp(truth)))]
        for keep in (False, True):
            enhancer = NetworkEnhancer(network, EnhanceOptions(keep_flux=keep), runner)
            bands = enhancer.parts(lambda a, b, raw=raw: raw[a:b], raw.shape, raw.dtype)
            made = np.concatenate([band.enhanced for band in bands])
            row.append(psnr(truth, made, data_range=float(np.ptp(truth))))
            try:
                row.append(abs(photometry(raw, made).slope - 1))
            except ValueError:
                row.append(np.nan)
        rows.setdefault(kind, []).append(row)
    print("PSNR in dB, and how far the slope of photometry is from 1; means\n")
    print(
        f"{'fields':24} {'n':>3} {'raw':>7} {'plain':>7} {'kept':>7} {'cost':>7} {'slope':>7} kept"
    )
    for kind, found in rows.items():
        raw_psnr, plain, off, kept, kept_off = np.nanmean(np.array(found), axis=0)
        print(
            f"{kind:24} {len(found):3} {raw_psnr:7.2f} {plain:7.2f} {kept:7.2f} "
            f"{plain - kept:7.3f} {off:7.4f} {kept_off:.4f}"
        )


if __name__ == "__main__":
    main()
