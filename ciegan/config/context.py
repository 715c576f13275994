"""Neighbours in time or focus that a network sees beside the plane it enhances."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

MOST = 4  # neighbours on each side

# what comes before a number in names of files and tiles, as in pos1_t00 and pos1-z3_ch1
WORDS = {"t": "t|tp|time|frame", "z": "z|slice|plane"}
_BY_NAME = {
    axis: re.compile(rf"(?i)(?:^|(?<=[_\-\s./]))(?:{words})[_\-]?(\d+)(?=$|[_\-\s.])")
    for axis, words in WORDS.items()
}
_BY_PLANE = re.compile(r"(?<![A-Za-z0-9])(?:s\d+)?t(\d+)c\d+z(\d+)(?![A-Za-z0-9])")


Seen = TypeVar("Seen")


class Place(NamedTuple):
    """Where a number stands in a name, and what it is: names alike but for it are one series."""

    before: str
    number: int
    digits: int
    after: str

    def moved(self, by: int) -> str | None:
        """The name of a neighbour; None before the first."""
        number = self.number + by
        return f"{self.before}{number:0{self.digits}}{self.after}" if number >= 0 else None

    def names(self, by: int) -> list[str]:
        """What a neighbour may be called: of t10, the one before is t09, or t9."""
        padded = self.moved(by)
        if padded is None:
            return []
        plain = f"{self.before}{self.number + by}{self.after}"
        # a number that begins with 0 has as many digits as all others
        return [padded] if len(str(self.number)) < self.digits else [padded, plain]


def _place(name: str, span: tuple[int, int]) -> Place:
    start, end = span
    return Place(name[:start], int(name[start:end]), end - start, name[end:])


@dataclass(frozen=True)
class Context:
    """Planes before and after.

    Attributes
    ----------
    axis : str
        `t` or `z`; empty for none.
    reach : int
        Planes on each side.

    Examples
    --------
    >>> Context.parse("t:1").offsets
    (0, -1, 1)
    >>> Context.parse("").planes
    1
    """

    axis: str = ""
    reach: int = 0

    @classmethod
    def parse(cls, text: str) -> Context:
        """Read `t:1`, `z:2`, or nothing.

        Raises
        ------
        ValueError
            It is none of these.
        """
        if not text:
            return cls()
        axis, _, reach = text.partition(":")
        if axis not in WORDS or not reach.isdecimal() or not 1 <= int(reach) <= MOST:
            raise ValueError(f"t:1 to t:{MOST} or z:1 to z:{MOST}")
        return cls(axis, int(reach))

    @property
    def offsets(self) -> tuple[int, ...]:
        """Of the planes that are seen, the middle one first."""
        return (0, *(sign * k for k in range(1, self.reach + 1) for sign in (-1, 1)))

    @property
    def planes(self) -> int:
        """Planes that are seen."""
        return 2 * self.reach + 1

    def place(self, name: str) -> Place | None:
        """Where a name tells the time, or the focus step; None where it does not.

        Examples
        --------
        >>> place = Context("t", 1).place("run/pos1_t009_ch1")
        >>> place.number, place.moved(1), place.moved(-10)
        (9, 'run/pos1_t010_ch1', None)
        >>> Context("z", 1).place("stack_t0c1z3_0_256").moved(-1)
        'stack_t0c1z2_0_256'
        """
        if not self.axis:
            return None
        found = list(_BY_NAME[self.axis].finditer(name))
        return _place(name, found[-1].span(1)) if found else self._plane(name)

    def _plane(self, name: str) -> Place | None:
        """Where the name of a tile says which plane of its file it was cut from."""
        found = list(_BY_PLANE.finditer(name))
        return _place(name, found[-1].span(1 if self.axis == "t" else 2)) if found else None

    def neighbours(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Of each name, those that are seen beside it, in the order of the offsets.

        One that is not there is replaced by the nearest on its side that is; the name itself is the
        nearest of all. Planes of a file with several along the axis are beside each other, whatever
        the file's own name says; else files are.

        Examples
        --------
        >>> Context("t", 2).neighbours(["t0", "t1"])["t1"]
        ('t0', 't1', 't0', 't1')
        """
        names = list(names)
        there = set(names)
        seen = {}
        planes = {name: plane for name in names if (plane := self._plane(name))}
        several = Counter((plane.before, plane.after) for plane in planes.values())
        for name in names:
            plane = planes.get(name)
            within = plane if plane and several[plane.before, plane.after] > 1 else None
            others = self._around(within or self.place(name), there.__contains__)
            seen[name] = tuple(self.nearest(name, others.get))
        return seen

    def named(self, name: str, there: Callable[[str], bool] | None = None) -> dict[int, str]:
        """What the neighbours of a name are called, by their offset; nothing where it has none.

        Parameters
        ----------
        name : str
        there : callable, optional
            Whether a name is there: those that are not are left out.

        Examples
        --------
        >>> Context("t", 1).named("pos1_t00.tif")
        {1: 'pos1_t01.tif'}
        >>> Context("t", 1).named("t10.tif", {"t9.tif", "t11.tif"}.__contains__)
        {-1: 't9.tif', 1: 't11.tif'}
        """
        return self._around(self.place(name), there or (lambda other: True))

    def _around(self, place: Place | None, there: Callable[[str], bool]) -> dict[int, str]:
        if place is None:
            return {}
        found = {}
        for offset in self.offsets[1:]:
            if other := next(filter(there, place.names(offset)), None):
                found[offset] = other
        return found

    def nearest(self, own: Seen, at: Callable[[int], Seen | None]) -> list[Seen]:
        """What is seen at each offset but 0; the nearest on its side where nothing is.

        Parameters
        ----------
        own : object
            At 0.
        at : callable
            Of an offset: what is there, or None.
        """
        nearest = {-1: own, 1: own}
        found = []
        for offset in self.offsets[1:]:
            side = 1 if offset > 0 else -1
            other = at(offset)
            if other is not None:
                nearest[side] = other
            found.append(nearest[side])
        return found
