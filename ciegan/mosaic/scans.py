"""Which tiles make one image: by rows and columns in their names, or by stage positions."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import scipy.sparse.csgraph
import scipy.spatial

from cellqa.disk import StrPath
from cellqa.errors import CellqaError, printable
from cellqa.io import PlaneIndex, split_suffix
from cellqa.io.isolated import open_safely
from cellqa.io.store_images import holds_images
from cellqa.pairs.pairing import Folder, list_images, scan
from cellqa.shown import one_line

# What names of tiles look like where no pattern is given. Numbers that a field follows, as in
# r01c02f03, are a plate's rows and columns, not a scan's.
_PATTERNS = tuple(
    re.compile(f"(?i){text}")
    for text in (
        r"(?<![a-z])(?:row|r|y)[_\-]?(?P<row>\d+)[_\-\s]*(?:column|col|c|x)[_\-]?(?P<col>\d+)(?![\df])",
        r"(?<![a-z])(?:column|col|c|x)[_\-]?(?P<col>\d+)[_\-\s]*(?:row|r|y)[_\-]?(?P<row>\d+)(?![\df])",
        r"\[\s*(?P<row>\d+)\s*x\s*(?P<col>\d+)\s*\]",
    )
)
_GROUPS = ("row", "col")
_LOOKED_FOR = "names as in r01_c02, row1_col2, y1_x3, [1 x 2] or R1C3; stage positions that touch"
_TOUCHING = 1.01  # sides between corners of tiles that touch; stages are not exact
_COINCIDE = 0.1  # sides below which positions are those of one place, not of a scan


@dataclass(frozen=True)
class Tile:
    """A tile of a scan.

    Attributes
    ----------
    name : str
        The path below the folder; with `#s3` for a scene of a file that has several.
    path : Path
    scene : int
    row, col : int or None
        In the grid, None where the stage says where the tile lies.
    y, x : float
        Of the stage, in pixels; nan where names say where the tile lies.
    """

    name: str
    path: Path
    scene: int = 0
    row: int | None = None
    col: int | None = None
    y: float = math.nan
    x: float = math.nan


@dataclass(frozen=True)
class Scan:
    """Tiles that make one image.

    Attributes
    ----------
    name : str
        A relative path without suffix.
    tiles : tuple of Tile
        Row by row.
    problem : str
        Why it cannot be assembled; empty where nothing is wrong so far.
    """

    name: str
    tiles: tuple[Tile, ...]
    problem: str = ""

    __repr__ = one_line

    @property
    def staged(self) -> bool:
        """Whether stage positions say where its tiles lie."""
        return self.tiles[0].row is None

    def spanned(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last row, first and last column."""
        rows = [tile.row or 0 for tile in self.tiles]
        cols = [tile.col or 0 for tile in self.tiles]
        return (min(rows), max(rows)), (min(cols), max(cols))

    def missing(self) -> list[tuple[int, int]]:
        """Places (row, col) without a tile, within the grid that its tiles span."""
        if self.staged:
            return []
        taken = {(tile.row, tile.col) for tile in self.tiles}
        (top, bottom), (left, right) = self.spanned()
        grid = ((r, c) for r in range(top, bottom + 1) for c in range(left, right + 1))
        return [place for place in grid if place not in taken]


def find_scans(source: StrPath, pattern: str | None = None) -> list[Scan]:
    r"""Find the scans in a file of several scenes, or below a folder.

    With a pattern, names alone say which tiles belong together. Without, stage positions do where
    files have them (and a pixel size): tiles whose rectangles overlap or touch are a scan. Other
    files go by names, as in `r01_c02`, `row1_col2`, `y1_x3`, `[1 x 2]` or `R1C3`.

    Parameters
    ----------
    source : path
    pattern : str, optional
        Regular expression with the groups `row` and `col`: numbers, or letters. What is left of
        the path without them names the scan.

    Returns
    -------
    list of Scan
        Sorted by name; some may say in `problem` why they cannot be assembled.

    Raises
    ------
    CellqaError
        There is no scan, or no image at all; the pattern is no regular expression, lacks a group,
        or finds a row that is none.

    Examples
    --------
    >>> scan, = find_scans(Path("plate"), r"(?P<well>[A-H]\d+)_s(?P<row>\d)(?P<col>\d)")
    ... # doctest: +SKIP
    """
    source = Path(source)
    expression = _compiled(pattern)
    top, names = _images(source)
    scans: list[Scan] = []
    if expression is None:
        scans, names = _by_stage(top, names)
    scans += _by_name(top, names, (expression,) if expression else _PATTERNS, bool(expression))
    if not scans:
        looked = f"names that match {pattern!r}" if expression else _LOOKED_FOR
        raise CellqaError(f"IN: no scan in {str(source)!r}; looked for {looked}")
    double = [name for name, n in Counter(scan.name for scan in scans).items() if n > 1]
    if double:
        raise CellqaError(f"IN: two scans would both be called {double[0]!r}; see --pattern")
    return sorted(scans, key=lambda scan: scan.name)


def left_out(source: Path, scans: Iterable[Scan]) -> list[str]:
    """Names of the images that belong to no scan."""
    top, names = _images(source, scan)
    used = {tile.path for scan in scans for tile in scan.tiles}
    return [name for name in names if top / name not in used]


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise CellqaError(f"--pattern: {pattern!r} is no regular expression: {error}") from None
    missing = set(_GROUPS) - set(expression.groupindex)
    if missing:
        raise CellqaError(f"--pattern: {pattern!r} lacks a group (?P<{min(missing)}>...)")
    return expression


def _images(
    source: Path, listed: Callable[[Path, str], Folder] = list_images
) -> tuple[Path, list[str]]:
    """The folder, and the names of the images below it."""
    if not source.exists():
        raise CellqaError(f"IN: {str(source)!r} does not exist")
    if not holds_images(source):
        return source.parent, [source.name]
    return source, [n for names in listed(source, "IN").images.values() for n in names]


def _by_name(
    top: Path, names: Sequence[str], patterns: Sequence[re.Pattern[str]], given: bool
) -> list[Scan]:
    """Scans whose names say row and column; a tile alone is none, unless the pattern is given."""
    groups: dict[str, list[Tile]] = {}
    for name in names:
        parts = _read_name(name, top, patterns, given)
        if parts is None:
            continue
        called, *places = parts
        row, col = (_number(text, which, name) for text, which in zip(places, _GROUPS, strict=True))
        tile = Tile(printable(name), top / name, row=row, col=col)
        groups.setdefault(called, []).append(tile)
    scans = []
    for name, tiles in groups.items():
        if len(tiles) == 1 and not given:
            continue
        tiles.sort(key=lambda tile: (tile.row or 0, tile.col or 0))
        scans.append(Scan(name, tuple(tiles), _duplicate(tiles)))
    return scans


def _read_name(
    name: str, top: Path, patterns: Sequence[re.Pattern[str]], given: bool
) -> tuple[str, str, str] | None:
    """Name of the scan, row and column as the name of a tile says them."""
    stem = split_suffix(name)[0]
    match = next((m[-1] for p in patterns if (m := list(p.finditer(stem)))), None)
    if match is None:
        return None
    spans = sorted(map(match.span, _GROUPS)) if given else [match.span()]
    for start, end in reversed(spans):
        stem = stem[: max(0, start)] + stem[max(0, end) :]
    return _tidy(stem, top), match["row"] or "", match["col"] or ""


def _number(text: str, group: str, name: str) -> int:
    """A row or column: a number, or letters as of spreadsheets (A is 1, AA is 27).

    Raises
    ------
    CellqaError
        It is neither.
    """
    if re.fullmatch(r"-?\d{1,9}", text):
        return int(text)
    if re.fullmatch(r"[A-Za-z]{1,4}", text):
        value = 0
        for letter in text.upper():
            value = 26 * value + ord(letter) - ord("A") + 1
        return value
    raise CellqaError(f"--pattern: {group} {text!r} of {name!r} is neither a number nor letters")


def _tidy(stem: str, top: Path) -> str:
    """Name of a scan: what is left of a path, without separators at its ends."""
    folder, _, name = stem.rpartition("/")
    name = re.sub(r"[_\-\s.]{2,}", "_", name).strip("_- .")
    folder = "/".join(part.strip() for part in folder.split("/"))
    if not name:
        return folder or top.resolve().name or "mosaic"
    return f"{folder}/{name}" if folder else name


def _duplicate(tiles: Sequence[Tile]) -> str:
    places: dict[tuple[int | None, int | None], str] = {}
    for tile in tiles:
        other = places.setdefault((tile.row, tile.col), tile.name)
        if other != tile.name:
            return f"{other} and {tile.name} are both row {tile.row}, col {tile.col}"
    return ""


def _by_stage(top: Path, names: Sequence[str]) -> tuple[list[Scan], list[str]]:
    """Scans whose tiles touch on the stage, and the names that are in none of them."""
    groups: dict[tuple[str, tuple[int, ...], tuple[str, str]], list[Tile]] = {}
    broken: dict[str, str] = {}
    for name in names:
        try:
            with open_safely(top / name) as file:
                scenes, positions = file.planes[-1].s + 1, file.acquired().positions
                sides = [file.size_of(PlaneIndex(s=s)) for s in range(scenes)]
                if not all(x for x, _ in sides) or len(positions) != scenes:
                    continue
                shapes = [file.shape_of(PlaneIndex(s=s)) for s in range(scenes)]
        except CellqaError as error:
            broken[name] = str(error)
            continue
        place = name if scenes > 1 else name.rpartition("/")[0]
        for s, (y, x) in enumerate(positions):
            wide = sides[s][0] or 1.0
            high = sides[s][1] or wide
            if math.isfinite(y) and math.isfinite(x):
                label = printable(f"{name}#s{s}" if scenes > 1 else name)
                tile = Tile(label, top / name, s, y=y / high, x=x / wide)
                pixel = f"{wide:.3g}", f"{high:.3g}"
                groups.setdefault((place, shapes[s], pixel), []).append(tile)
    parts = [
        (_stage_name(tiles, top), tiles)
        for (_, shape, _), members in groups.items()
        for tiles in _touching(members, shape)
    ]
    several = Counter(name for name, _ in parts)
    numbers: Counter[str] = Counter()
    scans = []
    for name, tiles in parts:
        numbers[name] += 1
        called = f"{name}_{numbers[name]}" if several[name] > 1 else name
        scans.append(Scan(called, tuple(tiles)))
    used = {tile.path for scan in scans for tile in scan.tiles}
    folders = {path.parent for path in used}
    rest = [name for name in names if top / name not in used]
    for name in [n for n in rest if n in broken and (top / n).parent in folders]:
        # it may be a tile of a scan beside it: better a failure that is told than a silent hole
        tile = Tile(printable(name), top / name)
        scans.append(Scan(split_suffix(name)[0], (tile,), broken[name]))
        rest.remove(name)
    return scans, rest


def _touching(tiles: list[Tile], shape: tuple[int, ...]) -> list[list[Tile]]:
    """Sets of tiles that overlap or touch each other, two at least in each."""
    if len(tiles) < 2:
        return []
    corners = np.array([(tile.y / shape[0], tile.x / shape[1]) for tile in tiles])
    tree = scipy.spatial.cKDTree(corners)
    pairs = tree.query_pairs(_TOUCHING, p=np.inf, output_type="ndarray")
    links = scipy.sparse.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(tiles),) * 2)
    _, parts = scipy.sparse.csgraph.connected_components(links, directed=False)
    same = tree.query_pairs(_COINCIDE, p=np.inf, output_type="ndarray")
    unusable = {int(parts[k]) for k in same.ravel()}  # channels or times in files of their own
    groups: dict[int, list[Tile]] = {}
    for tile, part in zip(tiles, parts, strict=True):
        if int(part) not in unusable:
            groups.setdefault(int(part), []).append(tile)
    several = [members for members in groups.values() if len(members) > 1]
    return [sorted(members, key=lambda t: (t.y, t.x)) for members in several]


def _stage_name(tiles: Sequence[Tile], top: Path) -> str:
    """What the names of files have in common: without row and column, else at their beginning."""
    paths = {tile.path.relative_to(top).as_posix() for tile in tiles}
    stems = [split_suffix(path)[0] for path in paths]
    if len(stems) == 1:
        return stems[0]
    by_name = {read and read[0] for read in (_read_name(p, top, _PATTERNS, False) for p in paths)}
    if len(by_name) == 1 and (called := by_name.pop()):
        return called
    folder = stems[0].rpartition("/")[0]
    names = sorted(stem.rpartition("/")[2] for stem in stems)
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(names[0], names[-1], strict=False))
    common = "".join(letter for letter, _ in alike)
    common = re.sub(r"\d+$", "", common).strip("_- .")
    return _tidy(f"{folder}/{common}" if folder else common, top)
