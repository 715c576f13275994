"""Pairs from stacks: planes out of focus are the inputs, the sharpest plane is the target."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from cellqa.disk import StrPath
from cellqa.enhance.filters import as_type
from cellqa.errors import CellqaError
from cellqa.focus.files import measure_files
from cellqa.focus.vote import MODALITIES, Focus
from cellqa.io import PlaneIndex, luminance, may_crash, open_image, split_suffix
from cellqa.metrics.alignment import moved_back
from cellqa.shown import one_line
from cellqa.terminal import Progress
from ciegan.data.pixels import STRETCHED, check_pixels, load_image
from ciegan.data.placement import displaced, lowered
from ciegan.data.prepare import Prepared, prepare_sources
from ciegan.data.tiles import Pair, TilingOptions

_Places = list[tuple[Path, PlaneIndex]]


@dataclass(frozen=True)
class ZStack:
    """Which planes of a stack become pairs.

    Attributes
    ----------
    distances : tuple of float
        From the focus, in micrometres (in planes where the step is unknown); the nearest plane
        counts if it is within `tolerance`. Empty takes every plane but the sharpest.
    tolerance : float
        In the unit of the distances; None is half the step (half a plane).
    step : float or None
        Between planes, in micrometres; None takes what the file states.
    pattern : str or None
        Regular expression whose first group is a plane's position in micrometres in its file's
        name; it goes before `step`.
    modality : str
        `fluorescence`, `phase` or `brightfield`; see `cellqa.sharpest`.
    register : bool
        Undo the displacement of each plane against the sharpest.
    max_shift : float
        Planes displaced by more pixels are left out.
    """

    distances: tuple[float, ...] = ()
    tolerance: float | None = None
    step: float | None = None
    pattern: str | None = None
    modality: str = "fluorescence"
    register: bool = True
    max_shift: float = 5.0

    __repr__ = one_line

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ValueError(
                f"`modality` must be one of {', '.join(MODALITIES)}, got {self.modality!r}"
            )
        for name in ("tolerance", "step", "max_shift"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"`{name}` must be above 0, got {value}")
        if not all(math.isfinite(d) and d != 0 for d in self.distances):
            raise ValueError(f"`distances` must be finite and not 0, got {self.distances}")
        try:
            groups = re.compile(self.pattern or "()").groups
        except re.error as error:
            raise ValueError(f"`pattern` is no regular expression: {error}") from None
        if not groups:
            raise ValueError(f"`pattern` needs a group around the position, got {self.pattern!r}")


def prepare_zstack(
    stacks: Sequence[StrPath],
    out: StrPath,
    options: ZStack | None = None,
    *,
    tiling: TilingOptions | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Pair the sharpest plane of each stack with planes out of focus.

    Parameters
    ----------
    stacks : sequence of path
        Files, folders of planes, folders of stacks; see `cellqa.focus.vote.measure_files`.
    out : path
        Folder for `train`, `val`, `test` and pairs.csv.
    options : ZStack, optional
    tiling, jobs, overwrite, progress
        As in `prepare_blur`.

    Raises
    ------
    CellqaError
        No stack has a sharpest plane, or as in `prepare_blur`.
    """
    out = Path(out)
    options, tiling = options or ZStack(), tiling or TilingOptions()
    paths = [Path(path).absolute() for path in stacks]  # names are relative to their top
    measured, failures = measure_files(paths, modality=options.modality, jobs=jobs)
    sources: dict[str, tuple[Focus, _Places]] = {}
    fields: dict[str, str] = {}
    notes = []
    top = os.path.commonpath([Path(focus.name).parent for focus, _ in measured]) if measured else ""
    for focus, places in measured:
        if focus.best is None:
            failures.append((focus.name, "stack", f"no sharpest plane: {focus.note}"))
            continue
        path, mark, label = Path(os.path.relpath(focus.name, top or ".")).as_posix().partition("#")
        name = f"{path}_{label}" if mark else path
        sources[name] = focus, places
        fields[name] = path  # times and channels of a file show the same cells
        if focus.note:
            notes.append(f"{focus.name}: {focus.note}")
    if not sources:
        raise CellqaError(f"no stack could be used: {failures[0][2] if failures else 'none found'}")
    prepared = prepare_sources(
        sources,
        partial(_pairs, options=options, tiling=tiling),
        out,
        tiling,
        jobs=jobs,
        isolate=any(may_crash(path) for _, places in sources.values() for path, _ in places),
        overwrite=overwrite,
        progress=progress,
        inputs=paths,
        failures=failures,
        own_fields=fields,
    )
    prepared.warnings[:0] = notes
    return prepared


def positions(focus: Focus, places: _Places, options: ZStack) -> np.ndarray:
    """Position of each plane, in micrometres where they are known, else in planes.

    Raises
    ------
    CellqaError
        The pattern finds no number in a name.
    """
    if not options.pattern:
        return np.arange(len(places)) * (options.step or _stated_step(places) or 1.0)
    heights = []
    for path, _ in places:
        match = re.search(options.pattern, path.name)
        try:
            heights.append(float(match[1]) if match else math.nan)
        except (ValueError, TypeError):
            heights.append(math.nan)
        if math.isnan(heights[-1]):
            raise CellqaError(f"--z-pattern: no position in {path.name!r}")
    return np.array(heights)


def _stated_step(places: _Places) -> float | None:
    """Micrometres between the planes of one file, where it states them."""
    paths = {path for path, _ in places}
    if len(paths) > 1:
        return None
    with open_image(paths.pop()) as file:
        return file.acquired().z_step


def _pairs(
    name: str, source: tuple[Focus, _Places], *, options: ZStack, tiling: TilingOptions
) -> Iterator[Pair | tuple[str, str] | str]:
    focus, places = source
    assert focus.best is not None
    away = positions(focus, places, options)
    away = away - away[focus.best]
    target, size, stretched = load_image(*places[focus.best])
    if stretched and not tiling.pixel_size:
        yield STRETCHED
    size = tiling.pixel_size or size
    unregistered = 0
    chosen = _chosen(away, focus.best, options)
    if options.distances and len(chosen) < len(set(options.distances)):
        yield f"{name}: {len(chosen)} planes for {len(set(options.distances))} distances"
    for k in chosen:
        label = focus.planes[k]
        try:
            blurred = load_image(*places[k]).pixels
            check_pixels(blurred, "plane")
        except CellqaError as error:
            yield label, str(error)
            continue
        tag = re.sub(r"[^\w.+-]+", "_", split_suffix(label)[0])
        distance = round(float(away[k]), 6)
        pair = Pair(tag, blurred, target, size, label, distance, "real")
        if options.register:
            by = displaced(*(lowered(np.asarray(luminance(p)))[0] for p in (target, blurred)))
            if by is None:
                unregistered += 1
                pair = pair.within(np.s_[0 : target.shape[0], 0 : target.shape[1]])
            elif math.hypot(*by) > options.max_shift:
                yield label, f"displaced by {math.hypot(*by):.1f} pixels (--max-shift)"
                continue
            else:
                y, x = (round(b, 4) for b in by)
                moved, inside = _moved(blurred, by)
                pair = replace(pair, input=moved, shift_y=y, shift_x=x).within(inside)
        yield pair
    if unregistered:
        yield (
            f"{name}: {unregistered} planes share too little with the sharpest to be registered; "
            "they were paired as they are"
        )


def _chosen(away: np.ndarray, best: int, options: ZStack) -> list[int]:
    others = [k for k in range(len(away)) if k != best]
    if not options.distances:
        return others
    gaps = np.diff(np.sort(away))
    step = float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 1.0
    within = options.tolerance or step / 2
    nearest = (min(others, key=lambda k: abs(away[k] - d)) for d in options.distances)
    pairs = zip(nearest, options.distances, strict=True)
    return sorted({k for k, d in pairs if abs(away[k] - d) <= within})


def _moved(pixels: np.ndarray, by: tuple[float, float]) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Undo a displacement, in the image's own type."""
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    moved, inside = zip(
        *(moved_back(planes[..., k], by) for k in range(planes.shape[2])), strict=True
    )
    shifted = np.stack(moved, axis=-1)
    shifted = as_type(shifted, pixels.dtype)
    return (shifted[..., 0] if pixels.ndim == 2 else shifted), inside[0]
