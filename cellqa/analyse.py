"""Decorrelation analysis of files, for `cellqa resolution`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cellqa.errors import CellqaError, printable
from cellqa.io import is_image_folder, luminance, open_image
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
    failures: list[tuple[str, str, str]] = []
    found: list[Analysed] = []
    for path in list(_files(images)):
        try:
            with open_image(path) as file:
                for index in file.planes:
                    label = file.label(index)
                    name = printable(f"{path}#{label}" if label else str(path))
                    try:
                        result = decorrelation(luminance(file.load(index)), fast=fast)
                    except (CellqaError, ValueError, TypeError) as error:
                        failures.append((str(path), label or "image", str(error)))
                        continue
                    small = min(file.shape[:2]) < SMALLEST_SIDE
                    found.append(Analysed(name, result, pixel_size or file.pixel_size, small))
        except CellqaError as error:
            failures.append((str(path), "file", str(error)))
    return [_row(a) for a in found], failures, found


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
