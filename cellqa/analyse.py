"""Decorrelation analysis of files, for `cellqa resolution`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cellqa.errors import CellqaError
from cellqa.io import luminance, open_image
from cellqa.metrics.resolution import Decorrelation, decorrelation
from cellqa.pairing import scan


class Analysed(NamedTuple):
    """A plane's name, its analysis, and its pixel size in micrometres if known."""

    name: str
    found: Decorrelation
    pixel_size: float | None


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
    for path in _files(images):
        try:
            with open_image(path) as file:
                for index in file.planes:
                    label = file.label(index)
                    name = f"{path}#{label}" if label else str(path)
                    try:
                        result = decorrelation(luminance(file.load(index)), fast=fast)
                    except (CellqaError, ValueError, TypeError) as error:
                        failures.append((str(path), label or "image", str(error)))
                        continue
                    found.append(Analysed(name, result, pixel_size or file.pixel_size))
        except CellqaError as error:
            failures.append((str(path), "file", str(error)))
    return [_row(a) for a in found], failures, found


def _files(images: Sequence[Path]) -> Iterator[Path]:
    for path in images:
        if path.is_dir() and not path.name.lower().endswith(".zarr"):
            folder = scan(path, "IMAGE")
            yield from sorted(path / n for names in folder.images.values() for n in names)
        else:
            yield path


def _row(analysed: Analysed) -> list[str]:
    name, found, size = analysed
    if not found.has_peak:
        return [name, "-", "-", "-", f"{found.amplitude:.3f}", "no peak: constant, or only noise"]
    resolution = found.resolution(size or 1.0)
    unit = "µm" if size else "px"
    return [name, f"{found.kc:.4f}", f"{resolution:.4g}", unit, f"{found.amplitude:.3f}", ""]
