"""A finished run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cellqa.tables.agreement import Agreement
from cellqa.tables.comparisons import Comparison
from cellqa.tables.summary import Summary
from cellqa.tables.tally import Tally


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
