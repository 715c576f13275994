"""What a family computes of a case, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cellqa.errors import Bound, Undefined, with_type
from cellqa.metrics.case import Case, Family


def values_of(family: Family, case: Case, names: Sequence[str], extra: str) -> Mapping[str, float]:
    """What a family computes of these; of others' code, an error is a value that does not exist."""
    if getattr(family, "__module__", "").partition(".")[0] == "cellqa":
        known = family(case, set(names))
        return {name: known[name] for name in names}
    try:
        known = family(case, set(names))
        return {name: _number(name, known) for name in names}
    except Exception as error:
        why = with_type(error)
        if isinstance(error, ModuleNotFoundError) and extra:
            why = f"needs {error.name}; install the extra {extra!r} of its package"
        return {name: Undefined(f"{name}: {why}") for name in names}


def _number(name: str, known: Mapping[str, Any]) -> float:
    """A value as a number, where somebody else's family gives one."""
    if name not in known:
        return Undefined(f"{name}: its family gives no value")
    value = known[name]
    if isinstance(value, (Undefined, Bound)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return Undefined(f"{name}: its family gives no number ({type(value).__name__})")
