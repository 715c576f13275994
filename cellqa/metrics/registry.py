"""The metrics, in one table: the command line, the reports and early stopping read it.

The table stands in `cellqa.metrics.table`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from cellqa.errors import by_name, did_you_mean
from cellqa.metrics.metric import OBJECTS, Metric
from cellqa.metrics.table import FIT, FOREGROUND, METRICS, RETIRED
from cellqa.pairs.roles import Role

__all__ = ["METRICS", "for_run", "markdown_table", "metric", "of_facts", "select"]


def metric(name: str) -> Metric:
    """Return the metric of that name, whatever its case (`SSIM`, `MS-SSIM`).

    Raises
    ------
    ValueError
        There is none; the message lists the names.

    Examples
    --------
    >>> metric("ssim").higher_is_better
    True
    """
    if name in METRICS:
        return METRICS[name]
    if gone := by_name(name, RETIRED):
        raise ValueError(f"{gone} is gone: {RETIRED[gone]}")
    found = by_name(name, METRICS)
    if found is None:
        near = did_you_mean(name, METRICS)
        raise ValueError(f"no metric is called {name!r}{near or f'; choose from {_names()}'}")
    return METRICS[found]


def _names() -> str:
    return ", ".join(METRICS)


def select(names: Iterable[str]) -> tuple[Metric, ...]:
    """Return the metrics of these names, in the order of the table.

    Raises
    ------
    ValueError
        A name is unknown.
    """
    wanted = {metric(name.strip()).name for name in names}
    return tuple(entry for entry in METRICS.values() if entry.name in wanted)


def for_run(
    names: Iterable[str] | None = None,
    *,
    fit: bool = False,
    foreground: bool = False,
    objects: bool = False,
) -> tuple[Metric, ...]:
    """Metrics of a run: those of these names (all by default), and what options add to them.

    `fit` adds gain, offset and the fitted forms of the chosen metrics, `foreground` their forms
    over the foreground, `objects` those of objects.

    Raises
    ------
    ValueError
        A name is unknown.

    Examples
    --------
    >>> [m.name for m in for_run(["psnr", "mi"], fit=True)]
    ['psnr', 'mi', 'gain', 'offset', 'psnr_fit', 'si_psnr']
    """
    every = METRICS.values()
    chosen = {
        m.name for m in ([m for m in every if not m.option] if names is None else select(names))
    }
    options = {FIT} if fit else set()
    options |= {FOREGROUND} if foreground else set()
    options |= {OBJECTS} if objects else set()
    added = {m.name for m in every if m.option in options and (not m.of or m.of in chosen)}
    return tuple(m for m in every if m.name in chosen | added)


def of_facts(facts: Mapping[str, Any]) -> Metric:
    """The metric of the table that these facts are of, else one that is not computed here.

    Raises
    ------
    ValueError, TypeError
        They are no facts of a metric.
    """
    known = {f.name for f in fields(Metric)}
    described = Metric(
        **{k: v for k, v in facts.items() if k in known and k != "needs"},
        needs=tuple(Role(need) for need in facts.get("needs", ())),
    )
    own = METRICS.get(described.name)
    return own if own is not None and own.definition == described.definition else described


def markdown_table() -> str:
    """The registry as the table that the README shows."""
    head = "| name | measures | better | unit | range | definition | needs | DOI |"
    rows = [head, "|---" * 8 + "|"]
    rows += [
        f"| `{m.name}` | {m.measures} | {m.arrow} | {m.unit or '-'} | {m.range} "
        f"| {m.definition} | {m.asks} | {f'[{m.doi}](https://doi.org/{m.doi})' if m.doi else '-'} |"
        for m in METRICS.values()
    ]
    return "\n".join(rows)
