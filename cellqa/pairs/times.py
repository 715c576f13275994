"""Which images are the frames of one time series, by the times in their names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cellqa.errors import CellqaError
from cellqa.pairs.grouping import Grouping
from cellqa.pairs.pairing import Image, without_plane
from cellqa.shown import one_line

_NAMES = ("time", "t", "frame")  # of the group that is the time, in this order
_SHOWN = 3


@dataclass(frozen=True)
class Times:
    r"""Series and time of each image, by its name.

    Attributes
    ----------
    source : str
        The expression. Its group `time`, `t` or `frame` is the time, else its first group: a whole
        or decimal number. Other named groups together name the series; without any, the series is
        the name with `*` for the time.

    Examples
    --------
    >>> Times.parse(r"_t(\d+)").of("well1/pos2_t007.tif")
    ('well1/pos2_t*.tif', 7.0)
    >>> Times.parse(r"(?P<pos>p\d+)_(?P<t>\d+)_").of("p3_12_20240105.tif")
    ('p3', 12.0)
    """

    source: str
    expression: re.Pattern[str]

    __repr__ = one_line

    @classmethod
    def parse(cls, source: str) -> Times:
        """Of a regular expression.

        Raises
        ------
        CellqaError
            It is none, or has no group.
        """
        try:
            expression = re.compile(source)
        except re.error as error:
            raise CellqaError(f"--time: {source!r} is no regular expression: {error}") from None
        if not expression.groups:
            raise CellqaError(
                f"--time: {source!r} has no group; put the time in parentheses, as in "
                r"'_t(\d+)' or '_t(?P<t>\d+)'"
            )
        return cls(source, expression)

    def of(self, image: str) -> tuple[str, float] | None:
        """Series and time of an image; None where the expression does not match.

        Raises
        ------
        CellqaError
            What matched is no number.
        """
        name = without_plane(image)
        match = self.expression.search(name)
        if match is None:
            return None
        groups = self.expression.groupindex
        which: str | int = next((n for n in _NAMES if n in groups), 1)
        text = match[which]
        try:
            time = float(text)
            if not math.isfinite(time):
                raise ValueError(text)
        except (TypeError, ValueError):
            raise CellqaError(f"--time: {text!r} in {name!r} is no number") from None
        others = [match[n] or "" for n in groups if n != which and groups[n] != which]
        if others:
            return "/".join(others), time
        start, end = match.span(which)
        return f"{name[:start]}*{name[end:]}", time

    def series(self, images: Sequence[Image]) -> dict[str, list[tuple[float, Image]]]:
        """Times and images of each series, in the order of time; images without one are left out.

        Raises
        ------
        CellqaError
            No image has a time, or two images of one series have the same.
        """
        found: dict[str, dict[float, Image]] = {}
        for image in images:
            place = self.of(image.name)
            if place is None:
                continue
            times = found.setdefault(place[0], {})
            if place[1] in times:
                raise CellqaError(
                    f"--time: {times[place[1]].name} and {image.name} are both time {place[1]:g} "
                    f"of {place[0]!r}; name what tells the series apart in a group, as in "
                    r"'(?P<pos>p\d+)_t(?P<t>\d+)'"
                )
            times[place[1]] = image
        if not found:
            names = ", ".join(image.name for image in images[:_SHOWN])
            raise CellqaError(f"--time: {self.source!r} matches no image (there are {names})")
        return {name: sorted(times.items(), key=_first) for name, times in found.items()}

    def grouping(self, images: Sequence[Image]) -> Grouping:
        """The frames of a series as one sample, as planes of a file are; other images alone."""
        places = {image.name: self.of(image.name) for image in images}
        table = {name: place[0] if place else name for name, place in places.items()}
        return Grouping(f"series of {self.source}", table=table)


def _first(step: tuple[float, Image]) -> float:
    return step[0]
