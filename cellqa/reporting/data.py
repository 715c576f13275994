"""What the script of the page is given: every number of a run, by column, and its pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from cellqa.metrics.metric import Metric
from cellqa.pairs.roles import Role
from cellqa.reporting.leaders import unit_of
from cellqa.reporting.load import LoadedRun
from cellqa.reporting.pictures import ERROR, SIMILAR, Pictures
from cellqa.tables.folder import PICTURES

_NUMBERS = 6_000_000  # that a browser opens in two seconds and sorts in a fifth of one
_DIGITS = 6  # significant, of numbers in the image's own unit
_STOPS = 11  # of a colour bar


def data_of(
    run: LoadedRun, pictures: Mapping[str, Pictures], *, leader: str, files: bool
) -> dict[str, Any]:
    """All but the numbers: names, reasons, pictures, what is known of metrics.

    Parameters
    ----------
    run : LoadedRun
    pictures : dict
        Image to what was drawn of it.
    leader : str
        The method that is shown first.
    files : bool
        Whether pictures lie beside the page.

    Returns
    -------
    dict
        `images`: names, of `total`. `reasons`: texts, the first empty; `why`: method to the number
        of each image's reason; `failed`: method to the places of images that failed; `absent`: of
        those that it has no row of.
    """
    names = _names(run, pictures)
    reasons = {"": 0}
    why: dict[str, list[int]] = {}
    failed: dict[str, list[int]] = {}
    absent: dict[str, list[int]] = {}
    for method, rows, at in _by_method(run, names):
        told = np.zeros(len(names), int)
        told[at] = [reasons.setdefault(text, len(reasons)) for text in rows["reason"].fillna("")]
        why[method] = told.tolist() if told.any() else []
        failed[method] = at[(rows["status"] != "ok").to_numpy()].tolist()
        absent[method] = np.setdiff1d(np.arange(len(names)), at).tolist()
    sizes = run.scores.dropna(subset=["pixel_size"])
    known = sizes[sizes["method"] != Role.RAW].drop_duplicates("image").set_index("image")
    return {
        "methods": run.methods,
        "judged": run.judged,
        "leader": leader,
        "main": run.main.name if run.main else None,
        "metrics": [
            {
                "name": m.name,
                "arrow": m.arrow,
                "unit": unit_of(run, m).strip(),
                "ranks": m.ranks,
                "higher": m.higher_is_better,
                "decimals": m.decimals,
                "measures": m.measures,
            }
            for m in run.columns
        ],
        "images": names,
        "total": int(run.scores["image"].nunique()),
        "reasons": list(reasons),
        "why": why,
        "failed": failed,
        "absent": absent,
        "pictures": {
            name: {
                "number": number,
                "crop": p.crop,
                "shape": p.shape,
                "span": p.span,
                "pixel": float(known["pixel_size"][name]) if name in known.index else None,
                **({"files": p.files} if files else {}),
            }
            for number, (name, p) in enumerate(pictures.items())
        },
        "folder": PICTURES,
        "bars": {"error:": _stops(ERROR), "ssim:": _stops(SIMILAR)},
    }


def columns_of(run: LoadedRun, pictures: Collection[str]) -> dict[str, dict[str, list[Any]]]:
    """Method to metric to the value of each image: null where there is none, "inf" as text.

    In columns, numbers take half of what a row for each image does; what has no value anywhere is
    left out.
    """
    names = _names(run, pictures)
    return {
        method: {
            m.name: _column(rows[m.name], at, len(names), m)
            for m in run.columns
            if rows[m.name].notna().any()
        }
        for method, rows, at in _by_method(run, names)
    }


def _names(run: LoadedRun, first: Collection[str]) -> list[str]:
    """Images that the page lists: all, or the first of them where there are too many."""
    room = max(1, _NUMBERS // (len(run.columns) * len(run.methods) or 1))
    names = list(dict.fromkeys(run.scores["image"]))
    return names if len(names) <= room else list(dict.fromkeys([*first, *names]))[:room]


def _by_method(
    run: LoadedRun, names: Sequence[str]
) -> Iterator[tuple[str, pd.DataFrame, NDArray[np.intp]]]:
    """Rows of each method, and the places of their images."""
    place = {name: k for k, name in enumerate(names)}
    scores = run.scores[run.scores["image"].isin(place.keys())]
    for method, rows in scores.groupby("method", sort=False):
        if method in run.methods:
            yield str(method), rows, rows["image"].map(place).to_numpy(dtype=np.intp)


def _column(values: Any, at: NDArray[np.intp], n: int, of: Metric) -> list[Any]:
    """Values at their places, in the digits that are shown and one more."""
    numbers = np.asarray(values, dtype=float)
    if of.decimals is not None:
        numbers = np.round(numbers, of.decimals + 1)
    else:
        numbers = np.array([float(f"{v:.{_DIGITS}g}") for v in numbers])
    column = np.full(n, None, dtype=object)
    column[at] = numbers
    column[at[np.isnan(numbers)]] = None
    for sign, text in ((np.inf, "inf"), (-np.inf, "-inf")):
        column[at[numbers == sign]] = text
    cells: list[Any] = column.tolist()
    return cells


def _stops(name: str) -> list[str]:
    """Colours of a map, from its least to its most."""
    return [to_hex(matplotlib.colormaps[name](k / (_STOPS - 1))) for k in range(_STOPS)]
