"""Who beats whom in one metric, as the paired tests have it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cellqa.metrics.metric import Metric
from cellqa.pairs.roles import Role
from cellqa.tables.comparisons import Comparison

SURE = 0.05  # p, corrected, from which a difference is not sure
_ROLES = (Role.REFERENCE, Role.EGT)  # made of what they would be judged by


@dataclass(frozen=True)
class Board:
    """Who beats whom in one metric.

    Attributes
    ----------
    metric : Metric
    methods : list of str
        Those that can lead: all but the ground truth and what was made of it.
    pairs : dict
        Of two methods, their comparison.
    tests : int
        Of the metric, those with the ground truth and what was made of it among them: Holm
        corrected for as many.
    lacking : collection of str
        Methods that lack values which others have: they do not lead.
    """

    metric: Metric
    methods: list[str]
    pairs: dict[tuple[str, str], Comparison]
    tests: int = 0
    lacking: Collection[str] = ()

    @classmethod
    def of(
        cls,
        metric: Metric | None,
        comparisons: Sequence[Comparison],
        lacking: Collection[str] = (),
    ) -> Board:
        """Of the methods that can lead."""
        if metric is None:
            return cls(Metric(name=""), [], {})
        pairs = {
            (c.first, c.second): c
            for c in comparisons
            if c.metric == metric.name and not {c.first, c.second} & set(_ROLES) and c.n
        }
        tests = sum(c.metric == metric.name and not math.isnan(c.p) for c in comparisons)
        methods = list(dict.fromkeys(m for pair in pairs for m in pair))
        return cls(metric, methods, pairs, tests, lacking)

    @property
    def samples(self) -> int:
        """Independent images or groups of the smallest comparison."""
        return min((c.groups or c.n for c in self.pairs.values()), default=0)

    @property
    def needed(self) -> int:
        """Samples from which a test can find anything, after Holm's correction."""
        return next(n for n in range(6, 64) if self.tests * 2.0 ** (1 - n) < SURE)

    @property
    def few(self) -> bool:
        """Whether no outcome could be sure."""
        return self.samples < self.needed

    def surely(self, winner: str, loser: str) -> bool:
        """Whether one beats the other beyond chance."""
        for (first, second), sign in (((winner, loser), 1), ((loser, winner), -1)):
            line = self.pairs.get((first, second))
            if line is not None:
                return line.p_holm < SURE and sign * line.effect > 0
        return False

    def ahead(self, winner: str, loser: str) -> bool:
        """Whether one is better than the other on more than half of their images."""
        if (line := self.pairs.get((winner, loser))) is not None:
            return line.better > 0.5
        line = self.pairs.get((loser, winner))
        return line is not None and line.better < 0.5

    @property
    def leaders(self) -> list[str]:
        """Methods that no other surely beats."""
        whole = [m for m in self.methods if m not in self.lacking]
        return [m for m in whole if not any(self.surely(o, m) for o in self.methods)]

    @property
    def first(self) -> list[str]:
        """The method that is ahead of all others, sure or not; none where they go in circles."""
        others = self.methods
        return [m for m in others if all(self.ahead(m, o) for o in others if o != m)]


def shown_p(p: float) -> str:
    """A p value as papers print it; empty where there is no test.

    Examples
    --------
    >>> shown_p(2e-9), shown_p(0.0321), shown_p(0.34), shown_p(math.nan)
    ('< 0.001', '0.032', '0.34', '')
    """
    if math.isnan(p):
        return ""
    return "< 0.001" if p < 1e-3 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
