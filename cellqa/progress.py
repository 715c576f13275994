"""How far a long command is: a bar, lines, JSON, and a log file."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

MODES = ("bar", "plain", "json", "none")
_EVERY = 60.0  # seconds between lines
_OFTEN = 0.1  # seconds between drawings of the bar
_WIDTH = 30  # of the bar


@dataclass
class Outlet:
    """Where a command tells how far it is.

    Attributes
    ----------
    mode : str or None
        One of `MODES`; None for a bar on a terminal, and lines elsewhere.
    log : file or None
        Gets lines, whatever the mode, and every warning and failure.
    """

    mode: str | None = None
    log: IO[str] | None = None

    @property
    def shown(self) -> str:
        """The mode that counts."""
        return self.mode or ("bar" if sys.stderr.isatty() else "plain")

    def note(self, line: str) -> None:
        """A line for the log file, with the time."""
        if self.log is not None:
            self.log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
            self.log.flush()


outlet = Outlet()  # of the command that runs


@dataclass
class Stage:
    """One stage of a command's work.

    Attributes
    ----------
    label : str
    more : int
        Items of later stages, which count in the time left: each as long as one of this.
    """

    label: str
    more: int = 0
    clock: Callable[[], float] = time.monotonic
    _start: float = field(init=False)
    _first: int | None = field(default=None, init=False)
    _done: int = field(default=0, init=False)
    _total: int = field(default=0, init=False)
    _drawn: float = field(default=0.0, init=False)
    _told: float = field(default=0.0, init=False)
    _lines: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._start = self._told = self.clock()

    def __call__(self, done: int, total: int) -> None:
        """Tell how many items are done, of how many."""
        now = self.clock()
        if self._first is None or total != self._total or done < self._done:
            if done > 1 or self._first is not None:
                self._start = self._told = now
            self._first = done if done > 1 else 0  # what was done before took no time
        self._done, self._total = done, total
        if outlet.shown == "bar" and (now - self._drawn >= _OFTEN or done == total):
            self._drawn = now
            self._draw(now)
        if now - self._told >= _EVERY or (done == total and self._lines):
            self._told, self._lines = now, done < total
            self._tell(now)

    def end(self) -> None:
        """Leave the bar as it is, and go on below; the log gets what was done in all."""
        passed = self.clock() - self._start
        if self._total:
            outlet.note(f"{self.label}: {self._done} of {self._total} in {span(passed)}")
        if self._drawn and outlet.shown == "bar":
            sys.stderr.write("\n")
            sys.stderr.flush()

    def rate(self, now: float) -> float:
        """Items a second; 0 before the first."""
        passed = now - self._start
        return (self._done - (self._first or 0)) / passed if passed > 0 else 0.0

    def left(self, now: float) -> float | None:
        """Seconds left, those of later stages included; None where nothing is known."""
        rate = self.rate(now)
        return (self._total - self._done + self.more) / rate if rate > 0 else None

    def _draw(self, now: float) -> None:
        full = int(_WIDTH * self._done / self._total) if self._total else _WIDTH
        bar = "#" * full + "-" * (_WIDTH - full)
        left = self.left(now)
        rest = f"  {span(left)} left" if left and self._done < self._total else ""
        line = f"{self.label}  [{bar}]  {self._done} of {self._total}{rest}"
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{line[:width]}")
        sys.stderr.flush()

    def _tell(self, now: float) -> None:
        rate, left = self.rate(now), self.left(now)
        share = f" ({self._done / self._total:.0%})" if self._total else ""
        line = f"{self.label}: {self._done} of {self._total}{share}, {_speed(rate)}"
        line += f", {span(left)} left" if left is not None else ""
        outlet.note(line)
        if outlet.shown == "plain":
            print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
        elif outlet.shown == "json":
            facts: dict[str, Any] = {
                "stage": self.label,
                "done": self._done,
                "total": self._total,
                "seconds": round(now - self._start, 1),
                "per_second": round(rate, 4),
                "left": None if left is None else round(left, 1),
            }
            print(json.dumps(facts), file=sys.stderr, flush=True)


def span(seconds: float) -> str:
    """A time as people say it.

    Examples
    --------
    >>> span(42), span(190), span(7500), span(200_000)
    ('42 s', '3 min', '2 h 5 min', '2 d 7 h')
    """
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = minutes // 60
    return f"{hours // 24} d {hours % 24} h"


def _speed(rate: float) -> str:
    """Items a second, or a minute or an hour where they are slow.

    Examples
    --------
    >>> _speed(12.34), _speed(0.05), _speed(0.002)
    ('12.3/s', '3/min', '7.2/h')
    """
    for unit, seconds in (("s", 1), ("min", 60)):
        if rate * seconds >= 1:
            return f"{rate * seconds:.3g}/{unit}"
    return f"{rate * 3600:.3g}/h"
