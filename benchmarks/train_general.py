"""How the built-in network `general` was made: `python benchmarks/train_general.py STEP ...`.

gather DATA SHARP   sharp fields of permissive public sets in DATA
simulate SHARP      adds simulated ones
prepare SHARP OUT   pairs to learn from, `OUT/pairs`
tests SHARP OUT     pairs of fields that were kept back, `OUT/test/SET`
train OUT RUN       for --minutes, on --device, from weights that are there with --start
keep RUN OUT        the weights in half precision, where `ciegan enhance general` finds them
score OUT           the tables of the model card, beside input and classical methods

DATA holds, by these names, images of BBBC038 (dsb2018_nuclei: `fluo`, `brightfield_gray`), BBBC006
(bbbc006_hoechst_focus/near_focus_z10), DFNN (dfnn_fluo_zstacks) and Usiigaci
(usiigaci_phase_contrast). Every fourth field of each is kept back.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np

from cellqa import detail_budget, ssim, supported
from cellqa.enhance.filters import as_type
from cellqa.io import luminance, open_image, write_tiff
from cellqa.metrics.pixel import psnr
from cellqa.planes import Array
from cellqa.simulate import optical_blur, scenes
from cellqa.terminal import align
from ciegan.config import DEFAULT, Config
from ciegan.data import TilingOptions, prepare_blur
from ciegan.data.degrade import FluorescenceDefocus, Gaussian, Noise
from ciegan.data.optics import Optics
from ciegan.data.prepare import images_below, only, prepare_folder, seed_of
from ciegan.data.tile_pairs import read_split, spread
from ciegan.data.tiles import Pair
from ciegan.judging.classical import fitted, pairs_to_fit
from ciegan.judging.validation import enhanced
from ciegan.network.builtin import WEIGHTS
from ciegan.network.checkpoint import content_hash, load, save
from ciegan.training.calibration import calibrate, looked_at
from ciegan.training.run import train

SEED = 20261127
KEPT = WEIGHTS / "general.safetensors"
TILE = 256  # pixels a side of a pair
TILES = 16  # of a test set that are scored
LARGEST = 768  # of a sharp field that is kept
_WIDE = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Set:
    """Public images: where they lie, how many pairs a field gives, which plane of a stack."""

    files: str
    draws: int
    plane: int = 0


SETS = {
    "nuclei": Set("dsb2018_nuclei/fluo/*.png", 16),
    "smear": Set("dsb2018_nuclei/brightfield_gray/*.png", 48),
    "hoechst": Set("bbbc006_hoechst_focus/near_focus_z10/*.tif", 48),
    "phase": Set("usiigaci_phase_contrast/*.tif", 48),
    "mitochondria": Set("dfnn_fluo_zstacks/*_zstack.tif", 48, plane=18),
}
SCENES = ("filaments", "spots", "nuclei", "fibres", "cells")
SCENES_EACH, SCENE_DRAWS = 32, 12

# what fields that were kept back are degraded by, for the card
TESTS = {
    "blurred": (Gaussian((1.0, 3.0)), Noise(photons=20_000)),
    "dim": (Gaussian((0.8, 1.5)), Noise(photons=100)),
    "very-dim": (Gaussian((0.0, 0.5)), Noise(photons=20)),
}


def gather(data: Path, sharp: Path) -> None:
    """Cut the middle out of each field; `learn` and `test` below `sharp`."""
    for name, each in SETS.items():
        for k, path in enumerate(sorted(data.glob(each.files))):
            with open_image(path) as image:
                pixels = luminance(image.load(image.planes[each.plane]))
            role = "test" if k % 4 == 3 else "learn"
            whole = wide(middle(np.asarray(pixels, np.float64), LARGEST))
            write_tiff(sharp / role / f"{name}-{k:02d}.tif", whole, None)


def simulated(sharp: Path, scene: str, k: int) -> None:
    """A scene, as a microscope without noise sees it."""
    rng = np.random.default_rng([SEED, seed_of(scene), k])
    made = getattr(scenes, scene)((512, 512), seed=k)
    pixels = optical_blur(made.structure, rng.uniform(0.35, 0.9))
    role = "test" if k % 8 == 7 else "learn"
    write_tiff(sharp / role / f"scene-{scene}-{k:02d}.tif", wide(pixels), None)


def wide(pixels: Array) -> Array:
    """All of the range of 16 bits."""
    low, high = float(pixels.min()), float(pixels.max())
    return as_type((pixels - low) * (_WIDE / max(high - low, 1e-9)), np.dtype(np.uint16))


def middle(pixels: Array, side: int) -> Array:
    """The middle of an image, at most so large."""
    y, x = (max(0, (n - side) // 2) for n in pixels.shape)
    return pixels[y : y + side, x : x + side]


def prepare(sharp: Path, out: Path) -> None:
    """Pairs of many degradations."""
    jobs = os.cpu_count() or 1
    tiling = TilingOptions(tile=TILE, split="0.95,0.05,0", min_contrast=0, seed=SEED)
    sources = images_below(sharp / "learn", "SHARP")
    make = partial(drawn, seed=SEED)
    prepared = prepare_folder(
        sources, make, out / "pairs", tiling, jobs=jobs, overwrite=True, inputs=[sharp]
    )
    print(prepared.describe(), *prepared.failures, sep="\n", flush=True)


def tests(sharp: Path, out: Path) -> None:
    """Pairs of a few stated degradations."""
    jobs = os.cpu_count() or 1
    for group in (*SETS, "scene"):
        fields = out / "fields" / group
        shutil.rmtree(fields, ignore_errors=True)
        fields.mkdir(parents=True)
        rows = ["field,split"]
        learnt, kept = (sorted((sharp / role).glob(f"{group}-*.tif")) for role in ("learn", "test"))
        # classical methods are tuned on some of those that are learnt from
        rows += [f"{path.stem},val" for path in learnt[:: max(1, len(learnt) // 5)]]
        rows += [f"{path.stem},test" for path in kept]
        for row in rows[1:]:
            name, split = row.split(",")
            source = sharp / ("learn" if split == "val" else "test") / f"{name}.tif"
            shutil.copy(source, fields / source.name)
        table = fields.with_suffix(".csv")
        table.write_text("\n".join(rows) + "\n")
        if not kept:
            continue  # of one field
        tiling = TilingOptions(tile=TILE, split=str(table), min_contrast=0, seed=SEED)
        for name, (how, noise) in TESTS.items():
            where = out / "test" / f"{group}-{name}"
            prepare_blur(fields, where, how, noise=noise, tiling=tiling, jobs=jobs, overwrite=True)


def drawn(name: str, paths: list[Path], *, seed: int) -> Iterator[Pair]:
    """Pairs of a sharp field, each degraded in its own way."""
    with open_image(only(paths)) as image:
        field = np.asarray(image.load(image.planes[0]), np.float64) / _WIDE
    group = name.split("-")[0]
    for k in range(SETS[group].draws if group in SETS else SCENE_DRAWS):
        rng = np.random.default_rng([seed, seed_of(name), k])
        source, target = degraded(field, rng, fluorescent=group not in ("phase", "smear"))
        yield Pair(f"d{k}", source, target)


def degraded(field: Array, rng: np.random.Generator, *, fluorescent: bool) -> tuple[Array, Array]:
    """A part of a field as a worse microscope would take it, and as it is; one type, one scale.

    Drawn: magnification, blur, background, photons, read noise, hot pixels, white level, depth.
    """
    if min(field.shape) >= 512 and rng.random() < 0.6:
        factor = rng.uniform(0.5, 1.0)
        sides = [round(n * factor) for n in field.shape[::-1]]
        field = cv2.resize(field, sides, interpolation=cv2.INTER_AREA)
    y, x = (int(rng.integers(max(1, n - TILE + 1))) for n in field.shape)
    sharp = field[y : y + TILE, x : x + TILE]
    sharp = (sharp - sharp.min()) / max(np.percentile(sharp, 99.9) - sharp.min(), 1e-9)
    background = rng.uniform(0, 0.4) if rng.random() < 0.5 else rng.uniform(0, 0.03)
    sharp = background + (1 - background) * sharp

    kind = rng.random()
    blurred = sharp
    if kind < 0.03:  # nothing there but uneven light: nothing is to be made of it
        slope = np.linspace(-0.02, 0.02, sharp.shape[1])
        sharp = blurred = np.broadcast_to(0.5 + rng.uniform(0.2, 1) * slope, sharp.shape)
    elif kind >= 0.85:  # beyond what can be restored: noise goes, and nothing is made up
        how = Gaussian((5.0, 16.0))
        sharp = blurred = how.apply(sharp, how.draw(rng), None)
    elif kind >= 0.15 and fluorescent and kind < 0.45:
        pixel = rng.uniform(0.1, 0.4)
        na = rng.uniform(0.3, 0.9)
        blur = rng.uniform(0, 4) * pixel  # radius of the disc that a point becomes
        distance = blur * np.sqrt(1 - na**2) / na
        how = FluorescenceDefocus(microscope=Optics(na=na, wavelength=rng.uniform(0.45, 0.7)))
        blurred = how.apply(sharp, float(distance), pixel)
    elif kind >= 0.15:
        how = Gaussian((0.4, 3.2))
        blurred = how.apply(sharp, how.draw(rng), None)

    deep = rng.random() < 0.5
    white = 10 ** rng.uniform(2.3, 4.6) if deep else rng.uniform(50, 250)
    noise = Noise(
        photons=0 if rng.random() < 0.1 else 10 ** rng.uniform(1.0, 4.5),
        read=white * 10 ** rng.uniform(-3, -1.3) if rng.random() < 0.5 else 0.0,
        hot=10 ** rng.uniform(-5, -3.5) if rng.random() < 0.1 else 0.0,
    )
    offset = rng.uniform(0, 0.1) * white  # so that noise is not cut off at 0
    dtype = np.dtype(np.uint16 if deep else np.uint8)
    made = noise.add(np.maximum(blurred, 0) * white, rng) + offset
    return as_type(made, dtype), as_type(sharp * white + offset, dtype)


def config(batch: int, rate: float, start: str) -> Config:
    """The default preset, with larger batches, watched in grey levels as well."""
    return replace(
        DEFAULT,
        seed=0,
        start=start,
        data=replace(DEFAULT.data, batch_size=batch, memory=8.0),
        optimizer=replace(DEFAULT.optimizer, name="adam", rate=rate, average=0.9995),
        monitor=replace(
            DEFAULT.monitor, metrics={"ssim": 1.0, "psnr": 0.02}, images=48, patience=0, samples=2
        ),
    )


def keep(run: Path, out: Path) -> None:
    """Put the weights of a run into the package, in half precision, with what is known of them."""
    of = load(run)
    path = save(
        run / KEPT.name,
        {name: value.half() for name, value in of.generator.state_dict().items()},
        config=of.config,
        channels=of.generator.channels,
        normalisation=of.normalisation,
        step=of.step,
        scores=of.scores,
        warnings=of.warnings,
        trained_on=of.trained_on,
    )
    looked_at(path, read_split(out / "pairs", "train"))
    calibrate(path, read_split(out / "pairs", "val"))
    shutil.copy(path, KEPT)
    print(f"{KEPT}: {KEPT.stat().st_size / 1e6:.2f} MB, {content_hash(KEPT)}")


def score(out: Path) -> None:
    """Each test set: `general` beside the input and classical methods that were fitted."""
    network = load(KEPT)
    rows = [["set", "tiles", "method", "PSNR", "SSIM", "supported", "invented"]]
    for data in sorted((out / "test").iterdir()):
        fits = pairs_to_fit(data)
        methods = {name: fitted(name, fits) for name in ("te", "wiener", "rl")}
        found: dict[str, list[list[float]]] = defaultdict(list)
        tiles = spread(read_split(data, "test"), TILES)
        for tile in tiles:
            source, target, _ = tile.load()
            made = {"input": source, "general": enhanced(network, source, tile.limits)}
            made |= {name: method(source) for name, method in methods.items()}
            truth = target.astype(np.float64)
            for name, image in made.items():
                span = float(np.ptp(truth))
                values = [psnr(truth, image, data_range=span), ssim(truth, image, data_range=span)]
                budget = detail_budget(truth, source, image)
                found[name].append([*map(float, values), supported(truth, image), budget.invented])
        for name, each in found.items():
            values = [f"{v:.3f}" for v in np.nanmean(each, axis=0)]
            rows.append([data.name, str(len(tiles)), name, f"{float(values[0]):.2f}", *values[1:]])
            print("  ".join(rows[-1]), flush=True)
    print(align(rows))


def simulate(sharp: Path) -> None:
    """All scenes."""
    with Pool(os.cpu_count() or 1) as pool:
        pool.starmap(simulated, product([sharp], SCENES, range(SCENES_EACH)))


STEPS = {"gather": gather, "simulate": simulate, "prepare": prepare, "tests": tests}


def main() -> None:
    """Do a step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=[*STEPS, "train", "keep", "score"])
    parser.add_argument("places", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--start", default="", help="weights to begin from")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    if given.step in STEPS:
        STEPS[given.step](*given.places)
    elif given.step == "train":
        out, run = given.places
        trained = train(
            out / "pairs",
            run,
            config(given.batch, given.rate, given.start),
            device=given.device,
            max_time=60 * given.minutes,
            fit_time=True,
            overwrite=True,
            tell=lambda line: print(line, flush=True),
        )
        print(trained.describe(), *trained.warnings, sep="\n")
    elif given.step == "keep":
        keep(*given.places)
    else:
        score(given.places[0])


if __name__ == "__main__":
    main()
