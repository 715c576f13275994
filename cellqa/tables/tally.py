"""What a run has to remember of its rows: for summaries, comparisons and warnings."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from cellqa.metrics.metric import Metric
from cellqa.pairs.grouping import Grouping, TileWatch
from cellqa.pairs.pairing import Pairing, without_plane
from cellqa.pairs.roles import Role
from cellqa.tables.rows import Row

_SHOWN_FAILURES = 1000  # named in run.json; scores.csv names them all


class Tally:
    """What summaries and warnings need of the rows: eight bytes a value, not the rows.

    Attributes
    ----------
    methods : tuple of str
    metrics : tuple of Metric
    given : frozenset of str
        Roles that the run had folders of: reference, raw, mask.
    places, planes : dict
        Method to the place of each value's row, as `add` was told; and to its plane, from 0 in
        the order of the run, by which methods are compared.
    groups : array of int
        Group of each plane; empty where images count as independent.
    grouping : Grouping or None
    watch : TileWatch
        Whether the names look like tiles.
    data_ranges : set of float
        The first two that occur.
    limits : (float, float) or None
        Over all ground truths whose data range is a matter of choice.
    objects : int
        Lines of objects.csv.
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

    def __init__(
        self,
        methods: Sequence[str],
        metrics: Sequence[Metric],
        given: Collection[str] | None = None,
        grouping: Grouping | None = None,
    ) -> None:
        self.methods = tuple(methods)
        self.metrics = tuple(metrics)
        self.given = frozenset(
            {Role.REFERENCE, Role.RAW} & set(methods) if given is None else given
        )
        self.places = {m: array("q") for m in self.methods}
        self.planes = {m: array("q") for m in self.methods}
        self.grouping = grouping
        self.groups = array("q")
        self.watch = TileWatch()
        self.data_ranges: set[float] = set()
        self._plane, self._image = "", ""
        self._count = 0
        self.limits: tuple[float, float] | None = None
        self.objects = 0
        self.values = {(m, k.name): array("d") for m in self.methods for k in self.metrics}
        self.scored: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.sized: Counter[bool] = Counter()
        self.failures: list[Row] = []

    def add(self, row: Row, place: int = 0) -> None:
        """Count one row; `place` is found again in `places`. Rows of a plane follow each other."""
        self._follow(row.image)
        if row.status != "ok":
            self.failed[row.method] += 1
            if len(self.failures) < _SHOWN_FAILURES:
                self.failures.append(row)
            return
        self.scored[row.method] += 1
        self.places[row.method].append(place)
        self.planes[row.method].append(self._count - 1)
        if row.data_range is not None and len(self.data_ranges) < 2:
            self.data_ranges.add(row.data_range)
        self.objects += len(row.objects)
        if row.limits is not None:
            low, high = self.limits or row.limits
            self.limits = min(low, row.limits[0]), max(high, row.limits[1])
        self.sized[row.pixel_size is not None] += 1
        self.notes.update(row.notes)
        for metric in self.metrics:
            self.values[row.method, metric.name].append(row.values.get(metric.name, math.nan))

    def _follow(self, plane: str) -> None:
        if self._count and plane == self._plane:
            return
        self._plane = plane
        self._count += 1
        if self.grouping is not None:
            self.groups.append(self.grouping.code(plane))
        image = without_plane(plane)
        if image != self._image:
            self._image = image
            self.watch.add(image)

    def aligned(self, metric: str) -> dict[str, np.ndarray]:
        """Each method's value of each plane, nan where there is none; no method without any."""
        aligned = {}
        for method in self.methods:
            values = np.full(self._count, math.nan)
            values[np.array(self.planes[method], dtype=int)] = self.values[method, metric]
            if not np.isnan(values).all():
                aligned[method] = values
        return aligned

    def groups_of(self, method: str) -> np.ndarray | None:
        """Group of each of a method's values; None where images count as independent."""
        if self.grouping is None:
            return None
        return np.take(np.array(self.groups, dtype=int), np.array(self.planes[method], dtype=int))

    def variant(self, metric: Metric) -> str:
        """The metric's name with its variant and data range."""
        several = len(self.data_ranges) != 1
        return metric.variant(None if several else next(iter(self.data_ranges)), several)

    def named_failures(self) -> list[dict[str, str]]:
        """The first failures, for run.json."""
        return [
            {"image": row.image, "method": row.method, "reason": row.reason}
            for row in self.failures
        ]

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
        warnings += self._clusters()
        if self.mixed_units:
            warnings.append(
                f"the pixel size is known for {self.sized[True]} rows and unknown for "
                f"{self.sized[False]}: resolution is in µm for some and in pixels for others, and "
                "is left out of the summary; give --pixel-size"
            )
        return warnings

    def _clusters(self) -> list[str]:
        """What to know of images that are not independent."""
        if self.grouping is None:
            return [line] if (line := self.watch.warning()) else []
        if not self.grouping.matched:
            return [f"--group {self.grouping.source} matches no image: each is its own group"]
        if self.grouping.unmatched:
            return [
                f"--group {self.grouping.source} does not match {self.grouping.unmatched} of "
                f"{self._count} images: each of those is its own group"
            ]
        return []
