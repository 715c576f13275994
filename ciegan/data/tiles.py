"""What every kind of preparation shares: splits by field, tiles, what is empty, the files."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cellqa.engines.local import ordered_map
from cellqa.enhance import METHODS
from cellqa.errors import CellqaError, ImageError, first_line, printable
from cellqa.io import PlaneIndex, open_image, split_suffix, write_tiff
from cellqa.pairs.grouping import Grouping
from cellqa.tables.files import write_csv

Array = npt.NDArray[Any]
Source = TypeVar("Source")

SPLITS = ("train", "val", "test")
PAIRS = "pairs.csv"
PERCENTILES = (0.1, 99.9)  # an image's black and white
TARGETS = ("gt", "egt")
MARK = ".made-by-ciegan-prepare"  # what --overwrite may remove
_UNFINISHED = ".unfinished"
_LARGEST = 1e30  # values beyond do not fit into the networks' arithmetic
_LABELS = 0.8  # share of equal neighbours, beside the background, from which values are labels


@dataclass(frozen=True)
class Cut:
    """How fields are split and cut.

    Attributes
    ----------
    tile : int
        Side of the tiles, in pixels.
    min_contrast : float
        A tile is empty, and dropped, where the range of its target (1st to 99th percentile) is
        below this share of the field's (0.1st to 99.9th). 0 keeps all.
    split : str
        Shares of the fields for training, validation and test, as `0.7,0.15,0.15`; or the name of
        a CSV file with the columns field and split.
    field : str or None
        Regular expression whose groups name the field that an image belongs to; by default each
        image is a field of its own.
    seed : int
        Of the split, and of whatever is drawn.
    target : str
        `gt`, or `egt` for enhanced ground truth.
    pixel_size : float or None
        In micrometres; None takes it from the files.
    """

    tile: int = 256
    min_contrast: float = 0.1
    split: str = "0.7,0.15,0.15"
    field: str | None = None
    seed: int = 0
    target: str = "gt"
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        if not 16 <= self.tile <= 8192:
            raise ValueError(f"`tile` must be 16 to 8192 pixels, got {self.tile}")
        if not 0 <= self.min_contrast < 1:
            raise ValueError(f"`min_contrast` must be 0 to 1, got {self.min_contrast}")
        if self.target not in TARGETS:
            raise ValueError(f"`target` must be one of {', '.join(TARGETS)}, got {self.target!r}")


@dataclass(frozen=True)
class Record:
    """A line of pairs.csv.

    Attributes
    ----------
    name : str
        Of the tile: relative to `input` and `target`, with `/`, without suffix.
    split, source, field, plane : str
    distance : float or str
        From the focus, in micrometres (in planes where the step is unknown); empty where unknown.
    degradation : str
    target : str
        `gt` or `egt`.
    y, x : int
        Upper left corner in the source, in pixels.
    shift_y, shift_x : float or str
        Displacement that was undone, in pixels; empty where none was looked for or found.
    low, high : float
        Black and white of the whole input image (0.1st and 99.9th percentile), in grey levels.
    """

    name: str
    split: str
    source: str
    field: str
    plane: str
    distance: float | str
    degradation: str
    target: str
    y: int
    x: int
    shift_y: float | str
    shift_x: float | str
    low: float
    high: float


COLUMNS = tuple(each.name for each in fields(Record))


@dataclass(frozen=True)
class Pair:
    """A whole input image and its target.

    Attributes
    ----------
    label : str
        What tells it from other pairs of its source: appended to the tile's name.
    input, target : ndarray, shape (Y, X) or (Y, X, 3)
    pixel_size : float or None
        In micrometres.
    plane, distance, degradation, shift_y, shift_x
        As in `Record`.
    """

    label: str
    input: Array
    target: Array
    pixel_size: float | None = None
    plane: str = ""
    distance: float | str = ""
    degradation: str = ""
    shift_y: float | str = ""
    shift_x: float | str = ""


@dataclass
class Prepared:
    """What was prepared.

    Attributes
    ----------
    out : Path
    tiles : Counter
        Split to its tiles.
    fields : dict
        Split to its fields.
    empty : int
        Tiles that were dropped.
    failures : list of (source, plane, reason)
    warnings : list of str
    """

    out: Path
    tiles: Counter[str] = field(default_factory=Counter)
    fields: dict[str, list[str]] = field(default_factory=dict)
    empty: int = 0
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """A line for each split, and one for what was dropped."""
        lines = [
            f"{split}: {self.tiles[split]} tiles of {len(names)} field{'s' * (len(names) != 1)}"
            for split, names in self.fields.items()
            if names
        ]
        kept = self.tiles.total()
        return "\n".join([*lines, f"dropped as empty: {self.empty} of {kept + self.empty} tiles"])


@dataclass(frozen=True)
class Done:
    """What became of one source."""

    records: list[Record]
    empty: int
    failures: list[tuple[str, str, str]]
    warnings: list[str]


def fields_by_name(names: Iterable[str], cut: Cut, own: Mapping[str, str]) -> dict[str, str]:
    """Field of each source: what the expression names, else `own`, else the source itself."""
    grouping = Grouping.parse(cut.field) if cut.field else None
    return {
        name: (grouping.group(name) if grouping else None) or own.get(name, name) for name in names
    }


def assign(every: Iterable[str], cut: Cut) -> dict[str, str]:
    """Split of each field; no field stands in two.

    Raises
    ------
    CellqaError
        The shares are not numbers, or there are fewer fields than splits; the table does not name
        every field.
    """
    names = sorted(set(every))
    if cut.split.lower().endswith(".csv"):
        return _assigned(Path(cut.split), names)
    try:
        shares = np.array([float(part) for part in cut.split.split(",")])
    except ValueError:
        shares = np.array([])
    usable = shares.shape == (3,) and np.isfinite(shares).all() and (shares >= 0).all()
    if not usable or not shares[0]:
        raise CellqaError(
            f"--split: {cut.split!r} is neither three shares (train,val,test) nor a .csv file"
        )
    wanted = int((shares > 0).sum())
    if len(names) < wanted:
        raise CellqaError(
            f"{wanted} splits need {wanted} fields, there are {len(names)} "
            f"({printable(', '.join(names))}); give more images, or --split 1,0,0 to train alone"
        )
    exact = shares / shares.sum() * len(names)
    counts = np.maximum(np.floor(exact), shares > 0).astype(int)
    while counts.sum() < len(names):
        counts[(exact - counts).argmax()] += 1
    while counts.sum() > len(names):
        counts[np.where(counts > 1, counts - exact, -np.inf).argmax()] -= 1
    order = np.random.default_rng(cut.seed).permutation(len(names))
    splits = np.repeat(SPLITS, counts)
    return {names[k]: str(split) for k, split in zip(order, splits, strict=True)}


def _assigned(table: Path, names: Sequence[str]) -> dict[str, str]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CellqaError(f"--split: {table}: {first_line(error)}") from None
    found = {row.get("field") or "": row.get("split") or "" for row in rows}
    for name in names:
        if found.get(name) not in SPLITS:
            raise CellqaError(
                f"--split: {table}: field {printable(name)!r} needs a line with the columns field "
                f"and split ({', '.join(SPLITS)})"
            )
    return {name: found[name] for name in names}


def run(
    sources: Mapping[str, Source],
    pairs_of: Callable[[str, Source], Iterator[Pair | tuple[str, str] | str]],
    out: Path,
    cut: Cut,
    *,
    jobs: int = 1,
    isolate: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    inputs: Iterable[Path] = (),
    failures: Iterable[tuple[str, str, str]] = (),
    own_fields: Mapping[str, str] | None = None,
) -> Prepared:
    """Make the pairs of each source, cut and write them, and write pairs.csv.

    Parameters
    ----------
    sources : mapping of str to anything
        Name of each source: a relative path, which becomes the start of its tiles' names.
    pairs_of : callable
        Of name and source: its pairs; or (plane, reason) for one that failed, or a warning.
    inputs : iterable of Path
        Where the sources lie: neither may lie within the other.
    own_fields : mapping of str to str, optional
        Field of sources that are not fields of their own.

    What is made replaces what was there only when all is done.
    """
    check_out(out, list(inputs), overwrite)
    fields_of = fields_by_name(sources, cut, own_fields or {})
    split_of = assign(fields_of.values(), cut)
    prepared = Prepared(out, failures=list(failures))
    prepared.fields = {s: sorted(n for n, of in split_of.items() if of == s) for s in SPLITS}
    made = out / _UNFINISHED
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    work = partial(_do, pairs_of=pairs_of, out=made, cut=cut)
    stems = Counter(split_suffix(name)[0] for name in sources)
    todo = []
    for name, source in sources.items():
        stem, suffix = split_suffix(name)
        # names that differ in their suffix only keep it
        stem = f"{stem}{suffix.replace('.', '_')}" if stems[stem] > 1 else stem
        todo.append((name, stem, fields_of[name], split_of[fields_of[name]], source))
    if cut.field:
        lonely = sum(fields_of[name] == name for name in sources)
        if lonely:
            prepared.warnings.append(f"--field: {lonely} names do not match: fields of their own")
    records: list[Record] = []
    results = ordered_map(work, todo, jobs, on_crash=_crashed, isolate=isolate)
    for count, done in enumerate(results, 1):
        records += done.records
        prepared.empty += done.empty
        prepared.failures += done.failures
        prepared.warnings += done.warnings
        prepared.tiles.update(record.split for record in done.records)
        if progress:
            progress(count, len(todo))
    if not records:
        shutil.rmtree(made, ignore_errors=True)
        why = f"; the first: {prepared.failures[0][2]}" if prepared.failures else ""
        raise CellqaError(f"no tile was made ({prepared.empty} were empty){why}")
    lines = ([str(value) for value in asdict(record).values()] for record in records)
    write_csv(made / PAIRS, list(COLUMNS), lines)
    for name in (PAIRS, *SPLITS):  # without its table, a set that is half replaced is refused
        part = out / name
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
    (out / MARK).touch()
    for name in (*SPLITS, PAIRS):
        if (made / name).exists():
            (made / name).rename(out / name)
    shutil.rmtree(made, ignore_errors=True)
    prepared.warnings += [
        f"no tile is left for {split}: its fields are empty or failed"
        for split, names in prepared.fields.items()
        if names and not prepared.tiles[split]
    ]
    return prepared


def check_out(out: Path, inputs: Sequence[Path], overwrite: bool) -> None:
    """See that nothing of anybody else's would be replaced.

    Raises
    ------
    CellqaError
        It would, or `out` holds prepared data and `overwrite` is false.
    """
    if out.exists() and not out.is_dir():
        raise CellqaError(f"OUT: {str(out)!r} is a file; give a folder")
    place = out.resolve()
    for path in inputs:
        source = path.resolve()
        within = [place / split for split in SPLITS]
        if source == place or (source.is_dir() and source in place.parents):
            raise CellqaError(f"OUT: {str(out)!r} is or lies inside {path}; give another folder")
        if any(part == source or part in source.parents for part in within):
            raise CellqaError(f"OUT: {str(path)!r} lies where tiles go; give another folder")
    parts = [out / name for name in (*SPLITS, PAIRS) if (out / name).exists()]
    if parts and not (out / MARK).exists():
        raise CellqaError(f"OUT: {str(parts[0])!r} was not prepared by ciegan; give another folder")
    if parts and not overwrite:
        raise CellqaError(f"OUT: {str(out)!r} holds prepared data; use --overwrite")


def _crashed(task: tuple[str, str, str, str, Any], reason: str) -> Done:
    return Done([], 0, [(task[0], "", f"preparing it {reason}")], [])


def _do(
    task: tuple[str, str, str, str, Source],
    *,
    pairs_of: Callable[[str, Source], Iterator[Pair | tuple[str, str] | str]],
    out: Path,
    cut: Cut,
) -> Done:
    """Make, cut and write the pairs of one source."""
    name, stem, field_name, split, source = task
    done = Done([], 0, [], [])
    labels: Counter[str] = Counter()
    empty = 0
    try:
        for pair in pairs_of(name, source):
            if isinstance(pair, str):
                done.warnings.append(pair)
            elif isinstance(pair, tuple):
                done.failures.append((name, *pair))
            else:
                labels[pair.label] += 1
                again = f"_{labels[pair.label]}" if labels[pair.label] > 1 else ""
                tag = f"_{pair.label}{again}" if pair.label else ""
                try:
                    about = printable(name), printable(field_name), split
                    records, dropped = _tiles(pair, f"{stem}{tag}", about, out, cut)
                except ImageError as error:
                    done.failures.append((name, pair.plane, str(error)))
                    continue
                done.records.extend(records)
                empty += dropped
    except (CellqaError, ValueError, TypeError) as error:
        done.failures.append((name, "", first_line(error)))
    return Done(done.records, empty, done.failures, done.warnings)


def _tiles(
    pair: Pair, stem: str, about: tuple[str, str, str], out: Path, cut: Cut
) -> tuple[list[Record], int]:
    name, field_name, split = about
    shape = pair.target.shape
    if min(shape[:2]) < cut.tile:
        size = " x ".join(map(str, shape[:2]))
        raise ImageError(f"{size} pixels are smaller than a tile of {cut.tile} (--tile)")
    if pair.input.shape != shape:
        raise ImageError(f"input {pair.input.shape} and target {shape} differ in shape")
    if pair.input.dtype != pair.target.dtype:
        raise ImageError(
            f"input {pair.input.dtype} and target {pair.target.dtype} differ in type: convert one"
        )
    for role, pixels in (("input", pair.input), ("target", pair.target)):
        check_pixels(pixels, role)
    low, high = map(float, np.percentile(pair.input, PERCENTILES))
    black, white = np.percentile(pair.target, PERCENTILES)
    target = pair.target
    if cut.target == "egt":
        target = METHODS["egt"](target)
    records, empty = [], 0
    for y in _starts(shape[0], cut.tile):
        for x in _starts(shape[1], cut.tile):
            inside = np.s_[y : y + cut.tile, x : x + cut.tile]
            dark, bright = np.percentile(pair.target[inside], (1, 99))
            flat = any(p[inside].min() == p[inside].max() for p in (pair.input, pair.target))
            if flat or bright - dark < cut.min_contrast * (white - black):
                empty += 1
                continue
            tile = f"{stem}_y{y:05d}_x{x:05d}"
            for role, pixels in (("input", pair.input), ("target", target)):
                path = out / split / role / f"{tile}.tif"
                write_tiff(path, np.ascontiguousarray(pixels[inside]), pair.pixel_size)
            records.append(
                Record(
                    printable(tile),
                    split,
                    name,
                    field_name,
                    pair.plane,
                    pair.distance,
                    pair.degradation,
                    cut.target,
                    y,
                    x,
                    pair.shift_y,
                    pair.shift_x,
                    low,
                    high,
                )
            )
    return records, empty


def _starts(side: int, tile: int) -> list[int]:
    """Where tiles start: edge to edge, the last one moved back onto the image."""
    return sorted({min(k, side - tile) for k in range(0, side, tile)})


def check_pixels(pixels: Array, role: str, *, prepared: bool = False) -> None:
    """Refuse what cannot be trained on.

    A tile of prepared data may be flat or look like labels, where its field does not.

    Raises
    ------
    ImageError
        The image is boolean or complex, holds NaN or infinity, is constant, or holds labels.
    """
    if pixels.dtype.kind not in "uif":
        raise ImageError(f"the {role} is of type {pixels.dtype}: not an image")
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite(high - low):
        raise ImageError(f"the {role} holds NaN or infinity")
    if max(abs(low), abs(high)) > _LARGEST:
        raise ImageError(f"the {role} holds values beyond {_LARGEST:g}")
    if prepared:
        return
    if low == high:
        raise ImageError(f"the {role} is constant: all pixels are {low:g}")
    if looks_like_labels(pixels):
        raise ImageError(f"the {role} looks like labels of objects, not like an image")


def looks_like_labels(pixels: Array) -> bool:
    """Whether whole numbers fill areas: beside the background, most neighbours are equal.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.zeros((64, 64), np.uint8)
    >>> mask[10:30, 10:30] = 1
    >>> looks_like_labels(mask)
    True
    >>> looks_like_labels(np.random.default_rng(0).poisson(3, (64, 64)).astype(np.uint8))
    False
    """
    plane = pixels if pixels.ndim == 2 else pixels[..., 0]
    if plane.dtype.kind == "f" and (plane % 1 != 0).any():
        return False
    values, counts = np.unique(plane, return_counts=True)
    objects = plane[:, :-1] != values[counts.argmax()]
    if not objects.any():
        return False
    return bool((plane[:, :-1] == plane[:, 1:])[objects].mean() > _LABELS)


def load_image(
    path: Path, index: PlaneIndex | None = None, *, as_is: bool = False
) -> tuple[Array, float | None]:
    """Pixels of a plane, grey or in three colours, and the pixel size.

    Three equal colours are grey, unless `as_is`.

    Raises
    ------
    CellqaError
        It cannot be read; or has several planes and `index` is not given.
    """
    with open_image(path) as file:
        if index is None and len(file.planes) > 1:
            raise ImageError(
                f"{path.name}: {len(file.planes)} planes; save the one to use as its own file "
                "(cellqa sharpest --write), or use `ciegan prepare zstack`"
            )
        return colours(file.load(index or file.planes[0]), as_is), file.pixel_size


def colours(pixels: Array, as_is: bool = False) -> Array:
    """Without alpha: (Y, X), or (Y, X, 3); three equal colours are grey, unless `as_is`."""
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 0])
    rgb = pixels[..., :3]
    grey = not as_is and (rgb == rgb[..., :1]).all()
    return np.ascontiguousarray(rgb[..., 0] if grey else rgb)
