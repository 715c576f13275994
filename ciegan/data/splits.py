"""Which field of view is trained on, validated on, tested on."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cellqa.errors import CellqaError, first_line, printable
from cellqa.io import split_suffix
from cellqa.pairs.grouping import Grouping
from ciegan.config.context import WORDS
from ciegan.data.tiles import TilingOptions

# of a frame, plane or channel, as in pos1_t00, pos1-z3_ch1
_WORDS = "|".join((*WORDS.values(), "c|ch|channel"))
_MOMENT = re.compile(rf"(?i)[_\-\s.]+(?:{_WORDS}|w)[_\-]?\d+(?=$|[_\-\s.])")
_ALONE = re.compile(rf"(?i)^(?:{_WORDS})[_\-]?\d+$")
_FIRST = re.compile(rf"(?i)^(?:{_WORDS})[_\-]?\d+[_\-\s.]+")
SPLITS = ("train", "val", "test")


def fields_by_name(
    names: Iterable[str], tiling: TilingOptions, own: Mapping[str, str]
) -> dict[str, str]:
    """Field of each source: what the expression names, else what its name says, or that in `own`.

    Frames of a series, planes and channels of a field are one, as `pos1_t00` and `pos1_t01`.
    """
    names = list(names)
    grouping = Grouping.parse(tiling.field) if tiling.field else None
    said = {name: own.get(name, name) for name in names}
    places = {each: each if grouping else without_moment(each) for each in said.values()}
    alone = {place for place, number in Counter(places.values()).items() if number == 1}
    return {
        name: (grouping.group(name) if grouping else None)
        or (each if places[each] in alone else places[each])
        for name, each in said.items()
    }


def without_moment(name: str) -> str:
    """A name without what tells frames, planes and channels of one field apart.

    Examples
    --------
    >>> [without_moment(n) for n in ("a/p1_t00.tif", "p1-z03_c1.tif", "t1_p1.tif", "T1000.tif")]
    ['a/p1', 'p1', 'p1', 'T1000.tif']
    >>> without_moment("pos1/t00.tif")
    'pos1'
    """
    folder, slash, own = name.rpartition("/")
    stem, _ = split_suffix(own)
    left = _MOMENT.sub("", stem)
    left = _FIRST.sub("", left) or left
    if folder and _ALONE.match(left):  # a folder for each series
        return folder
    return f"{folder}{slash}{left}" if left and left != stem else name


def assign(every: Iterable[str], tiling: TilingOptions) -> dict[str, str]:
    """Split of each field; no field stands in two.

    Raises
    ------
    CellqaError
        The shares are not numbers, or there are fewer fields than splits; the table does not name
        every field.
    """
    names = sorted(set(every))
    if tiling.within:
        return dict.fromkeys(names, "")
    if tiling.split.lower().endswith(".csv"):
        return _assigned(Path(tiling.split), names)
    shares = np.array(list(shares_of(tiling.split).values()))
    wanted = int((shares > 0).sum())
    if len(names) < wanted:
        raise CellqaError(
            f"{wanted} splits need {wanted} fields, there are {len(names)} "
            f"({printable(', '.join(names))}; images whose names differ in t00, z0 or c0 alone are "
            "one field, see --field): give more images, or cut each field into parts with "
            "--split-within"
        )
    exact = shares / shares.sum() * len(names)
    counts = np.maximum(np.floor(exact), shares > 0).astype(int)
    while counts.sum() < len(names):
        counts[(exact - counts).argmax()] += 1
    while counts.sum() > len(names):
        counts[np.where(counts > 1, counts - exact, -np.inf).argmax()] -= 1
    order = np.random.default_rng(tiling.seed).permutation(len(names))
    splits = np.repeat(SPLITS, counts)
    return {names[k]: str(split) for k, split in zip(order, splits, strict=True)}


def shares_of(split: str) -> dict[str, float]:
    """Share of each split.

    Raises
    ------
    CellqaError
        They are not three numbers from 0 on, the first above.
    """
    try:
        shares = [float(part) for part in split.split(",")]
    except ValueError:
        shares = []
    if len(shares) != 3 or not all(0 <= s < np.inf for s in shares) or not shares[0]:
        raise CellqaError(
            f"--split: {split!r} is neither three shares (train,val,test) nor a .csv file"
        )
    return dict(zip(SPLITS, shares, strict=True))


def _assigned(table: Path, names: Sequence[str]) -> dict[str, str]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CellqaError(f"--split: {table}: {first_line(error)}") from None
    splits: dict[str, str] = {}
    for row in rows:
        name, split = row.get("field") or "", row.get("split") or ""
        if splits.setdefault(name, split) != split:
            raise CellqaError(
                f"--split: {table}: field {printable(name)!r} stands in {printable(splits[name])} "
                f"and in {printable(split)}"
            )
    for name in names:
        if splits.get(name) not in SPLITS:
            raise CellqaError(
                f"--split: {table}: field {printable(name)!r} needs a line with the columns field "
                f"and split ({', '.join(SPLITS)})"
            )
    return {name: splits[name] for name in names}
