"""What is known of a metric."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, fields
from typing import Any

from cellqa.errors import CellqaError
from cellqa.metrics.case import Case, Family
from cellqa.pairs.roles import Role
from cellqa.shown import one_line

ON_REQUEST = "--metrics"  # named there: what papers report, and no run needs
OBJECTS = "--objects"  # which adds all of them; or named in --metrics

_WIDE = 1e4  # values beyond are shown in significant digits


def _elsewhere(case: Case, names: Set[str]) -> Mapping[str, float]:
    """The family of what is not computed here."""
    raise CellqaError(f"{', '.join(sorted(names))}: of another program, not computed here")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric: what is known of it.

    Attributes
    ----------
    name : str
        The column in every table.
    function : callable
        The public function.
    measure : callable
        Its family: `measure(case, names)` computes it, together with its relatives.
    needs : tuple of Role
        What it compares with.
    higher_is_better : bool or None
        None for a number that tells something and ranks nothing.
    unit : str
        Empty for a ratio.
    length : bool
        In micrometres where the pixel size is known, in pixels elsewhere.
    uses_range : bool
        The definition has the data range in it.
    decimals : int or None
        Digits to show after the point; None for four significant ones, where the unit is the
        image's own.
    range : str
    measures : str
        What it tells, in a few words.
    definition : str
        The variant, in one line.
    doi : str
    option : str
        The option of `cellqa score` that adds it; empty for what every run computes.
    of : str
        The metric that it is a form of: the option adds it where that one is chosen.
    leads : int
        Its place among those by which the report says which method leads; 0 for none.
    extra : str
        The extra of its package that installs what it needs; empty for none.
    """

    name: str
    function: Callable[..., float] | None = None
    measure: Family = _elsewhere
    needs: tuple[Role, ...] = ()
    higher_is_better: bool | None = None
    unit: str = ""
    length: bool = False
    uses_range: bool = False
    decimals: int | None = None
    range: str = ""
    measures: str = ""
    definition: str = ""
    doi: str = ""
    option: str = ""
    of: str = ""
    leads: int = 0
    extra: str = ""

    __repr__ = one_line

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value that there can be, of `range`.

        Examples
        --------
        >>> from cellqa import metric
        >>> metric("ssim").bounds, metric("psnr").bounds
        ((-1.0, 1.0), (-inf, inf))
        """
        match = re.match(r"(-?[\d.]+)(?: pixels)? to (inf|-?[\d.]+$)", self.range)
        if match is None:
            return -math.inf, math.inf
        return (0.0 if self.length else float(match[1])), float(match[2])

    @property
    def arrow(self) -> str:
        """Which direction is better."""
        return {True: "↑", False: "↓", None: "·"}[self.higher_is_better]

    @property
    def listed(self) -> bool:
        """Whether the terminal shows it: what ranks methods, and what was asked for by name."""
        return self.ranks or self.option in (ON_REQUEST, OBJECTS)

    @property
    def ranks(self) -> bool:
        """Whether it says which of two images is better."""
        return self.higher_is_better is not None

    def unit_where(self, sized: bool) -> str:
        """The unit, where the pixel size is known (`sized`) or not."""
        return "px" if self.length and not sized else self.unit

    def shown(self, value: float, undefined: str = "-") -> str:
        """A value in the digits that are worth showing.

        Examples
        --------
        >>> from cellqa import metric
        >>> metric("psnr").shown(30.1234), metric("rse").shown(1599.21)
        ('30.12', '1599.')
        """
        if math.isnan(value):
            return undefined
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        if self.decimals is not None and abs(value) < _WIDE:
            return f"{value:.{self.decimals}f}"
        return f"{value:#.4g}" if abs(value) < _WIDE else f"{value:.4g}"

    def variant(self, data_range: float | None = None, several: bool = False) -> str:
        """Name with what tells it from other programs' metric of that name.

        Examples
        --------
        >>> from cellqa import metric
        >>> metric("ssim").variant(255), metric("nrmse").variant()
        ('ssim [Wang 2004, L=255]', 'nrmse [Euclidean]')
        """
        known = [self.definition.partition(":")[0]]
        if self.uses_range:
            known.append(
                "L of each image" if several or data_range is None else f"L={data_range:g}"
            )
        return f"{self.name} [{', '.join(known)}]"

    @property
    def asks(self) -> str:
        """Options of `cellqa score` that it takes; `-` for what every run computes."""
        folders = [need.option for need in self.needs if need != Role.MASK]
        return ", ".join([*folders, self.option] if self.option else folders) or "-"

    def applies(self, method: str, given: Set[str]) -> bool:
        """Whether a method has this metric in a run that was given these things."""
        return given >= set(self.needs) and method not in self.needs

    def facts(self) -> dict[str, Any]:
        """All but the functions, for JSON; `cellqa.metrics.registry.of_facts` takes it."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in known.items() if k not in ("function", "measure")}
