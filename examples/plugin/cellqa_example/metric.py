"""A metric that needs no reference."""

from __future__ import annotations

from collections.abc import Mapping, Set

from cellqa import Case, Metric


def measure(case: Case, names: Set[str]) -> Mapping[str, float]:
    """RMS contrast: the standard deviation over the mean.

    A family gives the values of its metrics by name; `names` are those that are wanted.
    """
    pixels = case.image.pixels
    return {"contrast": float(pixels.std() / pixels.mean())}


CONTRAST = Metric(
    name="contrast",
    measure=measure,
    higher_is_better=True,
    decimals=3,
    range="0 up",
    measures="how strong structure is against the mean",
    definition="RMS: standard deviation / mean",
    doi="10.1364/JOSAA.7.002032",
)
