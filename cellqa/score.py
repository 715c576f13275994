"""Scoring one image: its files in, its rows out. The ground truth is decoded once for all."""

from __future__ import annotations

import math
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellqa.checks import Plane, as_plane
from cellqa.compiled import is_kept, kept_in
from cellqa.errors import CellqaError, ImageError, Undefined, printable
from cellqa.io import MAX_PIXELS, ImageFile, PlaneIndex, luminance, open_image
from cellqa.metrics._family import Settings
from cellqa.metrics._kernels import similarity
from cellqa.pairing import Image
from cellqa.registry import METRICS, Metric
from cellqa.rows import Row


@dataclass(frozen=True)
class ScoreOptions:
    """What a scoring run may be told.

    Attributes
    ----------
    metrics : tuple of Metric
    data_range : str or float
        `auto`: 255 for uint8, else max - min of the image's ground truth; `dtype`: the type's
        maximum; `set`: max - min over all ground truths; a number: 0 to that number.
    pixel_size : float or None
        In micrometres; None takes it from the files.
    compat : str or None
        `ciegan` for the definitions of the CIEGAN authors' program.
    max_pixels : int
        Larger planes are refused before memory is taken.
    """

    metrics: tuple[Metric, ...] = METRICS
    data_range: str | float = "auto"
    pixel_size: float | None = None
    compat: str | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if isinstance(self.data_range, str) and self.data_range not in ("auto", "dtype", "set"):
            raise ValueError(
                f"`data_range` must be auto, dtype, set or a number, got {self.data_range!r}"
            )
        if not isinstance(self.data_range, str) and not 0 < self.data_range < math.inf:
            raise ValueError(f"`data_range` must be above 0, got {self.data_range}")
        if self.pixel_size is not None and not 0 < self.pixel_size < math.inf:
            raise ValueError(f"`pixel_size` must be above 0 micrometres, got {self.pixel_size}")
        if self.compat not in (None, "ciegan"):
            raise ValueError(f"`compat` must be ciegan, got {self.compat!r}")


def score_image(
    image: Image,
    *,
    folders: Mapping[str, Path],
    options: ScoreOptions,
    value_range: tuple[float, float] | None = None,
) -> tuple[dict[str, list[list[int]]], list[Row]]:
    """Score every method's file of one image, plane by plane. Never raises for a bad file.

    Returns the states of the files as they were before, and the rows. A file that changes while
    it is read fails.
    """
    before = file_states(image, folders)
    rows = _score_files(image, folders, options, value_range)
    after = file_states(image, folders)
    changed = {method for method in before if before[method] != after[method]}
    if not changed:
        return before, rows
    reason = "changed while it was read"
    if "gt" in changed:
        return before, [failed(image.name, m, f"ground truth: {reason}") for m in image.files]
    return before, [
        failed(r.image, r.method, reason) if r.method in changed and r.status == "ok" else r
        for r in rows
    ]


def compile_kernels(tell: Callable[[str], None]) -> None:
    """Compile what scoring needs if that was never done here, so that workers find it.

    Parameters
    ----------
    tell : callable
        Called with a line about it, before it takes its seconds; not called otherwise.
    """
    if is_kept(similarity):
        return
    folder = kept_in(similarity)
    kept = (
        f"kept in {folder}"
        if folder
        else "no folder can keep them, so each process does it again; set NUMBA_CACHE_DIR"
    )
    tell(f"compiling for this machine, once, some 10 s ({kept})")
    for dtype in (np.uint8, np.uint16):
        image = np.arange(200 * 200).reshape(200, 200).astype(dtype)
        plane = Plane(image, image.dtype)
        _Scorer(plane, ScoreOptions(), None).row("", "", plane, None, [])


def file_states(image: Image, folders: Mapping[str, Path]) -> dict[str, list[list[int]]]:
    """Size and modification time (ns) of each file of an image, empty where there is none."""
    return {
        method: [_state(folders[method] / name) for name in names]
        for method, names in image.files.items()
    }


def _state(path: Path) -> list[int]:
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            return [status.st_size, status.st_mtime_ns]
        inside = [p.stat() for p in path.rglob("*")]
    except OSError:
        return []
    newest = max([status.st_mtime_ns, *(p.st_mtime_ns for p in inside)])
    return [sum(p.st_size for p in inside), newest]


def failed(image: str, method: str, reason: str) -> Row:
    """A row without values."""
    return Row(image, method, status="failed", reason=printable(" ".join(reason.split())))


def _score_files(
    image: Image,
    folders: Mapping[str, Path],
    options: ScoreOptions,
    value_range: tuple[float, float] | None,
) -> list[Row]:
    opened: dict[str, ImageFile | str] = {}
    try:
        for method, names in image.files.items():
            opened[method] = _open(folders[method], names, options.max_pixels)
        truth = opened.get("gt")
        files = [f for f in (truth, *opened.values()) if isinstance(f, ImageFile)]
        if not files or isinstance(truth, str):
            return [failed(image.name, m, _why(opened, m)) for m in opened]
        rows: list[Row] = []
        for name, places in _planes(image.name, opened, files[0]):
            rows += _score_plane(name, places, opened, files[0], options, value_range)
        return rows
    finally:
        for file in opened.values():
            if isinstance(file, ImageFile):
                file.on_close()


def _planes(
    image: str, opened: Mapping[str, ImageFile | str], leader: ImageFile
) -> Iterator[tuple[str, dict[str, PlaneIndex | None]]]:
    """Each plane's name, and where it stands in each method's file.

    Planes belong together by their index; files with as many planes but other axes (a plain
    stack beside a time series) by order. A plane that one file has is a plane for all.
    """
    listed: dict[str, dict[PlaneIndex, PlaneIndex]] = {}
    for method, file in opened.items():
        planes = () if isinstance(file, str) else file.planes
        alike = len(planes) == len(leader.planes)
        listed[method] = dict(zip(leader.planes if alike else planes, planes, strict=True))
    every = sorted({index for places in listed.values() for index in places})
    scenes = every[-1].s > 0
    for index in every:
        name = f"{image}#{index.label(scenes)}" if len(every) > 1 else image
        yield name, {method: places.get(index) for method, places in listed.items()}


def _open(folder: Path, names: Sequence[str], max_pixels: int) -> ImageFile | str:
    """The open file, or why there is none."""
    if len(names) > 1:
        return f"ambiguous name: {' and '.join(names)} differ only in their suffix"
    try:
        return open_image(folder / names[0], max_pixels)
    except CellqaError as error:
        return str(error)


def _why(opened: Mapping[str, ImageFile | str], method: str) -> str:
    own, truth = opened[method], opened.get("gt")
    if isinstance(own, str):
        return own
    return f"ground truth: {truth}"


def _load(file: ImageFile | str, index: PlaneIndex | None) -> tuple[Plane, bool]:
    """The plane, and whether it was in colour."""
    if isinstance(file, str):
        raise ImageError(file)
    if index is None:
        raise ImageError(f"{file.path.name}: this plane is not in the file")
    pixels = file.load(index)
    try:
        plane = as_plane(luminance(pixels), "image")
    except (ValueError, TypeError) as error:
        raise ImageError(f"{file.path.name}: {error}") from None
    return Plane(plane, pixels.dtype), pixels.ndim == 3


def _score_plane(
    name: str,
    places: Mapping[str, PlaneIndex | None],
    opened: Mapping[str, ImageFile | str],
    leader: ImageFile,
    options: ScoreOptions,
    value_range: tuple[float, float] | None,
) -> list[Row]:
    truth: Plane | None = None
    coloured = False
    if "gt" in opened:
        try:
            truth, coloured = _load(opened["gt"], places["gt"])
        except CellqaError as error:
            reasons = {m: str(error) if m == "gt" else f"ground truth: {error}" for m in opened}
            return [failed(name, method, reasons[method]) for method in opened]
    scorer = _Scorer(truth, options, value_range)
    rows = []
    for method, file in opened.items():
        own = getattr(file, "pixel_size", None)
        size = options.pixel_size or leader.pixel_size or own
        notes = []
        if own and size and not options.pixel_size and not math.isclose(own, size, rel_tol=0.01):
            notes.append(f"{method} states another pixel size than its ground truth, which counts")
        try:
            plane, colour = truth, coloured
            if method != "gt" or plane is None:
                plane, colour = _load(file, places[method])
            if colour:
                notes.append("colour: the luminance (ITU-R 601) was scored")
            row = scorer.row(name, method, plane, size, notes)
        except CellqaError as error:
            row = failed(name, method, str(error))
        rows.append(row)
    return rows


class _Scorer:
    """One plane of ground truth, prepared once, against each method's plane."""

    def __init__(
        self,
        truth: Plane | None,
        options: ScoreOptions,
        value_range: tuple[float, float] | None,
    ) -> None:
        self.truth = truth
        self.options = options
        self.limits: tuple[float, float] | None = None
        self.data_range: float = Undefined("")
        if truth is not None:
            self.data_range, self.limits = _data_range(truth, options.data_range, value_range)
        self.prepared: dict[int, Any] = {}

    def row(
        self, name: str, method: str, plane: Plane, pixel_size: float | None, notes: list[str]
    ) -> Row:
        truth = self.truth if method != "gt" else None
        if truth is not None and plane.raw.shape != truth.raw.shape:
            ours, theirs = (" x ".join(map(str, p.raw.shape)) for p in (plane, truth))
            raise ImageError(f"size {ours} differs from the ground truth's {theirs}")
        wanted = [m for m in self.options.metrics if truth is not None or not m.reference]
        settings = Settings(self.data_range, pixel_size or 1.0, self.options.compat == "ciegan")
        values: dict[str, float] = {}
        for family in {id(m.family): m.family for m in wanted}.values():
            if id(family) not in self.prepared:
                every = {m.name for m in self.options.metrics if m.family is family}
                self.prepared[id(family)] = family.prepare(self.truth, settings, every)
            names = {m.name for m in wanted if m.family is family}
            found = family.measure(self.prepared[id(family)], plane, settings, names)
            values.update({n: found[n] for n in names})
        reasons = [v.reason for v in values.values() if isinstance(v, Undefined) and v.reason]
        return Row(
            name,
            method,
            pixel_size=pixel_size,
            data_range=None if math.isnan(self.data_range) else self.data_range,
            values={m.name: values[m.name] for m in wanted},
            reason="; ".join(dict.fromkeys(reasons)),
            notes=(*notes, *self._notes(method, plane)),
        )

    def _notes(self, method: str, plane: Plane) -> list[str]:
        notes = []
        if self.truth is not None and plane.dtype != self.truth.dtype:
            notes.append(
                f"{method} is {plane.dtype} but its ground truth {self.truth.dtype}: "
                "values were compared as they are"
            )
        if self.limits is not None:
            low, high = self.limits
            if plane.extremes[0] < low or plane.extremes[1] > high:
                notes.append(f"{method} has values beyond the data range")
        return notes


def _data_range(
    truth: Plane, how: str | float, of_set: tuple[float, float] | None
) -> tuple[float, tuple[float, float] | None]:
    """L, and the limits that values should keep."""
    if isinstance(how, (int, float)):
        return float(how), (0.0, float(how))
    if how == "dtype":
        if truth.dtype.kind not in "iu":
            reason = f"psnr, ssim, ms_ssim: --data-range dtype means nothing for {truth.dtype}"
            return Undefined(reason), None
        info = np.iinfo(truth.dtype)
        return float(info.max), (float(info.min), float(info.max))
    if how == "auto" and truth.dtype == np.uint8:
        return 255.0, (0.0, 255.0)
    low, high = of_set or truth.extremes
    if low == high:
        return Undefined("psnr, ssim, ms_ssim: the ground truth is constant, its range 0"), None
    return high - low, (low, high)


def extremes(image: Image, *, folder: Path, max_pixels: int) -> tuple[float, float] | None:
    """Smallest and largest value of an image's ground truth; None where it cannot be read."""
    file = _open(folder, image.files["gt"], max_pixels)
    if isinstance(file, str):
        return None  # its failure is reported when it is scored
    with file:
        try:
            limits = [_load(file, index)[0].extremes for index in file.planes]
        except CellqaError:
            return None
    return min(low for low, _ in limits), max(high for _, high in limits)
