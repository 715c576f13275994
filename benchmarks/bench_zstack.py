"""Training on a focus series: `python benchmarks/bench_zstack.py FOLDER [options]`.

Networks are trained on the left half of a brightfield focus series, on planes that are really out
of focus, or modelled so, or blurred by a Gaussian; and tested on its right half.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from bench_comparison import PLANES, SHARP as FOCUS
from bench_training import small_default
from timing import heading

from cellqa.io import open_image, write_tiff
from cellqa.simulate import filtered
from cellqa.terminal import align
from ciegan.config import DEFAULT, Losses, Network
from ciegan.data import TilingOptions, ZStack, prepare_blur, prepare_zstack
from ciegan.data.degrade import BrightfieldDefocus, Gaussian, Noise
from ciegan.data.optics import (
    BrightfieldFit,
    brightfield_defocus,
    defocused,
    fit_brightfield,
    rings_of,
)
from ciegan.network.checkpoint import Checkpoint, load
from ciegan.network.windows import enhance_plane
from ciegan.training.run import train

Array = npt.NDArray[Any]


# 25 µm out of focus, a point spreads over more than 100 pixels, and nothing of the input can stay
OUT_OF_FOCUS = {"widths": [24, 48, 64, 64], "blocks": [1, 1, 1, 1], "residual": False}
BACKGROUND = 60  # sigma of what is taken off before correlations: uneven light, the same in all


def zstack(folder: Path, out: Path, minutes: float, device: str) -> None:
    """Networks trained on real, modelled and Gaussian defocus of the left half, on the right."""
    halves: dict[str, dict[int, Array]] = {"left": {}, "right": {}}
    size = 0.2005
    for z, name in {**PLANES, 0: FOCUS}.items():
        with open_image(folder / f"set1_{name}.tif") as file:
            plane = file.load(file.planes[0])
        middle = plane.shape[1] // 2
        halves["left"][z], halves["right"][z] = plane[:, :middle], plane[:, middle:]
    flat = {side: {z: _flat(p) for z, p in planes.items()} for side, planes in halves.items()}
    stage = [float(re.sub(r".*z", "", name)) - 1352.25 for name in PLANES.values()]
    fit = fit_brightfield(
        flat["left"][0], [flat["left"][z] for z in PLANES], stage, pixel_size=size
    )
    print(f"fitted: {fit.microscope}, distances {np.round(fit.distances, 1)}")
    _forward(flat, fit, size)
    runs = {}
    for kind, data in _kinds(flat["left"], fit, out, size):
        config = replace(
            small_default(),
            # one grey level for all: by the levels of its own image, a network recognises the plane
            # that it is shown, and is lost where they differ
            data=replace(DEFAULT.data, crop=192, batch_size=4, normalize="train"),
            generator=Network("resunet", OUT_OF_FOCUS),
            losses=Losses({"l2": 1.0}),  # the mean of what it may have been correlates best
            monitor=replace(small_default().monitor, metrics={"nrmse": 1.0}, every=100),
        )
        trained = train(
            data,
            out / f"run-{kind}",
            config,
            device=device,
            max_time=60 * minutes,
            fit_time=True,
            overwrite=True,
        )
        print(f"{kind}: {trained.steps} steps, best at {trained.best['step']}", flush=True)
        runs[kind] = load(out / f"run-{kind}")
    _restoring(halves, flat, runs, size)


def _restoring(
    halves: dict[str, dict[int, Array]],
    flat: dict[str, dict[int, Array]],
    runs: dict[str, Checkpoint],
    size: float,
) -> None:
    """The plane in focus from those out of focus: without background, and as recorded."""

    def restorer(network: Checkpoint) -> Callable[[int], Array]:
        def restored(z: int) -> Array:
            plane = flat["right"][z].astype(np.float32)
            return enhance_plane(network.generator, plane, network.normalisation)

        return restored

    def put_back(make: Callable[[int], Array]) -> Callable[[int], Array]:
        return lambda z: make(z) + _background(halves["right"][z])

    linear = _linear(flat, size)
    whole = {side: {z: _windowed(p) for z, p in planes.items()} for side, planes in halves.items()}
    header = [f"{z:+d} µm" for z in PLANES]
    rows = [["in focus, right half, without background, from", *header]]
    rows.append(["nothing (the plane itself)", *_each(lambda z: flat["right"][z], flat)])
    rows.append(["best linear isotropic filter", *_each(linear, flat)])
    for kind, network in runs.items():
        rows.append([f"network, {kind} defocus", *_each(restorer(network), flat)])
    print(align(rows))
    rows = [["in focus, right half, as recorded, Hann window, from", *header]]
    rows.append(["nothing (the plane itself)", *_each(lambda z: whole["right"][z], whole)])
    rows.append(["best linear isotropic filter", *_each(_linear(whole, size), whole)])
    makers = {"filter": linear} | {
        f"network, {kind} defocus": restorer(network) for kind, network in runs.items()
    }
    for name, make in makers.items():
        again = put_back(make)
        cells = _each(lambda z, again=again: _windowed(again(z)), whole)
        rows.append([f"{name}, background put back", *cells])
    print(align(rows))


def _background(plane: Array) -> Array:
    """Uneven light, and what is as smooth."""
    return cv2.GaussianBlur(plane.astype(np.float64), (0, 0), BACKGROUND)


def _flat(plane: Array) -> Array:
    """Without uneven light."""
    return plane - _background(plane)


def _windowed(plane: Array) -> Array:
    """Without its mean, fading towards the borders."""
    return (plane - plane.mean()) * np.outer(*(np.hanning(n) for n in plane.shape))


def _each(make: Callable[[int], Array], planes: dict[str, dict[int, Array]]) -> list[str]:
    truth = planes["right"][0].ravel()
    return [f"{np.corrcoef(make(z).ravel(), truth)[0, 1]:.2f}" for z in PLANES]


def _linear(flat: dict[str, dict[int, Array]], size: float) -> Callable[[int], Array]:
    def make(z: int) -> Array:
        rings = rings_of(flat["left"][0], flat["left"][z], size)
        transfer = rings.cross / rings.second
        return filtered(
            flat["right"][z],
            lambda r: np.interp(r / (2 * size), rings.frequency, transfer),
            64,
        )

    return make


def _forward(flat: dict[str, dict[int, Array]], fit: BrightfieldFit, size: float) -> None:
    """How well planes out of focus are predicted from the plane in focus, on the right half."""
    focus = flat["right"][0]
    rows = [["plane of the right half from its focus", *(f"{z:+d} µm" for z in PLANES)]]
    plain, free, model = [], [], []
    for z, distance in zip(PLANES, fit.distances, strict=True):
        rings = rings_of(flat["left"][0], flat["left"][z], size)
        transfer = rings.cross / rings.first
        predicted = {
            "free": filtered(
                focus,
                lambda r, t=transfer, q=rings.frequency: np.interp(r / (2 * size), q, t),
                64,
            ),
            "model": defocused(
                focus,
                lambda q, d=distance: brightfield_defocus(q, d, fit.microscope),
                pixel_size=size,
            ),
        }
        truth = flat["right"][z].ravel()
        plain.append(f"{np.corrcoef(focus.ravel(), truth)[0, 1]:.2f}")
        free.append(f"{np.corrcoef(predicted['free'].ravel(), truth)[0, 1]:.2f}")
        model.append(f"{np.corrcoef(predicted['model'].ravel(), truth)[0, 1]:.2f}")
    rows += [["the focus itself", *plain], ["free radial transfer function", *free]]
    rows.append(["weak-object model", *model])
    print(align(rows), flush=True)


def _kinds(
    left: dict[int, Array], fit: BrightfieldFit, out: Path, size: float
) -> Iterator[tuple[str, Path]]:
    """Training data of three kinds; the lowest third of the half validates."""
    tiling = TilingOptions(
        tile=320, min_contrast=0.0, split=str(out / "split.csv"), pixel_size=size
    )
    lines = "field,split\n" + "".join(
        f"{part},{split}\n" for part, split in (("upper", "train"), ("lower", "val"))
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "split.csv").write_text(lines)
    parts = {"upper": np.s_[:704], "lower": np.s_[704:]}
    for part, rows in parts.items():
        for z, plane in left.items():
            pixels = np.ascontiguousarray(plane[rows], np.float32)
            write_tiff(out / "planes" / part / f"z{1000 + z}.tif", pixels, size)
            if z == 0:
                write_tiff(out / "focus" / f"{part}.tif", pixels, size)
    stacks = [out / "planes" / part for part in parts]
    options = ZStack(pattern=r"z(\d+)", modality="brightfield", register=False)
    prepare_zstack(stacks, out / "real", options, tiling=tiling, overwrite=True)
    yield "real", out / "real"
    furthest = 1.2 * max(map(abs, fit.distances))
    noise = Noise(photons=0, read=1.0)
    for kind, how in (
        ("modelled", BrightfieldDefocus((-furthest, furthest), fit.microscope)),
        ("Gaussian", Gaussian((1.0, 8.0))),
    ):
        data = out / kind.lower()
        prepare_blur(
            out / "focus", data, how, noise=noise, draws=24, tiling=tiling, jobs=2, overwrite=True
        )
        yield kind, data
    yield "real and modelled", _joined(out / "real", out / "modelled", out / "both")


def _joined(first: Path, second: Path, out: Path) -> Path:
    """The first with the training tiles of the second added; the first validates."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(first, out)
    _, *lines = (second / "pairs.csv").read_text().splitlines()
    kept = [f"m_{line}" for line in lines if line.split(",")[1] == "train"]
    with (out / "pairs.csv").open("a") as table:
        table.write("\n".join(kept) + "\n")
    for role in ("input", "target"):
        for tile in (second / "train" / role).iterdir():
            shutil.copy(tile, out / "train" / role / f"m_{tile.name}")
    return out


def main() -> None:
    """Train, test and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("bench-training"))
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    given = parser.parse_args()
    torch.set_num_threads(2)
    print(heading("Training: zstack", f"{given.device}, 2 threads"))
    zstack(given.folder, given.out / "zstack", given.minutes, given.device)


if __name__ == "__main__":
    main()
