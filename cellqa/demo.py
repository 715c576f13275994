"""Sample data without a download, degraded, enhanced and scored: `cellqa demo`."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import tifffile

from cellqa import simulate
from cellqa.disk import take_folder
from cellqa.engines import LocalEngine
from cellqa.enhance import ENHANCERS, enhance_files
from cellqa.errors import CellqaError
from cellqa.io import grey, open_image
from cellqa.pairs.pairing import pair_folders
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.reporting.figures import save_image_grid
from cellqa.reporting.load import LoadedRun, load_run
from cellqa.reporting.montage import captions_of
from cellqa.reporting.page import report
from cellqa.reporting.pictures import liveliest
from cellqa.scoring.run import score_to_folder
from cellqa.tables.folder import check_folder
from cellqa.tables.means import terminal_summary
from cellqa.terminal import Progress

PIXEL_SIZE = 0.1625  # micrometres: a 6.5 µm camera behind a 40 x objective
BLUR = 2.5  # sigma of the degradation, pixels
SIDE = 384
_MARK = ".made-by-cellqa-demo"  # what --overwrite may remove
SHOWN = 128  # side of the crops in the montage


def run_demo(
    out: Path,
    *,
    overwrite: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[str, list[Path]]:
    """Make samples, degrade, enhance and score them.

    Returns
    -------
    table : str
        Means of each method.
    paths : list of Path
        What was written.

    Raises
    ------
    CellqaError
        `out` holds an earlier demo and `overwrite` is false, or is a file.
    """
    data, results = out / "data", out / "results"
    if out.exists() and not out.is_dir():
        raise CellqaError(f"OUT: {str(out)!r} is a file; give a folder")
    take_folder(data, _MARK, role="OUT", what="demo", overwrite=overwrite, replaced=_COLUMNS)
    check_folder(results, overwrite=overwrite, resume=False)
    for name, sharp in _samples().items():
        blurred = _degrade(sharp, seed=len(name))
        for role, image in ((Role.REFERENCE, sharp), (Role.RAW, blurred)):
            (data / role).mkdir(parents=True, exist_ok=True)
            _write(data / role / f"{name}.tif", image)
    enhance_files(data / Role.RAW, data / "te", ENHANCERS["te"])
    enhance_files(data / Role.REFERENCE, data / Role.EGT, ENHANCERS[Role.EGT])
    pred = {name: data / name for name in ("te", Role.EGT)}
    pairing = pair_folders(pred, reference=data / Role.REFERENCE, raw=data / Role.RAW)
    finished = score_to_folder(
        pairing,
        results,
        engine=LocalEngine(jobs),
        overwrite=overwrite,
        command=sys.argv,
        progress=progress,
    )
    page = report(results, jobs=jobs)
    montage = _montage(results / "montage.png", data, load_run(results))
    table = terminal_summary(finished)
    return table, [*finished.paths, montage, data, page]


def _samples() -> dict[str, Array]:
    """Simulated 16-bit scenes and the real 8-bit images inside scikit-image's wheel."""
    shape = (SIDE, SIDE)
    simulated = {
        "simulated_filaments": simulate.filaments(shape, cutoff=0.6, photons=800, seed=1),
        "simulated_nuclei": simulate.nuclei(shape, cutoff=0.6, photons=800, seed=2),
        "simulated_spots": simulate.spots(shape, cutoff=0.6, photons=2000, seed=3),
    }
    samples = {name: scene.image for name, scene in simulated.items()}
    folder = files("skimage") / "data"
    for name, source in (("cell", "cell.png"), ("ihc", "ihc.png"), ("retina", "retina.jpg")):
        with open_image(Path(str(folder / source))) as file:
            samples[f"real_{name}"] = grey(file.load(file.planes[0]))
    return samples


def _degrade(sharp: Array, seed: int) -> Array:
    """Out of focus, and noisy: a Gaussian blur, then noise of 1 % of the range."""
    blurred = cv2.GaussianBlur(sharp.astype(np.float32), (0, 0), BLUR)
    noise = 0.01 * (float(sharp.max()) - float(sharp.min()))
    noisy = blurred + np.random.default_rng(seed).normal(0, noise, sharp.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, np.iinfo(sharp.dtype).max).astype(sharp.dtype))


def _write(path: Path, image: Array) -> None:
    per_cm = 1e4 / PIXEL_SIZE
    tifffile.imwrite(path, image, resolution=(per_cm, per_cm), resolutionunit=3, metadata=None)


def _montage(path: Path, data: Path, run: LoadedRun) -> Path:
    rows, captions = {}, {}
    for name in sorted(p.stem for p in (data / Role.REFERENCE).iterdir()):
        images = {role: tifffile.imread(data / role / f"{name}.tif") for role in _COLUMNS}
        top, left, *_ = liveliest(images[Role.REFERENCE], SHOWN, step=SHOWN // 2)
        label = name.replace("_", "\n")
        rows[label] = {r: i[top : top + SHOWN, left : left + SHOWN] for r, i in images.items()}
        captions[label] = captions_of(run, f"{name}.tif")
    return save_image_grid(path, rows, captions=captions, pixel_size=PIXEL_SIZE)


_COLUMNS = (Role.RAW, "te", Role.REFERENCE, Role.EGT)
