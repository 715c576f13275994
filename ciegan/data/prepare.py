"""What every kind of preparation shares: pairs in, tiles and pairs.csv out."""

from __future__ import annotations

import errno
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cellqa.disk import alone, fresh_folder, open_ours, remove, remove_folder
from cellqa.engines.local import ordered_map
from cellqa.errors import CellqaError, ImageError, first_line, printable
from cellqa.io import may_crash, split_suffix, write_tiff
from cellqa.pairs.pairing import list_images
from cellqa.planes import Array
from cellqa.shown import one_line
from cellqa.tables.files import write_csv
from cellqa.terminal import Progress
from ciegan.data.looks import in_several_splits, look_of
from ciegan.data.pixels import STRETCHED, load_image
from ciegan.data.splits import SPLITS, assign, fields_by_name, shares_of
from ciegan.data.tiles import COLUMNS, INPUT, TARGET, Pair, Record, Source, TilingOptions, cut_tiles

PAIRS = "pairs.csv"


MARK = ".made-by-ciegan-prepare"  # what --overwrite may remove


_UNFINISHED = ".unfinished"


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

    __repr__ = one_line

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
    look: Array | None = None
    grey: set[str] = field(default_factory=set)  # of its tiles


def prepare_sources(
    sources: Mapping[str, Source],
    pairs_of: Callable[[str, Source], Iterator[Pair | tuple[str, str] | str]],
    out: Path,
    tiling: TilingOptions,
    *,
    jobs: int = 1,
    isolate: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
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
        What sources are planes of, by whose names fields are told.

    What is made replaces what was there only when all is done.
    """
    check_out(out, list(inputs), overwrite)
    with alone(out, "OUT"):
        return _prepare(
            sources, pairs_of, out, tiling, jobs, isolate, progress, failures, own_fields or {}
        )


def prepare_folder(
    folder: Mapping[str, list[Path]],
    pairs_of: Callable[[str, list[Path]], Iterator[Pair | tuple[str, str] | str]],
    out: Path,
    tiling: TilingOptions,
    **rest: Any,
) -> Prepared:
    """`prepare_sources` of files by name; what may crash is read in processes of its own."""
    isolate = any(may_crash(path) for paths in folder.values() for path in paths)
    return prepare_sources(folder, pairs_of, out, tiling, isolate=isolate, **rest)


def images_below(top: Path, role: str) -> dict[str, list[Path]]:
    """Files of each image of a folder, by its name; several where names differ in their suffix."""
    return {name: [top / n for n in names] for name, names in list_images(top, role).images.items()}


def only(paths: Sequence[Path]) -> Path:
    """The file of an image.

    Raises
    ------
    ImageError
        There are several.
    """
    if len(paths) > 1:
        names = " and ".join(path.name for path in paths)
        raise ImageError(f"ambiguous name: {names} differ only in their suffix")
    return paths[0]


def seed_of(name: str) -> int:
    """What is drawn for an image, by its name: others in its folder do not change it."""
    return zlib.crc32(name.encode("utf-8", "surrogateescape"))


def _prepare(
    sources: Mapping[str, Source],
    pairs_of: Callable[[str, Source], Iterator[Pair | tuple[str, str] | str]],
    out: Path,
    tiling: TilingOptions,
    jobs: int,
    isolate: bool,
    progress: Progress | None,
    failures: Iterable[tuple[str, str, str]],
    own_fields: Mapping[str, str],
) -> Prepared:
    """What `prepare_sources` does in a folder that is its own."""
    fields_of = fields_by_name(sources, tiling, own_fields)
    failed = list(failures)
    try:
        split_of = assign(fields_of.values(), tiling)
    except CellqaError as error:
        if not failed:
            raise
        name, _, why = failed[0]
        more = f"{len(failed)} failed, the first: {printable(name)}: {why}"
        raise CellqaError(f"{error}; {more}") from None
    shares = shares_of(tiling.split) if tiling.within else None
    prepared = Prepared(out, failures=failed)
    prepared.fields = {
        s: sorted(n for n, of in split_of.items() if of == s or (shares and shares[s]))
        for s in SPLITS
    }
    made = out / _UNFINISHED
    fresh_folder(made)
    work = partial(_do, pairs_of=pairs_of, out=made, tiling=tiling, shares=shares)
    stem_of = _stems(sources)
    todo = [
        (name, stem_of[name], fields_of[name], split_of[fields_of[name]], source)
        for name, source in sources.items()
    ]
    if tiling.field:
        lonely = sum(fields_of[name] == name for name in sources)
        if lonely:
            prepared.warnings.append(f"--field: {lonely} names do not match: fields of their own")
    elif len(split_of) < (images := len({own_fields.get(name, name) for name in sources})):
        prepared.warnings.append(
            f"{images} images are {len(split_of)} fields: names that differ in t00, z0 or c0 "
            "alone are frames, planes or channels of one (--field says otherwise)"
        )
    records: list[Record] = []
    looks: dict[str, Array] = {}
    grey: set[str] = set()
    taken: dict[str, str] = {}  # by which source
    results = ordered_map(work, todo, jobs, on_crash=_crashed, isolate=isolate)
    for count, done in enumerate(results, 1):
        for record in done.records:
            if taken.setdefault(record.name, record.source) != record.source:
                raise CellqaError(
                    f"{taken[record.name]} and {record.source} make tiles of one name "
                    f"({record.name}): rename one of them"
                )
        records += done.records
        prepared.empty += done.empty
        prepared.failures += done.failures
        prepared.warnings += done.warnings
        prepared.tiles.update(record.split for record in done.records)
        if done.look is not None and done.records:
            looks[done.records[0].source] = done.look
        grey |= done.grey
        if progress:
            progress(count, len(todo))
    if stretched := prepared.warnings.count(STRETCHED):
        prepared.warnings = [told for told in prepared.warnings if told != STRETCHED]
        prepared.warnings.append(f"{STRETCHED}; planes: {stretched}")
    prepared.warnings += in_one_kind(made, records, grey)
    if prepared.failures:
        _remove_unnamed(made, records)
    if not records:
        remove_folder(made)
        why = f"; the first: {prepared.failures[0][2]}" if prepared.failures else ""
        raise CellqaError(f"no tile was made ({prepared.empty} were empty){why}")
    _put_in_place(made, out, records)
    if not tiling.within:
        prepared.warnings += in_several_splits(looks, {r.source: r.split for r in records})
    prepared.warnings += [
        f"no tile is left for {split}: its fields are empty or failed"
        for split, names in prepared.fields.items()
        if names and not prepared.tiles[split]
    ]
    return prepared


def _stems(names: Iterable[str]) -> dict[str, str]:
    """How the tiles of each source begin; names that differ in their suffix only keep it."""
    parts = {name: split_suffix(name) for name in names}
    taken = Counter(stem for stem, _ in parts.values())
    return {
        name: f"{stem}{suffix.replace('.', '_')}" if taken[stem] > 1 else stem
        for name, (stem, suffix) in parts.items()
    }


def _put_in_place(made: Path, out: Path, records: Sequence[Record]) -> None:
    """Write the table, and replace what was there by what was made."""
    lines = ([str(value) for value in asdict(record).values()] for record in records)
    write_csv(made / PAIRS, list(COLUMNS), lines)
    for name in (PAIRS, *SPLITS):  # without its table, a set that is half replaced is refused
        remove(out / name)
    open_ours(out / MARK, keep=True).close()
    for name in (*SPLITS, PAIRS):
        if (made / name).exists():
            (made / name).rename(out / name)
    remove_folder(made)


def _remove_unnamed(made: Path, records: Sequence[Record]) -> None:
    """Remove tiles that no record names: of sources whose process ended before it was done."""
    named = {f"{r.split}/{role}/{r.name}" for r in records for role in (INPUT, TARGET)}
    for path in made.rglob("*.tif"):
        if printable(path.relative_to(made).as_posix().removesuffix(".tif")) not in named:
            path.unlink()


def in_one_kind(place: Path, records: Sequence[Record], grey: Set[str]) -> list[str]:
    """Write the tiles that are grey in three equal colours where others are in colour."""
    if not grey or len(grey) == len(records):
        return []
    for record in records:
        if record.name in grey:
            for role in (INPUT, TARGET):
                path = place / record.split / role / f"{record.name}.tif"
                pixels, size, _ = load_image(path, as_is=True)
                write_tiff(path, np.stack([pixels] * 3, axis=-1), size)
    images = list(dict.fromkeys(r.source for r in records if r.name in grey))
    every = len({record.source for record in records})
    return [
        f"{len(images)} of {every} images are grey ({printable(images[0])}), the others in "
        "colour: all were prepared in colour"
    ]


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
    tiling: TilingOptions,
    shares: Mapping[str, float] | None,
) -> Done:
    """Make, cut and write the pairs of one source."""
    name, stem, field_name, split, source = task
    done = Done([], 0, [], [])
    labels: Counter[str] = Counter()
    empty = 0
    look: Array | None = None
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
                    records, dropped = cut_tiles(pair, f"{stem}{tag}", about, out, tiling, shares)
                except ImageError as error:
                    done.failures.append((name, pair.plane, str(error)))
                    continue
                look = look_of(pair.target) if look is None else look
                if pair.target.ndim == 2:
                    done.grey.update(record.name for record in records)
                done.records.extend(records)
                empty += dropped
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        done.failures.append((name, "", "its name is too long for its tiles' names"))
    except (CellqaError, ValueError, TypeError) as error:
        done.failures.append((name, "", first_line(error)))
    return Done(done.records, empty, done.failures, done.warnings, look, done.grey)
