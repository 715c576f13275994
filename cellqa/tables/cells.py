"""Values as text: in files exactly, for people in some digits."""

from __future__ import annotations

import math


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
