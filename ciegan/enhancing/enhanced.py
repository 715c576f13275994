"""What became of a file: a line of enhanced.csv."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cellqa.shown import one_line


@dataclass
class Enhanced:
    """What became of a file: a line of enhanced.csv.

    Attributes
    ----------
    image : str
        Path relative to the source folder.
    status : str
        `ok`, `skipped` (done before), `moved` (done before, under another name) or `failed`.
    planes, copied : int or None
        Planes that were enhanced, and that were copied; None where a kill kept that from the notes.
    clipped : float
        Share of values beyond the range of the image's type, or of what the network can give
        (black and white of its training, for those that end in tanh), which were clipped.
    rsp, rse : float
        With `check`, of the plane, or part of a large one, that agrees least with its raw image.
    spread : float
        With `samples`, the mean of the spread map, in grey levels.
    seconds : float
    not_kept : str
        What the source says of itself that the result has no room for.
    reason : str
    hot : int or None
        Hot pixels of the raw planes; None where planes were too large to look.
    worst : str
        The plane, of several, that `rsp` and `rse` are of.
    unlike : float
        How far the image, or the plane of it that is furthest, is from those that the network was
        trained on: above 1 it is unlike them (`ciegan.network.familiar`). nan for images below 64
        pixels, planes too large to look at, and weights that do not know.
    without : str
        Neighbours that the network looks for and did not find: the plane stands in their place.
    looked : list of (plane, rsp, rse, unlike)
        With `check`, of each plane of a file that has several: lines of checked.csv.
    checked : bool
        Whether it was made with `check`.
    """

    image: str
    status: str = "ok"
    planes: int | None = 0
    copied: int | None = 0
    clipped: float = math.nan
    rsp: float = math.nan
    rse: float = math.nan
    spread: float = math.nan
    seconds: float = 0.0
    not_kept: str = ""
    reason: str = ""
    hot: int | None = None
    worst: str = ""
    unlike: float = math.nan
    without: str = ""
    looked: list[list[Any]] = field(default_factory=list)
    checked: bool = False

    __repr__ = one_line


NOTED = tuple(each.name for each in fields(Enhanced))
COLUMNS = tuple(name for name in NOTED if name not in ("looked", "checked"))  # of enhanced.csv


def take_over(record: Enhanced, known: Mapping[str, Any]) -> None:
    """Put into a record what was known of its image before."""
    for name, value in known.items():
        if name != "image":
            setattr(record, name, value)
