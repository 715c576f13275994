"""The errors that a user can meet, and values that need a word: undefined ones, and bounds."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any


class CellqaError(Exception):
    """A wrong file, folder or table: one line that says what is wrong and what to do."""


class ImageError(CellqaError):
    """An image that cannot be read, or not as what it should be."""


class MissingExtraError(CellqaError):
    """A format whose optional package is not installed."""


class Interrupted(Exception):  # noqa: N818 - not an error
    """The user stopped the work; `done` of `total` are kept."""

    def __init__(self, done: int = 0, total: int = 0) -> None:
        super().__init__(done, total)
        self.done, self.total = done, total


class Undefined(float):
    """A value that does not exist: nan, with the reason.

    Examples
    --------
    >>> import math
    >>> from cellqa import Undefined
    >>> value = Undefined("ms_ssim: a side below 176 pixels")
    >>> math.isnan(value), value.reason
    (True, 'ms_ssim: a side below 176 pixels')
    """

    reason: str

    def __new__(cls, reason: str) -> Undefined:
        """Make a nan that says why."""
        value = super().__new__(cls, "nan")
        value.reason = reason
        return value

    def __reduce__(self) -> Any:
        return Undefined, (self.reason,)


class Bound(float):
    """A value that is only a bound of what was looked for, with the reason.

    Examples
    --------
    >>> value = Bound(2.0, "frc_resolution: agrees up to the Nyquist frequency")
    >>> value * 2, value.reason
    (4.0, 'frc_resolution: agrees up to the Nyquist frequency')
    """

    reason: str

    def __new__(cls, value: float, reason: str) -> Bound:
        """Make a number that says what it is."""
        bound = super().__new__(cls, value)
        bound.reason = reason
        return bound

    def __reduce__(self) -> Any:
        return Bound, (float(self), self.reason)


# control characters (C0, C1), ends of lines, turns of direction, marks without a width
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def printable(text: str) -> str:
    r"""A file name as valid text on one line: control characters and stray bytes as escapes.

    So are characters that turn the direction of text, or that nobody sees.

    Examples
    --------
    >>> print(printable("a" + chr(10) + "b"))
    a\x0ab
    """
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _UNSEEN.sub(lambda m: f"\\x{ord(m[0]):02x}", text)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """For the end of an error: the name that was meant, whatever its case; empty if none is near.

    Examples
    --------
    >>> did_you_mean("psnrr", ["ssim", "psnr"]), did_you_mean("xyz", ["ssim"])
    ('; did you mean psnr?', '')
    """
    of = {_folded(each): each for each in known}
    near = difflib.get_close_matches(_folded(name), of, 1)
    return f"; did you mean {of[near[0]]}?" if near else ""


def by_name(name: str, known: Iterable[str]) -> str | None:
    """The name in a table that is meant, whatever its case, with - for _; None if there is none.

    Examples
    --------
    >>> by_name(" MS-SSIM", ["ssim", "ms_ssim"])
    'ms_ssim'
    """
    every = list(known)
    if name in every:
        return name
    return {_folded(each): each for each in every}.get(_folded(name))


def _folded(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace(" ", "_")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, not too long."""
    return printable((str(error).splitlines() or [type(error).__name__])[0])[:160]


def with_type(error: BaseException) -> str:
    """The first line of an error's message after its type: for errors of others' code."""
    return f"{type(error).__name__}: {first_line(error)}"
