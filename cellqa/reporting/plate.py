"""The plates of a run: what each well's images have on average, for the page's heat map."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cellqa.pairs.wells import Well, well_of
from cellqa.reporting.load import LoadedRun

_SIZES = (2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48), (48, 72)  # rows, columns
_NUMBERS = 2_000_000  # of all plates, that a page can hold


class _Means(NamedTuple):
    values: pd.DataFrame
    fields: pd.DataFrame
    failed: pd.DataFrame

    def of(self, run: LoadedRun, wells: slice) -> dict[str, Any]:
        """Some wells' part, by method and metric; what has no value is left out."""
        return {
            "values": {
                method: {
                    m.name: [table[m.name, method].to_numpy()[wells].tolist() for table in self[:2]]
                    for m in run.columns
                    if (m.name, method) in self.values and self.values[m.name, method].notna().any()
                }
                for method in run.methods
            },
            "failed": {m: self.failed[m].to_numpy()[wells].tolist() for m in run.methods},
        }


def plates_of(run: LoadedRun) -> tuple[list[dict[str, Any]], int]:
    """The plates that a run's images are of; none where fewer than two images are of wells.

    A well's value is the mean over its fields, a field's that over its planes; infinite values
    count where there are no others.

    Returns
    -------
    plates : list of dict
        `name`; `size`, rows and columns of the smallest plate that holds the wells; `wells`, the
        row and column of each (from 0), what it is called and how the names of its images begin;
        `values`, by method and metric: each well's mean, and of how many fields; `failed`, by
        method: how many fields of each well failed. The first plates, where all would be too much
        for a page.
    int
        How many plates there are.
    """
    names = run.scores["image"]
    fields = {name: well for name in names.unique() if (well := well_of(name)) is not None}
    if len(set(fields.values())) < 2:
        return [], 0
    wells: dict[Well, str] = {}
    for name, field in fields.items():
        wells.setdefault(_whole(field), f"{name.rpartition('/')[0]}/")
    order = sorted(wells, key=lambda well: (well.plate, well.place))
    means = _means(run, fields, {well: k for k, well in enumerate(order)})
    room = _NUMBERS // (len(run.columns) * len(run.methods) or 1)
    plates: list[dict[str, Any]] = []
    start = 0
    sizes = Counter(well.plate for well in order)
    for plate, n in sizes.items():
        if plates and start + n > room:
            break
        part = slice(start, start + n)
        start += n
        plates.append(
            {
                "name": plate,
                "size": _size(order[part]),
                "wells": [[*well.place, well.name, wells[well]] for well in order[part]],
                **means.of(run, part),
            }
        )
    return plates, len(sizes)


def _whole(field: Well) -> Well:
    """The well that a field is of."""
    return field._replace(field=0)


def _size(wells: list[Well]) -> tuple[int, int]:
    """Rows and columns of the smallest plate that holds wells.

    Examples
    --------
    >>> _size([Well("", "B", 3, 0)]), _size([Well("", "A", 5, 0), Well("", "H", 1, 0)])
    ((2, 3), (8, 12))
    """
    last = [max(well.place[axis] for well in wells) for axis in (0, 1)]
    return next(size for size in _SIZES if last[0] < size[0] and last[1] < size[1])


def _means(run: LoadedRun, fields: dict[str, Well], number: dict[Well, int]) -> _Means:
    """What each method has of each well: rows by number, columns (metric, method) or method."""
    scores = run.scores[run.scores["image"].isin(fields.keys())]
    each = {field: k for k, field in enumerate(dict.fromkeys(fields.values()))}
    well = np.array([number[_whole(field)] for field in each])
    place = scores["image"].map({name: each[field] for name, field in fields.items()})
    good = scores["status"] == "ok"
    method, rows = scores["method"], range(len(number))
    raw = scores.loc[good, [m.name for m in run.columns]]
    finite = raw.replace([np.inf, -np.inf], np.nan).groupby([method[good], place[good]]).mean()
    methods, places = (finite.index.get_level_values(level) for level in (0, 1))
    of_wells = finite.groupby([methods, well[places]])
    extremes = raw.groupby([method[good], well[place[good]]]).max()
    lost = pd.DataFrame({"method": method[~good], "place": place[~good]}).drop_duplicates()
    return _Means(
        of_wells.mean().fillna(extremes).unstack(level=0).reindex(rows),
        of_wells.count().unstack(level=0, fill_value=0).reindex(rows, fill_value=0),
        pd.crosstab(well[lost["place"]], lost["method"]).reindex(
            index=rows, columns=run.methods, fill_value=0
        ),
    )
