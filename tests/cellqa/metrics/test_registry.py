from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
from images import blurred

import cellqa
from cellqa.metrics import detail, unexplained
from cellqa.metrics.case import Case
from cellqa.metrics.metric import Metric
from cellqa.metrics.registry import metric, of_facts, select
from cellqa.metrics.table import METRICS
from cellqa.pairs.roles import Role
from cellqa.simulate import nuclei


@pytest.mark.parametrize("entry", METRICS.values(), ids=lambda m: m.name)
def test_entries_are_complete(entry: Metric) -> None:
    assert entry.measures
    assert entry.definition
    if entry.function is None:  # it has none of its own
        return
    assert entry.function is getattr(cellqa, entry.name)
    assert entry.function.__name__ == entry.name
    assert entry.doi in (entry.function.__doc__ or "")
    first = next(iter(inspect.signature(entry.function).parameters))
    assert first == {"gt": "reference", "input": "raw"}.get((*entry.needs, "")[0], "image")
    assert entry.uses_range == ("data_range" in inspect.signature(entry.function).parameters)


@pytest.mark.parametrize("entry", METRICS.values(), ids=lambda m: m.name)
def test_the_direction_is_true(entry: Metric, sharp8: np.ndarray) -> None:
    """A little blur is better than much; fewer grey levels carry less entropy."""
    soft, softer = blurred(sharp8, 1.5), blurred(sharp8, 4)
    if entry.name == "entropy":
        soft, softer = sharp8, sharp8 // 4
    if entry.higher_is_better is None:
        return
    raw = sharp8
    if entry.name == "intensity_r2":  # where all objects are as bright, none is told from another
        sharp8 = nuclei((256, 256), photons=500, seed=1).ideal
        soft, softer = sharp8, np.minimum(sharp8, np.percentile(sharp8, 97))
    if entry.name in ("rsp", "rse") or entry.measure in (detail.measure, unexplained.measure):
        # blur claims no detail, and only takes away what a fitted blur takes away as well
        rng = np.random.default_rng(1)
        noise = rng.normal(size=sharp8.shape)
        soft, softer = sharp8, np.clip(sharp8 + 20 * blurred(noise, 0.7), 0, 255)
        raw = softer if entry.name == "noise" else raw
    given = {Role.REFERENCE: ("reference", sharp8), Role.RAW: ("raw", raw)}
    given = dict(given[role] for role in entry.needs if role in given)
    cases = (Case.of(i, mask=sharp8 > 100, data_range=255, **given) for i in (soft, softer))
    better, worse = (entry.measure(case, {entry.name})[entry.name] for case in cases)
    assert (better > worse) is entry.higher_is_better


def test_facts_come_back() -> None:
    for entry in METRICS.values():
        assert of_facts(json.loads(json.dumps(entry.facts()))) is entry
    other = of_facts({**metric("ssim").facts(), "definition": "uniform 7 x 7"})
    assert (other.function, other.higher_is_better) == (None, True)


def test_selection_keeps_the_order_of_the_table() -> None:
    assert [m.name for m in select(["ssim", " psnr", "ssim"])] == ["psnr", "ssim"]
    with pytest.raises(ValueError, match="no metric is called 'ssmi'; did you mean ssim"):
        metric("ssmi")
