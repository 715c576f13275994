"""Values as text: in files exactly, for people in some digits."""

from __future__ import annotations

import math
import re

_FORMULA = re.compile(r"'*[=+\-@]")
_BEGINS = frozenset("'=+-@")  # most cells begin otherwise


def cell(value: object, digits: int | None = None, *, undefined: str = "") -> str:
    """A value as a table holds it.

    Parameters
    ----------
    value : object
        Undefined is None or nan.
    digits : int, optional
        Significant digits of a float; by default the shortest decimal that is exact.
    undefined : str
        What stands for it.

    Examples
    --------
    >>> cell(255.0), cell(0.1), cell(float("nan")), cell(float("inf")), cell("a"), cell(3)
    ('255', '0.1', '', 'inf', 'a', '3')
    >>> cell(0.123456, 4), cell(None, undefined="-")
    ('0.1235', '-')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return undefined
    if not isinstance(value, float):
        return str(value)
    if digits is not None:
        return f"{value:.{digits}g}"
    return repr(float(value)).removesuffix(".0")


def guarded(text: str) -> str:
    """A cell as text that no spreadsheet takes for a formula; numbers stay.

    Examples
    --------
    >>> guarded("=1+1.png"), guarded("-1.5"), guarded("a-1.png"), unguarded(guarded("'@x"))
    ("'=1+1.png", '-1.5', 'a-1.png', "'@x")
    """
    if text[:1] not in _BEGINS or not _FORMULA.match(text):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def unguarded(text: str) -> str:
    """What a cell of `guarded` holds."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text
