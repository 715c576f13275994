"""Kinds of values of options: numbers, times, lists of metrics."""

from __future__ import annotations

import math
import re
from typing import Any

import click
from click.shell_completion import CompletionItem

_LONGEST = 10 * 366 * 86400  # seconds
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(
    r"(\d+(?:\.\d+)?)\s*(seconds?|sec|s|minutes?|min|m|hours?|h|days?|d)?\s*", re.IGNORECASE
)


class Positive(click.ParamType[float]):
    """A finite number above 0."""

    name = "number"

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is not a finite number above 0", parameter, ctx)
        return number


class Seconds(click.ParamType[float]):
    """A time: 90s, 3min, 2h, 1h30m; a number alone is seconds.

    Parameters
    ----------
    least : float
        In seconds.
    """

    name = "time"

    def __init__(self, least: float = 1.0) -> None:
        self._least = least

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        text = str(value).strip()
        parts = _PART.findall(text)
        if not parts or _PART.sub("", text):
            self.fail(f"{value!r} is not a time as 90s, 3min, 2h or 1h30m", parameter, ctx)
        seconds = sum(float(number) * _SECONDS[(unit or "s")[0].lower()] for number, unit in parts)
        if not self._least <= seconds <= _LONGEST:
            least = f"{self._least:g} second{'s' * (self._least != 1)}"
            self.fail(f"the time must be {least} at least, and ten years at most", parameter, ctx)
        return seconds


class MetricNames(click.ParamType[str]):
    """Names of metrics, with commas between; each may be followed by = and a number."""

    name = "names"

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the text: what reads it knows more of it."""
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The metrics that begin as the last name does."""
        from cellqa.metrics.table import METRICS

        before, comma, last = incomplete.rpartition(",")
        taken = {part.partition("=")[0] for part in before.split(",")}
        return [
            CompletionItem(f"{before}{comma}{name}", help=metric.measures)
            for name, metric in METRICS.items()
            if name.startswith(last.lower()) and name not in taken
        ]


def parse_time(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """Parse the expression of `cellqa.Times`."""
    from cellqa.pairs.times import Times

    return None if value is None else Times.parse(value)
