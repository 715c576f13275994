from __future__ import annotations

import inspect

import numpy as np
import pytest
from images import blurred

import cellqa
from cellqa.metrics.registry import METRICS, Metric, metric, select


@pytest.mark.parametrize("entry", METRICS, ids=lambda m: m.name)
def test_entries_are_complete(entry: Metric) -> None:
    assert entry.function is getattr(cellqa, entry.name)
    assert entry.function.__name__ == entry.name
    assert entry.doi in (entry.function.__doc__ or "")
    first = next(iter(inspect.signature(entry.function).parameters))
    assert first == {"gt": "reference", "input": "raw"}.get((*entry.needs, "")[0], "image")
    assert entry.measures
    assert entry.definition


@pytest.mark.parametrize("entry", METRICS, ids=lambda m: m.name)
def test_the_direction_is_true(entry: Metric, sharp8: np.ndarray) -> None:
    """A little blur is better than much; fewer grey levels carry less entropy."""
    soft, softer = blurred(sharp8, 1.5), blurred(sharp8, 4)
    if entry.name == "entropy":
        soft, softer = sharp8, sharp8 // 4
    if entry.higher_is_better is None:
        return
    if entry.name in ("overclaim", "rsp", "rse"):
        # blur claims no detail, and only takes away what a fitted blur takes away as well
        rng = np.random.default_rng(1)
        noise = rng.normal(size=sharp8.shape)
        soft, softer = sharp8, np.clip(sharp8 + 20 * blurred(noise, 0.7), 0, 255)
        if entry.name == "overclaim":
            soft, softer = blurred(sharp8, 1.5), blurred(sharp8, 4) + 2 * noise
    offered = {"data_range": 255, "mask": sharp8 > 100}
    known = inspect.signature(entry.function).parameters
    options = {name: value for name, value in offered.items() if name in known}
    images = [(sharp8, soft), (sharp8, softer)] if entry.needs else [(soft,), (softer,)]
    better, worse = (entry.function(*given, **options) for given in images)
    assert (better > worse) is entry.higher_is_better


def test_names_are_unique() -> None:
    assert len({m.name for m in METRICS}) == len(METRICS)


def test_selection_keeps_the_order_of_the_table() -> None:
    assert [m.name for m in select(["ssim", " psnr", "ssim"])] == ["psnr", "ssim"]
    with pytest.raises(ValueError, match="no metric is called 'ssmi'; choose from psnr"):
        metric("ssmi")
