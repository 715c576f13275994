"""A finished run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cellqa.shown import one_line
from cellqa.tables.agreement import Agreement
from cellqa.tables.comparisons import Comparison
from cellqa.tables.folder import SCORES
from cellqa.tables.reading import read_table
from cellqa.tables.summary import Summary
from cellqa.tables.tally import Tally

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes
    ----------
    tally : Tally
    summaries : list of Summary
    comparisons : list of Comparison
    warnings : list of str
    paths : list of Path
        The files written.
    agreements : list of Agreement
        Of objects, where they were looked for.
    """

    tally: Tally
    summaries: list[Summary]
    comparisons: list[Comparison]
    warnings: list[str]
    paths: list[Path]
    agreements: list[Agreement] = field(default_factory=list)

    __repr__ = one_line

    def to_frame(self) -> pd.DataFrame:
        """scores.csv as pandas has it: a row for each image and method; nan is undefined.

        Raises
        ------
        CellqaError
            The file is gone or damaged.
        """
        path = next(path for path in self.paths if path.name == SCORES)
        names = [metric.name for metric in self.tally.metrics]
        return read_table(
            path,
            ("image", "method", "status"),
            ("pixel_size", "data_range", *names),
            texts=["reason"],
        )
