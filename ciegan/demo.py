"""From simulated scenes to a trained and validated network: `ciegan demo`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cellqa import simulate
from cellqa.disk import take_folder
from cellqa.io import write_tiff
from cellqa.terminal import Progress, Tell
from ciegan.config import DEFAULT
from ciegan.data import TilingOptions, prepare_blur
from ciegan.data.degrade import Gaussian, Noise
from ciegan.judging.validation import Validated, validate
from ciegan.training.run import train
from ciegan.training.trained import Trained

PIXEL_SIZE = 0.1625  # micrometres
SIDE = 256
SCENES = 36
SECONDS = 180  # of training
_MARK = ".made-by-ciegan-demo"  # what --overwrite may remove
_PARTS = ("sharp", "data", "run", "validation")


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    jobs: int = 1,
    overwrite: bool = False,
    tell: Tell = lambda line: None,
    progress: Progress = lambda done, total: None,
) -> tuple[Trained, Validated]:
    """Make simulated fields, blur them, train for three minutes, validate.

    Raises
    ------
    CellqaError
        `out` holds an earlier demo and `overwrite` is false, or is something else's folder.
    """
    take_folder(out, _MARK, role="OUT", what="demo", overwrite=overwrite, replaced=_PARTS)
    sharp, data, run, validation = (out / part for part in _PARTS)
    kinds = (simulate.filaments, simulate.nuclei, simulate.spots)
    for k in range(SCENES):
        scene = kinds[k % 3]((SIDE, SIDE), cutoff=0.6, photons=2000, seed=1000 * seed + k)
        path = sharp / f"{kinds[k % 3].__name__}_{k:02d}.tif"
        write_tiff(path, scene.image, PIXEL_SIZE)
    tell(f"made {SCENES} simulated fields")
    prepare_blur(
        sharp,
        data,
        Gaussian((1.0, 3.0)),
        noise=Noise(photons=2000, offset=simulate.OFFSET),
        draws=3,
        tiling=TilingOptions(split="20,4,12", seed=seed),
        jobs=jobs,
    )
    config = replace(
        DEFAULT,
        generator=replace(DEFAULT.generator, options={"widths": [24, 48, 96]}),
        monitor=replace(DEFAULT.monitor, images=12, patience=0),
        seed=seed,
    )
    trained = train(
        data,
        run,
        config,
        device=device,
        max_time=SECONDS,
        fit_time=True,
        tell=tell,
        progress=progress,
    )
    tell("validating on fields that the network has never seen")
    return trained, validate(
        {"ciegan": run}, data, validation, device=device, jobs=jobs, overwrite=True
    )
