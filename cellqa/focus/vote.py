"""The sharpest plane of a stack: several focus measures, and their vote."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cellqa.engines.local import ordered_map
from cellqa.errors import CellqaError, first_line, printable
from cellqa.io import PlaneIndex, is_image_folder, luminance, may_crash, open_image, write_tiff
from cellqa.metrics._spectrum import SMALLEST_SIDE, quadrant, spectrum
from cellqa.metrics.resolution import normal
from cellqa.pairs.pairing import scan
from cellqa.planes.plane import Plane

Array = npt.NDArray[Any]

MODALITIES = ("fluorescence", "phase", "brightfield")
_BAND = (0.1, 0.5)  # radii of the high-frequency energy; beyond, there mostly is noise
_PROMINENT = 0.2  # of a curve's range: what stands out less is no peak of its own
_AGREE = 1.0  # planes


def normalised_variance(plane: Plane) -> float:
    """Variance over mean (Groen et al. 1985, doi 10.1002/cyto.990060202); contrast."""
    variance = float(plane.real.var(dtype=np.float64))
    return variance / plane.mean if plane.mean > 0 else math.nan


def brenner(plane: Plane) -> float:
    """Mean square of differences over two pixels (Brenner 1976, doi 10.1177/24.1.1254907)."""
    pixels = plane.raw.astype(np.float64)
    across, down = pixels[:, 2:] - pixels[:, :-2], pixels[2:] - pixels[:-2]
    return float((across**2).mean() + (down**2).mean())


def tenengrad(plane: Plane) -> float:
    """Mean square of the Sobel gradient (Krotkov 1988, doi 10.1007/BF00127822)."""
    pixels = plane.raw.astype(np.float64)
    along = (cv2.Sobel(pixels, cv2.CV_64F, *order) for order in ((1, 0), (0, 1)))
    return float(sum((gradient**2).mean() for gradient in along))


def laplacian_variance(plane: Plane) -> float:
    """Variance of the Laplacian, in float64 (Pech-Pacheco 2000, doi 10.1109/ICPR.2000.903548)."""
    laplacian = cv2.Laplacian(plane.raw.astype(np.float64), cv2.CV_64F)
    return float(np.var(laplacian))


def band_energy(plane: Plane) -> float:
    """Power between a tenth and a half of the Nyquist frequency, for each pixel."""
    y, x = quadrant(plane.raw.shape)
    rows = np.concatenate([y, -y[:0:-1]])
    radius = np.hypot(rows[:, None], x[None, :])
    half = plane.once(spectrum)
    power = half.real.astype(np.float64) ** 2 + half.imag.astype(np.float64) ** 2
    power[:, 1:] *= 2
    low, high = plane.extremes
    inside = power[(radius > _BAND[0]) & (radius < _BAND[1])].sum()
    size = half.shape[0] * (2 * half.shape[1] - 1)
    return float(inside * np.float64(high - low) ** 2 / size**2)


def decorrelation_cutoff(plane: Plane) -> float:
    """Cut-off kc of decorrelation analysis (doi 10.1038/s41592-019-0515-7); nan without a peak."""
    found = plane.once(normal)
    return found.kc if found.has_peak else math.nan


MEASURES: Mapping[str, Callable[[Plane], float]] = {
    "normalised_variance": normalised_variance,
    "brenner": brenner,
    "tenengrad": tenengrad,
    "laplacian_variance": laplacian_variance,
    "band_energy": band_energy,
    "decorrelation": decorrelation_cutoff,
}
_CONTRAST = "normalised_variance"  # what a thin phase object loses at focus


@dataclass(frozen=True)
class Focus:
    """Where a stack is sharpest.

    Attributes
    ----------
    name : str
        Of the stack.
    planes : list of str
        Name of each plane.
    values : dict
        Measure to the value of each plane, shape (n,); nan where undefined.
    votes : dict
        Measure to its plane, from 0, with fraction; measures without a peak are absent.
    position : float
        The median of the votes; nan where there is none.
    note : str
        What to distrust.
    """

    name: str
    planes: Sequence[str]
    values: Mapping[str, Array]
    votes: Mapping[str, float]
    position: float
    note: str

    @cached_property
    def best(self) -> int | None:
        """The plane with values next to the position; None where no measure has a vote."""
        if math.isnan(self.position):
            return None
        table = np.array(list(self.values.values()))
        measured = np.flatnonzero(np.isfinite(table).any(axis=0))
        return int(measured[np.abs(measured - self.position).argmin()])

    def describe(self) -> str:
        """The result in one line."""
        if self.best is None:
            return f"sharpest: none ({self.note})"
        line = f"sharpest: plane {self.planes[self.best]}, at {self.position:.2f} (planes from 0)"
        line += f"; {self.agreeing} of {len(self.votes)} measures within a plane of it"
        return f"{line}; {self.note}" if self.note else line

    @property
    def agreeing(self) -> int:
        """Measures whose vote is within a plane of the position."""
        return sum(abs(vote - self.position) <= _AGREE for vote in self.votes.values())


def sharpest(
    planes: Sequence[npt.ArrayLike], *, modality: str = "fluorescence", name: str = "stack"
) -> Focus:
    """Find the sharpest of planes that were taken through focus.

    Six measures look at each plane (see `MEASURES`). Each votes for the plane of its maximum, to a
    fraction by a parabola through it and its neighbours; of equal maxima the middle one counts.
    The median of the votes is the position, the plane next to it the sharpest.

    In brightfield, thin phase objects lose their contrast at focus and have more of it on both
    sides. There, a measure with two peaks (each standing out by a fifth of the curve's range)
    votes for the minimum between them, normalised variance without two peaks for its minimum (if
    that is not at an end), and every other for its maximum. In phase contrast, contrast is largest
    at focus, as in fluorescence.

    Parameters
    ----------
    planes : sequence of array_like, each of shape (Y, X)
        Three at least, in the order of their positions; 41 pixels a side or more.
    modality : str
        `fluorescence`, `phase` or `brightfield`.
    name : str

    Returns
    -------
    Focus

    Raises
    ------
    ValueError, TypeError
        Fewer than three planes, an unknown modality, planes too small or of unequal shape, NaN or
        infinity.

    Examples
    --------
    >>> from cellqa import sharpest
    >>> from cellqa.simulate import filaments
    >>> cutoffs = (0.15, 0.25, 0.4, 0.3, 0.2)
    >>> sharpest([filaments((128, 128), cutoff=c, seed=1).image for c in cutoffs]).best
    2
    """
    found = [_measured(Plane.of(plane, f"planes[{k}]")) for k, plane in enumerate(planes)]
    shapes = {np.shape(plane) for plane in planes}
    if len(shapes) > 1:
        raise ValueError(f"`planes` must be of one shape, got {sorted(shapes)}")
    return vote(name, [str(k) for k in range(len(found))], found, modality)


def vote(
    name: str, planes: Sequence[str], measured: Sequence[Sequence[float]], modality: str
) -> Focus:
    """`sharpest` of planes whose measures are known."""
    if modality not in MODALITIES:
        raise ValueError(f"`modality` must be one of {', '.join(MODALITIES)}, got {modality!r}")
    if len(planes) < 3:
        raise ValueError(f"`planes` must be three at least, got {len(planes)}")
    values = dict(zip(MEASURES, np.array(measured, dtype=float).T, strict=True))
    votes: dict[str, float] = {}
    for measure, curve in values.items():
        place = _vote(curve, modality == "brightfield", measure == _CONTRAST)
        if place is not None:
            votes[measure] = place
    position = float(np.median(list(votes.values()))) if votes else math.nan
    focus = Focus(name, planes, values, votes, position, "")
    return replace(focus, note=_note(focus))


def measure_files(
    paths: Sequence[Path],
    *,
    modality: str = "fluorescence",
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[tuple[Focus, list[tuple[Path, PlaneIndex]]]], list[tuple[str, str, str]]]:
    """Find the sharpest plane of each stack: of each scene, time and channel of a file.

    The files of a folder that hold one focus plane each are one stack for each time and channel, in
    natural order of their names (z2 before z10); folders within it are stacks of their own. A
    folder of stacks is as many as its files hold.

    Returns
    -------
    found : list of (Focus, planes)
        With the file and the index of each plane.
    failures : list of (file, plane, reason)
        A plane that cannot be read keeps its place in the stack, without values.

    Raises
    ------
    CellqaError
        A path does not exist, or a folder mixes stacks and planes.
    """
    failures: list[tuple[str, str, str]] = []
    stacks: list[tuple[str, list[tuple[Path, PlaneIndex]]]] = []
    for path in paths:
        stacks += _stacks(path, failures)
    work = [place for _, places in stacks for place in places]
    isolate = any(may_crash(path.name) for path, _ in work)
    measured: list[Any] = []
    for found in ordered_map(_measure_place, work, jobs, on_crash=_crashed, isolate=isolate):
        measured.append(found)
        if progress:
            progress(len(measured), len(work))
    results = []
    for name, places in stacks:
        values, measured = measured[: len(places)], measured[len(places) :]
        bad = [k for k, value in enumerate(values) if isinstance(value, str)]
        failures += [(str(places[k][0]), places[k][1].label(), values[k]) for k in bad]
        shapes = {value[0] for value in values if not isinstance(value, str)}
        if len(shapes) > 1:
            sizes = ", ".join(" x ".join(map(str, shape)) for shape in sorted(shapes))
            failures.append((name, "stack", f"planes of unequal size ({sizes})"))
        elif len(values) < 3:
            failures.append((name, "stack", f"a focus needs three planes, there are {len(values)}"))
        elif len(bad) < len(values):
            none = [math.nan] * len(MEASURES)
            rows = [none if isinstance(value, str) else value[1] for value in values]
            results.append((vote(name, _labels(places), rows, modality), places))
    return results, failures


def save_planes(
    paths: Sequence[Path], found: Sequence[tuple[Focus, Sequence[tuple[Path, PlaneIndex]]]]
) -> list[Path]:
    """Save the sharpest plane of each stack as TIFF, in its own type and with its pixel size.

    A stack without a sharpest plane gets no file.
    """
    written = []
    for target, (focus, places) in zip(paths, found, strict=True):
        if focus.best is None:
            continue
        source, index = places[focus.best]
        note = f"sharpest plane of {focus.name}: {focus.planes[focus.best]} (cellqa)"
        with open_image(source) as file:
            pixels, size = file.load(index), file.pixel_size
        note = note.encode("ascii", "backslashreplace").decode()
        written.append(write_tiff(target, pixels, size, note))
    return written


def _measured(plane: Plane) -> list[float]:
    if min(plane.raw.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"`planes` must have at least {SMALLEST_SIDE} pixels a side, got {plane.raw.shape}"
        )
    with np.errstate(all="ignore"):  # values at the end of floating point
        values = [measure(plane) for measure in MEASURES.values()]
    return [value if math.isfinite(value) else math.nan for value in values]


def _vote(curve: Array, brightfield: bool, contrast: bool) -> float | None:
    """The plane that a measure votes for; None where the curve is flat or has too few values."""
    known = np.flatnonzero(np.isfinite(curve))
    if known.size < 3 or np.ptp(curve[known]) <= 1e-9 * np.abs(curve[known]).max():
        return None
    if not brightfield:
        return _top(curve)
    valley = _between_peaks(curve)
    if valley is not None:
        return valley
    if not contrast:
        return _top(curve)
    lowest = _top(-curve)
    return lowest if 0 < lowest < curve.size - 1 else None  # a slope has no minimum


def _top(curve: Array) -> float:
    """The maximum, to a fraction where both neighbours are known; of equal ones the middle."""
    equal = np.flatnonzero(curve == np.nanmax(curve))
    k = int(equal[(len(equal) - 1) // 2])
    if not 0 < k < curve.size - 1:
        return float(k)
    before, at, after = curve[k - 1 : k + 2]
    bend = before - 2 * at + after
    return k + 0.5 * float((before - after) / bend) if bend < 0 else float(k)


def _between_peaks(curve: Array) -> float | None:
    """The minimum between the two highest peaks that stand out; None where there are not two."""
    from scipy.signal import find_peaks  # slow to import

    known = np.flatnonzero(np.isfinite(curve))
    filled = np.interp(np.arange(curve.size), known, curve[known])
    peaks, _ = find_peaks(filled, prominence=_PROMINENT * np.ptp(filled))
    if len(peaks) < 2:
        return None
    first, second = sorted(peaks[np.argsort(filled[peaks])[-2:]])
    return float(first) + _top(-curve[first : second + 1])


def _note(focus: Focus) -> str:
    if focus.best is None:
        return "no measure has a peak: no structure, or one plane many times"
    notes = []
    table = np.array(list(focus.values.values()))
    unknown = int(np.isnan(table).all(axis=0).sum())
    if unknown:
        notes.append(f"{unknown} of {len(focus.planes)} planes have no value")
    if focus.best in (0, len(focus.planes) - 1):
        notes.append("at the end of the stack: the focus may lie outside")
    if 2 * focus.agreeing <= len(MEASURES):
        notes.append(f"only {focus.agreeing} of {len(MEASURES)} measures are within a plane of it")
    return "; ".join(notes)


_Stack = tuple[str, list[tuple[Path, PlaneIndex]]]


def _stacks(path: Path, failures: list[tuple[str, str, str]]) -> Iterator[_Stack]:
    """Name and planes of each stack at a path."""
    if not path.exists():
        raise CellqaError(f"STACK: {str(path)!r} does not exist")
    if not path.is_dir() or is_image_folder(path.name):
        yield from _stacks_of_file(path, failures)
        return
    folder = scan(path, "STACK")
    files = sorted((n for names in folder.images.values() for n in names), key=_natural)
    within: dict[str, list[list[_Stack]]] = {}
    for name in files:
        listed = list(_stacks_of_file(path / name, failures))
        if listed:
            within.setdefault(name.rpartition("/")[0], []).append(listed)
    for place, of_files in within.items():
        single = [all(len(planes) == 1 for _, planes in listed) for listed in of_files]
        if any(single) and not all(single):
            plane = of_files[single.index(True)][0][0]
            stack = of_files[single.index(False)][0][0]
            raise CellqaError(
                f"STACK: {str(path / place)!r} holds single planes ({plane}) and stacks ({stack}); "
                "keep them apart"
            )
        if not all(single):
            for listed in of_files:
                yield from listed
            continue
        groups: dict[PlaneIndex, list[tuple[Path, PlaneIndex]]] = {}
        for planes in (planes for listed in of_files for _, planes in listed):
            groups.setdefault(planes[0][1]._replace(z=0), []).extend(planes)
        for first, planes in groups.items():
            yield printable(f"{path / place}{_group_label(first, len(groups))}"), planes


def _stacks_of_file(path: Path, failures: list[tuple[str, str, str]]) -> Iterator[_Stack]:
    """Planes of each scene, time and channel."""
    try:
        with open_image(path) as file:
            planes = file.planes
    except CellqaError as error:
        failures.append((str(path), "file", str(error)))
        return
    groups: dict[PlaneIndex, list[tuple[Path, PlaneIndex]]] = {}
    for index in planes:
        groups.setdefault(index._replace(z=0), []).append((path, index))
    for first, places in groups.items():
        yield printable(f"{path}{_group_label(first, len(groups))}"), places


def _group_label(first: PlaneIndex, groups: int) -> str:
    return f"#s{first.s}t{first.t}c{first.c}" if groups > 1 else ""


def _measure_place(place: tuple[Path, PlaneIndex]) -> tuple[tuple[int, ...], list[float]] | str:
    path, index = place
    try:
        with open_image(path) as file:
            plane = Plane.of(luminance(file.load(index)), "image")
        return plane.raw.shape, _measured(plane)
    except (CellqaError, ValueError, TypeError) as error:
        return first_line(error)


def _crashed(place: tuple[Path, PlaneIndex], reason: str) -> str:
    return f"reading this file {reason}"


def _labels(places: Sequence[tuple[Path, PlaneIndex]]) -> list[str]:
    """Names of planes: of the files where each has its own, else their index."""
    if len({path for path, _ in places}) == len(places) > 1:
        return [printable(path.name) for path, _ in places]
    return [index.label() for _, index in places]


def _natural(name: str) -> list[tuple[int, float, str]]:
    """Sort key: numbers by value, also negative and decimal ones after a separator."""
    parts = re.split(r"((?:(?<![0-9A-Za-z])-)?\d+(?:\.\d+)?)", name)
    return [
        (0, float(part), "") if k % 2 else (1, 0.0, part.lower()) for k, part in enumerate(parts)
    ]
