"""The lines of scores.csv, and what a run has to remember of them."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cellqa.pairing import Pairing
from cellqa.registry import Metric

_SHOWN_FAILURES = 1000  # named in run.json; scores.csv names them all


@dataclass(frozen=True)
class Row:
    """One image and method: a line of scores.csv, with notes that end up in run.json.

    Attributes
    ----------
    image, method : str
    pixel_size : float or None
        In micrometres.
    data_range : float or None
    values : dict
        Metric to value; nan where it is undefined.
    status : str
        `ok` or `failed`.
    reason : str
        Why the row failed, or why values are undefined.
    notes : tuple of str
        What the run should warn of.
    """

    image: str
    method: str
    pixel_size: float | None = None
    data_range: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    status: str = "ok"
    reason: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> list[Any]:
        """A list that `from_json` takes; floats survive exactly."""
        # dataclasses.astuple copies deeply, which costs more than writing the row
        place = [self.image, self.method, self.pixel_size, self.data_range]
        return [*place, self.values, self.status, self.reason, self.notes]

    @classmethod
    def from_json(cls, fields: Sequence[Any]) -> Row:
        """The row that `to_json` was called on."""
        image, method, size, data_range, values, status, reason, notes = fields
        return cls(image, method, size, data_range, values, status, reason, tuple(notes))


class Tally:
    """What summaries and warnings need of the rows: eight bytes a value, not the rows.

    Attributes
    ----------
    methods : tuple of str
    metrics : tuple of Metric
    values : dict
        (method, metric name) to the values of the rows that are `ok`, nan where undefined.
    scored, failed : Counter
        Rows of each method.
    notes : Counter
    sized : Counter
        Whether the pixel size is known, over the rows that are `ok`.
    failures : list of Row
        The first thousand.
    """

    def __init__(self, methods: Sequence[str], metrics: Sequence[Metric]) -> None:
        self.methods = tuple(methods)
        self.metrics = tuple(metrics)
        self.values = {(m, k.name): array("d") for m in self.methods for k in self.metrics}
        self.scored: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.sized: Counter[bool] = Counter()
        self.failures: list[Row] = []

    def add(self, row: Row) -> None:
        """Count one row."""
        if row.status != "ok":
            self.failed[row.method] += 1
            if len(self.failures) < _SHOWN_FAILURES:
                self.failures.append(row)
            return
        self.scored[row.method] += 1
        self.sized[row.pixel_size is not None] += 1
        self.notes.update(row.notes)
        for metric in self.metrics:
            self.values[row.method, metric.name].append(row.values.get(metric.name, math.nan))

    @property
    def rows(self) -> int:
        """Rows counted."""
        return self.scored.total() + self.failed.total()

    @property
    def mixed_units(self) -> bool:
        """Whether some resolutions are in micrometres and others in pixels."""
        return len(self.sized) == 2

    def warnings(self, pairing: Pairing) -> list[str]:
        """What a reader of the numbers must know, a line each."""
        warnings = []
        for method, names in pairing.unpaired.items():
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            warnings.append(f"{method}: {len(names)} without a partner ({shown})")
        warnings += [f"{note} ({count} images)" for note, count in sorted(self.notes.items())]
        if self.mixed_units:
            warnings.append(
                f"the pixel size is known for {self.sized[True]} rows and unknown for "
                f"{self.sized[False]}: resolution is in µm for some and in pixels for others, and "
                "is left out of the summary; give --pixel-size"
            )
        return warnings
