"""Decorrelation analysis of files, for `cellqa resolution`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cellqa.engines.local import ordered_map
from cellqa.errors import CellqaError, printable
from cellqa.io import is_image_folder, luminance, may_crash, open_image
from cellqa.metrics.resolution import SMALLEST_SIDE, Decorrelation, decorrelation
from cellqa.pairing import scan


class Analysed(NamedTuple):
    """A plane's name, its analysis, its pixel size in micrometres if known, if it is too small."""

    name: str
    found: Decorrelation
    pixel_size: float | None
    small: bool = False


def analyse_resolution(
    images: Sequence[Path], *, pixel_size: float | None = None, fast: bool = False
) -> tuple[list[list[str]], list[tuple[str, str, str]], list[Analysed]]:
    """Analyse every plane of files, and of the images below folders.

    Returns
    -------
    rows : list of list of str
        Plane, kc, resolution, unit, A0, note.
    failures : list of (file, plane, reason)
    found : list of Analysed
    """
    paths = list(_files(images))
    work = partial(_analyse_file, pixel_size=pixel_size, fast=fast)
    isolate = any(may_crash(path.name) for path in paths)
    results = list(ordered_map(work, paths, 1, on_crash=_crashed, isolate=isolate))
    found = [analysed for each, _ in results for analysed in each]
    return [_row(a) for a in found], [f for _, each in results for f in each], found


def _analyse_file(
    path: Path, *, pixel_size: float | None, fast: bool
) -> tuple[list[Analysed], list[tuple[str, str, str]]]:
    failures: list[tuple[str, str, str]] = []
    found: list[Analysed] = []
    try:
        with open_image(path) as file:
            small = min(file.shape[:2]) < SMALLEST_SIDE
            for index in file.planes:
                label = file.label(index)
                name = printable(f"{path}#{label}" if label else str(path))
                try:
                    result = decorrelation(luminance(file.load(index)), fast=fast)
                except (CellqaError, ValueError, TypeError) as error:
                    failures.append((str(path), label or "image", str(error)))
                    continue
                found.append(Analysed(name, result, pixel_size or file.pixel_size, small))
    except CellqaError as error:
        failures.append((str(path), "file", str(error)))
    return found, failures


def _crashed(path: Path, reason: str) -> tuple[list[Analysed], list[tuple[str, str, str]]]:
    return [], [(str(path), "file", f"reading this file {reason}")]


def _files(images: Sequence[Path]) -> Iterator[Path]:
    for path in images:
        if not path.exists():
            raise CellqaError(f"IMAGE: {str(path)!r} does not exist")
        if path.is_dir() and not is_image_folder(path.name):
            folder = scan(path, "IMAGE")
            yield from sorted(path / n for names in folder.images.values() for n in names)
        else:
            yield path


def _row(analysed: Analysed) -> list[str]:
    name, found, size = analysed[:3]
    if analysed.small:
        note = f"a side below {SMALLEST_SIDE} pixels is all apodised border"
        return [name, "-", "-", "-", f"{found.amplitude:.3f}", note]
    if not found.has_peak:
        return [name, "-", "-", "-", f"{found.amplitude:.3f}", "no peak: constant, or only noise"]
    resolution = found.resolution(size or 1.0)
    unit = "µm" if size else "px"
    return [name, f"{found.kc:.4f}", f"{resolution:.4g}", unit, f"{found.amplitude:.3f}", ""]
