"""Tasks to compare methods by: a scene and how it is degraded. A new one is a line in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cellqa import simulate
from cellqa.disk import StrPath, fresh_folder, open_ours
from cellqa.engines.local import ordered_map
from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from cellqa.shown import one_line
from cellqa.terminal import Progress
from ciegan.data.blur import prepare_blur
from ciegan.data.degrade import BrightfieldDefocus, Degradation, FluorescenceDefocus, Noise
from ciegan.data.optics import Microscope, Optics
from ciegan.data.prepare import MARK, Prepared, check_out
from ciegan.data.splits import assign, fields_by_name
from ciegan.data.tiles import TilingOptions

SPLIT = "0.6,0.15,0.25"  # a fair comparison needs many fields to test on
SHARP = "sharp"  # beside the splits, where simulated scenes go
_SIDE = 512
_CUTOFF = 0.7  # of the scenes: detail down to 2.9 pixels
_PHOTONS = 20000  # of the scenes, so that a target has next to no noise


@dataclass(frozen=True)
class Task:
    """Sharp scenes, and what becomes of them.

    Attributes
    ----------
    name : str
    description : str
        One line.
    scene : callable
        Of shape, `cutoff`, `photons` and `seed`, as in `cellqa.simulate`.
    pixel_size : float
        Of simulated scenes, in micrometres.
    degradation : Degradation
    noise : Noise
        Its offset is that of simulated scenes.
    draws : int
        Degraded copies of each image.
    bleaching : float
        Share of the signal that is left in the last copy; 1 for all.
    min_contrast : float
        As in `TilingOptions`: 0 keeps tiles that are nearly black.
    fields : int
        Simulated scenes.
    """

    name: str
    description: str
    scene: Callable[..., simulate.Scene]
    pixel_size: float
    degradation: Degradation
    noise: Noise
    draws: int = 1
    bleaching: float = 1.0
    min_contrast: float = 0.1
    fields: int = 24

    __repr__ = one_line

    def tiling(self) -> TilingOptions:
        """How its fields are split and cut, where nothing else is said."""
        return TilingOptions(min_contrast=self.min_contrast, split=SPLIT)


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            "brightfield",
            "cells in brightfield, up to 10 µm out of focus on either side",
            simulate.cells,
            0.2,
            BrightfieldDefocus((-10, 10), Microscope(na=0.6)),
            Noise(photons=10000, offset=simulate.OFFSET),
            draws=3,
        ),
        Task(
            "nuclei",
            "few stained nuclei, 2 to 8 µm out of focus; many tiles are nearly black",
            partial(simulate.nuclei, density=0.12, size=1.8),
            0.32,
            FluorescenceDefocus((2, 8), Optics(na=0.5)),
            Noise(photons=1000, offset=simulate.OFFSET),
            draws=3,
            min_contrast=0,
        ),
        Task(
            "fibres",
            "striated muscle fibres at low signal, which bleaches to 30 % over four images",
            simulate.fibres,
            0.2,
            FluorescenceDefocus((1, 2.2), Optics(na=0.5)),
            Noise(photons=150, offset=simulate.OFFSET),
            draws=4,
            bleaching=0.3,
        ),
    )
}


def prepare_task(
    name: str,
    out: StrPath,
    *,
    sharp: StrPath | None = None,
    offset: float = 0.0,
    tiling: TilingOptions | None = None,
    fields: int | None = None,
    side: int = _SIDE,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Prepare a task, on simulated scenes or on sharp images of one's own.

    Parameters
    ----------
    name : str
        One of `TASKS`.
    out : path
        Folder for `train`, `val`, `test` and pairs.csv; and for `sharp`, the simulated scenes.
    sharp : path, optional
        Folder of sharp images to degrade instead. They need a pixel size.
    offset : float
        Grey level in the dark of the camera that took them.
    tiling : TilingOptions, optional
        By default `Task.tiling`. Its pixel size is for `sharp` alone.
    fields : int, optional
        Simulated scenes; by default as many as the task says.
    side : int
        Of the scenes, in pixels.
    jobs, overwrite, progress
        As for `prepare_blur`.

    Raises
    ------
    CellqaError
        As `prepare_blur`.
    ValueError
        There is no such task; or a pixel size or an offset is given for simulated scenes.
    """
    out = Path(out)
    sharp = None if sharp is None else Path(sharp)
    if name not in TASKS:
        raise ValueError(f"there is no task {name!r}; there are {', '.join(TASKS)}")
    task = TASKS[name]
    tiling = tiling or task.tiling()
    if sharp is None:
        if tiling.pixel_size or offset:
            given = "--pixel-size" if tiling.pixel_size else "--offset"
            raise ValueError(f"{given} does nothing without --sharp")
        source, noise = out / SHARP, task.noise
        check_out(out, [source], overwrite)
        names = [_scene_name(name, k) for k in range(fields or task.fields)]
        # a wrong split is told before anything is replaced
        assign(fields_by_name(names, tiling, {}).values(), tiling)
        _simulate(task, source, fields or task.fields, side, tiling.seed, jobs)
    else:
        source, noise = sharp, replace(task.noise, offset=offset)
    return prepare_blur(
        source,
        out,
        task.degradation,
        noise=noise,
        draws=task.draws,
        bleaching=task.bleaching,
        tiling=tiling,
        jobs=jobs,
        overwrite=overwrite,
        progress=progress,
    )


def _simulate(task: Task, folder: Path, fields: int, side: int, seed: int, jobs: int) -> None:
    """Write the sharp scenes, in place of earlier ones."""
    if folder.exists() and not (folder / MARK).exists():
        raise CellqaError(f"OUT: {str(folder)!r} was not made by ciegan; give another folder")
    open_ours(fresh_folder(folder) / MARK, keep=True).close()
    work = partial(_write_scene, name=task.name, folder=folder, side=side, seed=seed)
    for lost in ordered_map(work, range(fields), jobs, on_crash=_crashed):
        if lost:
            raise CellqaError(lost)


def _scene_name(name: str, number: int) -> str:
    return f"{name}_{number:02d}"


def _write_scene(number: int, *, name: str, folder: Path, side: int, seed: int) -> str:
    task = TASKS[name]
    # two seeds a scene: its structure and its noise
    scene = task.scene(
        (side, side), cutoff=_CUTOFF, photons=_PHOTONS, seed=2 * (1000 * seed + number)
    )
    write_tiff(folder / f"{_scene_name(name, number)}.tif", scene.image, task.pixel_size)
    return ""


def _crashed(number: int, reason: str) -> str:
    return f"simulating scene {number} {reason}"
