"""Decorrelation analysis of files, for `cellqa resolution`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from cellqa.engines.local import ordered_map
from cellqa.errors import CellqaError, printable
from cellqa.io import grey, may_crash, open_image, write_tiff
from cellqa.io.store_images import holds_images
from cellqa.io.stores import is_there
from cellqa.metrics._spectrum import SMALLEST_SIDE, TOO_SMALL
from cellqa.metrics.frc import RingCorrelation, frc_single
from cellqa.metrics.local import LocalResolution, resolution_map, sector_resolution
from cellqa.metrics.resolution import FILTERED, Decorrelation, decorrelation
from cellqa.pairs.pairing import list_images
from cellqa.planes import Array
from cellqa.terminal import Progress

Result = TypeVar("Result")


class Analysed(NamedTuple):
    """What is known of a plane.

    Attributes
    ----------
    name : str
    decorrelation : Decorrelation
    pixel_size : float or None
        In micrometres.
    small : bool
        Too small for a resolution.
    single : RingCorrelation or None
        Fourier ring correlation of the image with itself, if asked for.
    sectors : list of Decorrelation
        By direction, if asked for.
    local : LocalResolution or None
        The map, if asked for.
    pixels : ndarray or None
        The plane, where there is a map to draw over it.
    note : str
        What could not be done, and why.
    pixel_size_y : float or None
        Along Y, where it is not that along X.
    """

    name: str
    decorrelation: Decorrelation
    pixel_size: float | None
    small: bool = False
    single: RingCorrelation | None = None
    sectors: Sequence[Decorrelation] = ()
    local: LocalResolution | None = None
    pixels: Array | None = None
    note: str = ""
    pixel_size_y: float | None = None

    def length_of(self, sector: int) -> float:
        """Resolution of a sector, in micrometres where the pixel size is known, else in pixels."""
        angle = math.pi * sector / len(self.sectors)
        x = self.pixel_size or 1.0
        y = self.pixel_size_y or x
        # a frequency of kc along each axis' own Nyquist, in cycles per unit of length
        return 2 / (self.sectors[sector].kc * math.hypot(math.cos(angle) / x, math.sin(angle) / y))


def analyse_resolution(
    paths: Sequence[Path],
    *,
    pixel_size: float | None = None,
    fast: bool = False,
    frc: bool = False,
    sectors: int = 0,
    tile: int = 0,
    progress: Progress | None = None,
) -> tuple[list[list[str]], list[tuple[str, str, str]], list[Analysed]]:
    """Analyse every plane of files.

    Parameters
    ----------
    paths : sequence of Path
        See `files_of` for those of folders.
    pixel_size : float, optional
        In micrometres; default as the files say.
    fast : bool
        The authors' fast mode.
    frc : bool
        Also Fourier ring correlation of each image with itself.
    sectors : int
        Also the resolution in as many directions; 0 for none.
    tile : int
        Also a map, of tiles of this side; 0 for none.
    progress : callable, optional
        Called with the number of files done and of all.

    Returns
    -------
    rows : list of list of str
        Plane, kc, resolution, unit, A0, what else was asked for, note; a heading first.
    failures : list of (file, plane, reason)
    analyses : list of Analysed
    """
    options: dict[str, Any] = {"frc": frc, "sectors": sectors, "tile": tile}
    work = partial(_analyse_file, pixel_size=pixel_size, fast=fast, **options)
    isolate = any(may_crash(path) for path in paths)
    analyses: list[Analysed] = []
    failures: list[tuple[str, str, str]] = []
    for done, (analysed, failed) in enumerate(
        ordered_map(work, paths, 1, on_crash=_crashed, isolate=isolate), 1
    ):
        analyses += analysed
        failures += failed
        if progress:
            progress(done, len(paths))
    more = ["1-image FRC"] * frc + ["map: q25, median, q75", "blank"] * (tile > 0)
    head = ["plane", "kc", "resolution", "unit", "A0", *more, "note"]
    return [head, *(_row(plane, frc, tile > 0) for plane in analyses)], failures, analyses


def sector_rows(analysed: Analysed) -> list[list[str]]:
    """Direction in degrees, kc, resolution and unit of each sector; a heading first."""
    rows = [["direction", "kc", "resolution", "unit"]]
    unit = "µm" if analysed.pixel_size else "px"
    for k, sector in enumerate(analysed.sectors):
        direction = f"{k * 180 / len(analysed.sectors):g}°"
        length = f"{analysed.length_of(k):.4g}" if sector.has_peak else "-"
        rows.append([direction, f"{sector.kc:.4f}" if sector.has_peak else "-", length, unit])
    return rows


def map_paths(folder: Path, analyses: Sequence[Analysed]) -> list[Path]:
    """FOLDER/NAME.resolution.tif of each plane; with its folders where names alone repeat."""
    names = [Path(plane.name) for plane in analyses]
    if len({name.name for name in names}) < len(names):
        top = Path(os.path.commonpath([name.parent.absolute() for name in names]))
        names = [name.absolute().relative_to(top) for name in names]
    else:
        names = [Path(name.name) for name in names]
    return [folder / f"{name}.resolution.tif" for name in names]


def write_maps(
    paths: Sequence[Path], analyses: Sequence[Analysed], *, draw: Callable[[Path, Analysed], Path]
) -> list[Path]:
    """Write each plane's map in the image's size, and its figure beside it as PNG."""
    written = []
    for path, plane in zip(paths, analyses, strict=True):
        assert plane.local is not None  # it was asked for
        unit = "micrometres" if plane.pixel_size else "pixels"
        note = f"local resolution in {unit}, tiles of {plane.local.tile} px, nan: no structure"
        written.append(write_tiff(path, plane.local.full_size(), plane.pixel_size, note))
        written.append(draw(path.with_suffix(".png"), plane))
    return written


def _analyse_file(
    path: Path, *, pixel_size: float | None, fast: bool, **options: Any
) -> tuple[list[Analysed], list[tuple[str, str, str]]]:
    failures: list[tuple[str, str, str]] = []
    analyses: list[Analysed] = []
    try:
        with open_image(path) as file:
            for index in file.planes:
                label = file.label(index)
                name = printable(f"{path}#{label}" if label else str(path))
                try:
                    pixels = grey(file.load(index))
                    own, across = file.size_of(index)
                    size = pixel_size or own
                    analysed = _analyse_plane(name, pixels, size, fast, **options)
                    if (stretched := file.stretched(index)) and not pixel_size:
                        note = f"{stretched}: lengths are in units of X, sectors in both"
                        note = "; ".join(filter(None, [analysed.note, note]))
                        analysed = analysed._replace(note=note, pixel_size_y=across)
                    analyses.append(analysed)
                except (CellqaError, ValueError, TypeError) as error:
                    failures.append((str(path), label or "image", str(error)))
    except CellqaError as error:
        failures.append((str(path), "file", str(error)))
    return analyses, failures


def _analyse_plane(
    name: str,
    pixels: Array,
    size: float | None,
    fast: bool,
    *,
    frc: bool,
    sectors: int,
    tile: int,
) -> Analysed:
    result = decorrelation(pixels, fast=fast)
    small = min(pixels.shape) < SMALLEST_SIDE
    notes = [TOO_SMALL] if small else []
    single, by_direction, local = None, None, None
    # what one of them cannot do takes nothing from the others
    if frc:
        single, note = _or_note(lambda: frc_single(pixels))
        notes.append(f"1-image FRC: {note}" if note else "")
    if sectors:
        by_direction, note = _or_note(lambda: sector_resolution(pixels, sectors=sectors))
        notes.append(f"--sectors: {note}" if note else "")
    if tile:
        scale = size or 1.0
        local, note = _or_note(lambda: resolution_map(pixels, pixel_size=scale, tile=tile))
        notes.append(f"--map: {note}; see --tile" if note else "")
    return Analysed(
        name,
        result,
        size,
        small,
        single,
        by_direction or (),
        local,
        pixels if local else None,
        "; ".join(filter(None, notes)),
    )


def _or_note(work: Callable[[], Result]) -> tuple[Result | None, str]:
    """What it gives, or why it gives nothing."""
    try:
        return work(), ""
    except ValueError as error:
        return None, str(error).replace("`image`", "the image")


def _crashed(path: Path, reason: str) -> tuple[list[Analysed], list[tuple[str, str, str]]]:
    return [], [(str(path), "file", f"reading this file {reason}")]


def files_of(images: Sequence[Path]) -> list[Path]:
    """The files, and those of the folders, each once."""
    files: list[Path] = []
    for path in images:
        if not is_there(path):
            raise CellqaError(f"IMAGE: {str(path)!r} does not exist")
        if holds_images(path):
            folder = list_images(path, "IMAGE")
            files += sorted(path / n for names in folder.images.values() for n in names)
        else:
            files.append(path)
    return list(dict.fromkeys(files))


def _row(analysed: Analysed, frc: bool, tile: bool) -> list[str]:
    name, decorrelation, size = analysed[:3]
    note = analysed.note
    cells = [name, "-", "-", "-", f"{decorrelation.amplitude:.3f}"]
    if not decorrelation.has_peak and not analysed.small:
        note = "; ".join(filter(None, ["no peak: constant, or only noise", note]))
    elif not analysed.small:
        if not decorrelation.white:
            note = "; ".join(filter(None, [FILTERED, note]))
        unit = "µm" if size else "px"
        cells[1:4] = f"{decorrelation.kc:.4f}", f"{decorrelation.resolution(size or 1.0):.4g}", unit
    if frc:
        single = analysed.single
        value = f"{single.resolution(size or 1.0):.4g}" if single and single.cutoff else "-"
        cells.append(f"<= {value}" if single and single.at_least else value)
    if tile:
        values = analysed.local.values if analysed.local else np.zeros(0)
        known = values[np.isfinite(values)]
        quartiles = np.quantile(known, [0.25, 0.5, 0.75]).tolist() if known.size else []
        cells.append(", ".join(f"{q:.4g}" for q in quartiles) or "-")
        cells.append(f"{1 - known.size / values.size:.0%}" if values.size else "-")
    return [*cells, note]
