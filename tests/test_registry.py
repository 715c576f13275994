from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from conftest import blurred

import cellqa
from cellqa.registry import METRICS, Metric, metric, select


@pytest.mark.parametrize("entry", METRICS, ids=lambda m: m.name)
def test_entries_are_complete(entry: Metric) -> None:
    assert entry.function is getattr(cellqa, entry.name)
    assert entry.function.__name__ == entry.name
    assert entry.doi in (entry.function.__doc__ or "")
    first = next(iter(inspect.signature(entry.function).parameters))
    assert first == ("reference" if entry.reference else "image")
    assert entry.measures
    assert entry.definition


@pytest.mark.parametrize("entry", METRICS, ids=lambda m: m.name)
def test_the_direction_is_true(entry: Metric, sharp8: np.ndarray) -> None:
    """A little blur is better than much; fewer grey levels carry less entropy."""
    soft, softer = blurred(sharp8, 1.5), blurred(sharp8, 4)
    if entry.name == "entropy":
        soft, softer = sharp8, sharp8 // 4
    options = {"data_range": 255} if entry.name in ("psnr", "ssim", "ms_ssim") else {}
    images = [(sharp8, soft), (sharp8, softer)] if entry.reference else [(soft,), (softer,)]
    better, worse = (entry.function(*given, **options) for given in images)
    assert math.isfinite(better)
    assert (better > worse) is entry.higher_is_better


def test_names_are_unique() -> None:
    assert len({m.name for m in METRICS}) == len(METRICS)


def test_selection_keeps_the_order_of_the_table() -> None:
    assert [m.name for m in select(["ssim", " psnr", "ssim"])] == ["psnr", "ssim"]
    with pytest.raises(ValueError, match="no metric is called 'ssmi'; choose from psnr"):
        metric("ssmi")
