"""A finished run, read back from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd

from cellqa.errors import CellqaError
from cellqa.metrics.metric import Metric
from cellqa.pairs.roles import Role, in_order, is_scored
from cellqa.tables.comparisons import Comparison
from cellqa.tables.folder import COMPARISONS, RUN, SCORES, SUMMARY
from cellqa.tables.reading import read_table, refuse_twice, refuse_unknown
from cellqa.tables.record import RunRecord
from cellqa.tables.summary import Summary


@dataclass(frozen=True)
class LoadedRun:
    """A run's tables.

    Attributes
    ----------
    folder : Path
    record : RunRecord
        run.json.
    methods : list of str
        In the order of the run: input, the methods as given, gt.
    columns : list of Metric
        Those that have a value somewhere.
    scores : DataFrame
        scores.csv.
    summary, comparisons : DataFrame
    """

    folder: Path
    record: RunRecord
    methods: list[str]
    columns: list[Metric]
    scores: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame

    @property
    def metrics(self) -> list[Metric]:
        """Those of the columns that rank."""
        return [m for m in self.columns if m.ranks]

    @property
    def main(self) -> Metric | None:
        """The metric by which images are chosen and ordered: the first fidelity that there is."""
        faithful = [m for m in self.leading if Role.REFERENCE in m.needs]
        return next(iter([*faithful, *self.metrics]), None)

    @property
    def leading(self) -> list[Metric]:
        """Those by which the page says which method leads, in their order."""
        return sorted((m for m in self.metrics if m.leads), key=lambda m: m.leads)

    @property
    def sized(self) -> bool:
        """Whether the pixel size is known."""
        return bool(self.scores["pixel_size"].notna().any())

    @property
    def judged(self) -> list[str]:
        """The methods that are compared: all but the ground truth and the input."""
        return [m for m in self.methods if m not in (Role.RAW, Role.REFERENCE)]

    @property
    def ranked(self) -> list[str]:
        """Those of them that can lead: enhanced ground truth is made of what it is judged by."""
        return [m for m in self.judged if m != Role.EGT] or self.judged

    def values(self, metric: str) -> pd.DataFrame:
        """A column for each method that has values, a row for each image; infinities kept."""
        good = self.scores[self.scores["status"] == "ok"]
        table = good.pivot_table(
            index="image", columns="method", values=metric, aggfunc="first", dropna=False
        )
        kept = [m for m in self.methods if m in table.columns and table[m].notna().any()]
        return table[kept]


def load_run(folder: Path) -> LoadedRun:
    """Read the tables of a run.

    Raises
    ------
    CellqaError
        The folder holds no finished run.
    """
    for name in (SCORES, SUMMARY, RUN):
        if not (folder / name).is_file():
            raise CellqaError(f"{folder}: no finished run ({name} is missing); score first")
    record = RunRecord.read(folder)
    known = record.known_metrics()
    scores = read_table(
        folder / SCORES,
        ("image", "method", "status"),
        ("pixel_size", "data_range", *(m.name for m in known)),
        texts=["reason"],
    )
    if record.rows and len(scores) != record.rows:
        raise CellqaError(
            f"{folder / SCORES}: {len(scores)} rows, but the run had {record.rows}; score again "
            "with --resume"
        )
    methods = list(dict.fromkeys([*record.folders, *scores["method"]]))
    methods = [m for m in methods if is_scored(m) and (scores["method"] == m).any()]
    columns = [m for m in known if scores[m.name].notna().any()]
    names = [m.name for m in known]
    summary = _table(folder / SUMMARY, Summary, ("metric", "method"), names, methods)
    comparisons = pd.DataFrame()
    if (folder / COMPARISONS).is_file():
        of = ("metric", "first", "second")
        comparisons = _table(folder / COMPARISONS, Comparison, of, names, methods)
        comparisons["friedman_p"] = comparisons.get("friedman_p", np.nan)
    return LoadedRun(folder, record, in_order(methods), columns, scores, summary, comparisons)


def _table(
    path: Path, kind: Any, of: Sequence[str], metrics: Sequence[str], methods: Sequence[str]
) -> pd.DataFrame:
    """Lines about a metric of one method, or of two; what earlier versions lack is empty."""
    hints = get_type_hints(kind)
    others = {name: hints[name] for name in hints if name not in of}
    texts, counts, optional = (
        [name for name, hint in others.items() if hint is kind] for kind in (str, int, float)
    )
    table = read_table(path, of, ["n"], optional=optional, counts=counts, texts=texts)
    refuse_unknown(path, table, of[0], metrics)
    for name in of[1:]:
        refuse_unknown(path, table, name, methods)
    refuse_twice(path, table, of)
    return table


def choose(run: LoadedRun, n: int) -> dict[str, list[str]]:
    """Images worth a look, by why: worst, median, best, most disagreement, most invented.

    At most `n` in all; an image stands under the first reason that it has.
    """
    metric = run.main
    if metric is None or n < 1:
        return {}
    table = run.values(metric.name)
    table = table[[m for m in run.judged if m in table.columns]]
    if table.empty:
        return {}
    sign = 1 if metric.higher_is_better else -1
    ranked = (sign * table.replace([np.inf, -np.inf], np.nan)).mean(axis=1).dropna().sort_values()
    order = list(ranked.index)
    middle = sorted(range(len(order)), key=lambda place: abs(place - (len(order) - 1) / 2))
    reasons = {
        "worst": order,
        "median": [order[place] for place in middle],
        "best": order[::-1],
    }
    if table.shape[1] > 1:
        spread = (table.max(axis=1) - table.min(axis=1)).dropna().sort_values(ascending=False)
        reasons["most disagreement"] = list(spread.index)
    if any(m.name == "invented" for m in run.metrics):
        shares = run.values("invented")
        most = shares[[m for m in run.judged if m in shares.columns]].max(axis=1)
        reasons["most invented"] = list(most.dropna().sort_values(ascending=False).index)
    chosen: dict[str, list[str]] = {reason: [] for reason in reasons}
    taken: set[str] = set()
    while len(taken) < n:
        before = len(taken)
        for reason, images in reasons.items():
            image = next((i for i in images if i not in taken), None)
            if image is not None and len(taken) < n:
                chosen[reason].append(image)
                taken.add(image)
        if len(taken) == before:
            break
    return {reason: images for reason, images in chosen.items() if images}


def in_turn(chosen: Mapping[str, Sequence[str]]) -> list[str]:
    """Chosen images, one of each reason after the other, so that the first of them show all.

    Examples
    --------
    >>> in_turn({"worst": ["a", "b"], "best": ["c"]})
    ['a', 'c', 'b']
    """
    rounds = zip_longest(*chosen.values())
    return [image for images in rounds for image in images if image is not None]
