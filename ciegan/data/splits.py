"""Which field of view is trained on, validated on, tested on."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cellqa.errors import CellqaError, first_line, printable
from cellqa.pairs.grouping import Grouping
from ciegan.data.tiles import TilingOptions

SPLITS = ("train", "val", "test")


def fields_by_name(
    names: Iterable[str], tiling: TilingOptions, own: Mapping[str, str]
) -> dict[str, str]:
    """Field of each source: what the expression names, else `own`, else the source itself."""
    grouping = Grouping.parse(tiling.field) if tiling.field else None
    return {
        name: (grouping.group(name) if grouping else None) or own.get(name, name) for name in names
    }


def assign(every: Iterable[str], tiling: TilingOptions) -> dict[str, str]:
    """Split of each field; no field stands in two.

    Raises
    ------
    CellqaError
        The shares are not numbers, or there are fewer fields than splits; the table does not name
        every field.
    """
    names = sorted(set(every))
    if tiling.split.lower().endswith(".csv"):
        return _assigned(Path(tiling.split), names)
    try:
        shares = np.array([float(part) for part in tiling.split.split(",")])
    except ValueError:
        shares = np.array([])
    usable = shares.shape == (3,) and np.isfinite(shares).all() and (shares >= 0).all()
    if not usable or not shares[0]:
        raise CellqaError(
            f"--split: {tiling.split!r} is neither three shares (train,val,test) nor a .csv file"
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
    order = np.random.default_rng(tiling.seed).permutation(len(names))
    splits = np.repeat(SPLITS, counts)
    return {names[k]: str(split) for k, split in zip(order, splits, strict=True)}


def _assigned(table: Path, names: Sequence[str]) -> dict[str, str]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CellqaError(f"--split: {table}: {first_line(error)}") from None
    splits = {row.get("field") or "": row.get("split") or "" for row in rows}
    for name in names:
        if splits.get(name) not in SPLITS:
            raise CellqaError(
                f"--split: {table}: field {printable(name)!r} needs a line with the columns field "
                f"and split ({', '.join(SPLITS)})"
            )
    return {name: splits[name] for name in names}
