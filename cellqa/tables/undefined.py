"""Values that one method lacks and others have: its means leave out what may be its worst."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cellqa.metrics.metric import Metric
from cellqa.pairs.roles import Role
from cellqa.tables.summary import MOST_UNDEFINED, Summary

Lacking = Mapping[str, Mapping[str, int]]  # metric to the methods that lack so many values


def lacking(
    counts: Iterable[tuple[str, str, int, int]], metrics: Sequence[Metric]
) -> dict[str, dict[str, int]]:
    """Methods that have fewer values of a metric than another has of as many images.

    As of constant images, and of those whose values floats do not hold. What is measured on an
    image alone does not count: one that is sharp has no resolution for reasons of its own.

    Parameters
    ----------
    counts : iterable of (method, metric, values, undefined)
    metrics : sequence of Metric

    Examples
    --------
    >>> from cellqa.metrics.registry import select
    >>> lacking([("a", "psnr", 12, 0), ("b", "psnr", 8, 4)], select(["psnr"]))
    {'psnr': {'b': 4}}
    """
    compared = {m.name for m in metrics if m.ranks and m.needs}
    of: dict[str, dict[str, tuple[int, int]]] = {}
    for method, metric, known, undefined in counts:
        if known and metric in compared and method not in (Role.REFERENCE, Role.EGT):
            of.setdefault(metric, {})[method] = known, undefined
    found: dict[str, dict[str, int]] = {}
    for metric, methods in of.items():
        most = max(known for known, _ in methods.values())
        for method, (known, undefined) in methods.items():
            fewer = min(most, known + undefined) - known
            if method != Role.RAW and fewer > MOST_UNDEFINED * (known + undefined):
                found.setdefault(metric, {})[method] = fewer
    return found


def lacking_of(
    summaries: Iterable[Summary], metrics: Sequence[Metric]
) -> dict[str, dict[str, int]]:
    """`lacking`, of a run that has just ended."""
    counts = ((s.method, s.metric, s.n + s.infinite, s.undefined) for s in summaries)
    return lacking(counts, metrics)


def told(found: Lacking) -> Iterator[str]:
    """A line for each method that lacks values."""
    names: dict[tuple[str, int], list[str]] = {}
    for metric, methods in found.items():
        for method, number in methods.items():
            names.setdefault((method, number), []).append(metric)
    for (method, number), metrics in names.items():
        some = ", ".join(metrics[:4]) + (", ..." if len(metrics) > 4 else "")
        yield (
            f"{method} has no {some} in {number} images where others have (`reason` in "
            "scores.csv): its means leave out what may be its worst, and it leads in none of these"
        )
