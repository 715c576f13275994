"""Scoring one image: its files in, its rows out. The ground truth is decoded once for all."""

from __future__ import annotations

import math
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np

from cellqa.errors import CellqaError, ImageError, printable
from cellqa.io import ImageFile, PlaneIndex, luminance, open_image
from cellqa.metrics._kernels import similarity
from cellqa.metrics.registry import METRICS
from cellqa.pairs.pairing import Image
from cellqa.planes.compiled import is_kept, kept_in
from cellqa.planes.plane import Plane, as_plane
from cellqa.scoring.maps import save_maps
from cellqa.scoring.plane import Mask, ScoreOptions, Scorer
from cellqa.tables.rows import Row


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
        return before, [failed(image.name, m, f"ground truth: {reason}") for m in image.methods]
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
        for options in (ScoreOptions(), ScoreOptions(METRICS)):
            mask = Mask.of(np.greater(image, 9))
            Scorer(plane, options, None, raw=plane, mask=mask).row("", "", plane, None, [])


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
    with _opened(image, folders, image.files, options.max_pixels) as opened:
        methods = {role: opened[role] for role in image.methods}
        truth = methods.get("gt")
        files = [f for f in (truth, *methods.values()) if isinstance(f, ImageFile)]
        if not files or isinstance(truth, str):
            return [failed(image.name, m, _why(methods, m)) for m in methods]
        rows: list[Row] = []
        for name, places in _planes(image.name, methods, files[0]):
            mask = _mask(opened.get("mask"), places, files[0]) if "mask" in folders else None
            known, wrong = _references(methods, places)
            if "input" in folders and "input" not in methods:
                wrong["input"] = "there is none of this name"
            scorer = Scorer(
                known["gt"][0] if "gt" in known else None,
                options,
                value_range,
                raw=known["input"][0] if "input" in known else None,
                mask=mask,
                no_raw=wrong.get("input", ""),
            )
            rows += _score_plane(name, places, methods, files[0], scorer, known, wrong)
        return rows


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


@contextmanager
def _opened(
    image: Image, folders: Mapping[str, Path], roles: Iterable[str], max_pixels: int
) -> Iterator[dict[str, ImageFile | str]]:
    """The open file of each role, or why there is none."""
    with ExitStack() as stack:
        opened: dict[str, ImageFile | str] = {}
        for role in roles:
            opened[role] = file = _open(folders[role], image.files[role], max_pixels)
            if isinstance(file, ImageFile):
                stack.enter_context(file)
        yield opened


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


def _mask(
    file: ImageFile | str | None, places: Mapping[str, PlaneIndex | None], leader: ImageFile
) -> Mask:
    """The mask of a plane: the plane of the same place, or a single one for all; or why not."""
    if file is None:
        return Mask(None, "there is no mask of this name")
    if isinstance(file, str):
        return Mask(None, file)
    place = next(index for index in places.values() if index is not None)
    if len(file.planes) == 1:
        place = file.planes[0]
    elif place not in file.planes:
        order = leader.planes.index(place) if len(file.planes) == len(leader.planes) else None
        if order is None:
            return Mask(None, f"{file.path.name}: this plane is not in the mask")
        place = file.planes[order]
    try:
        return Mask.of(file.load(place))
    except CellqaError as error:
        return Mask(None, str(error))


def _references(
    opened: Mapping[str, ImageFile | str], places: Mapping[str, PlaneIndex | None]
) -> tuple[dict[str, tuple[Plane, bool]], dict[str, str]]:
    """Ground truth and input with whether they were in colour, or why they cannot be read."""
    known: dict[str, tuple[Plane, bool]] = {}
    wrong: dict[str, str] = {}
    for role in ("gt", "input"):
        if role in opened:
            try:
                known[role] = _load(opened[role], places[role])
            except CellqaError as error:
                wrong[role] = str(error)
    return known, wrong


def _score_plane(
    name: str,
    places: Mapping[str, PlaneIndex | None],
    opened: Mapping[str, ImageFile | str],
    leader: ImageFile,
    scorer: Scorer,
    known: Mapping[str, tuple[Plane, bool]],
    wrong: Mapping[str, str],
) -> list[Row]:
    options = scorer.options
    if "gt" in wrong:
        reasons = dict.fromkeys(opened, f"ground truth: {wrong['gt']}") | {"gt": wrong["gt"]}
        return [failed(name, method, reasons[method]) for method in opened]
    rows = []
    for method, file in opened.items():
        own = getattr(file, "pixel_size", None)
        size = options.pixel_size or leader.pixel_size or own
        notes = []
        if own and size and not options.pixel_size and not math.isclose(own, size, rel_tol=0.01):
            notes.append(f"{method} states another pixel size than its ground truth, which counts")
        try:
            if method in wrong:
                raise ImageError(wrong[method])
            plane, colour = known[method] if method in known else _load(file, places[method])
            if colour:
                notes.append("colour: the luminance (ITU-R 601) was scored")
            row = scorer.row(name, method, plane, size, notes)
            if options.maps is not None:
                save_maps(Path(options.maps), method, name, scorer.maps(method, plane), size)
        except CellqaError as error:
            row = failed(name, method, str(error))
        rows.append(row)
    return rows


def load_plane(
    image: Image, name: str, *, folders: Mapping[str, Path], max_pixels: int
) -> dict[str, Plane]:
    """The planes of one row's name, by role; those that cannot be read are absent."""
    found: dict[str, Plane] = {}
    with _opened(image, folders, image.methods, max_pixels) as opened:
        files = [f for f in (opened.get("gt"), *opened.values()) if isinstance(f, ImageFile)]
        for plane, places in _planes(image.name, opened, files[0]) if files else ():
            if plane != name:
                continue
            for role, file in opened.items():
                with suppress(CellqaError):
                    found[role] = _load(file, places[role])[0]
    return found


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
