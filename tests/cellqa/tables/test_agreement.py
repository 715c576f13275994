"""Agreement of objects, against the numbers of all objects at once."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from cellqa.metrics.foreground import Object
from cellqa.metrics.objects import Found
from cellqa.metrics.registry import select
from cellqa.statistics import jackknife_interval
from cellqa.tables.agreement import Agreement, ObjectSums, verdicts
from cellqa.tables.rows import Row
from cellqa.tables.tally import Tally

NAN = math.nan


def row_of(
    image: str, truth: np.ndarray, found: np.ndarray, missed: int = 0, invented: int = 0
) -> Row:
    """Objects of (area, total) each; then some without a partner."""
    objects = [Object(k + 1, int(a), 0, 0, 0, 0, NAN, NAN, NAN) for k, a in enumerate(truth[:, 0])]
    lines = [
        Found("matched", 0.9, t[1], 0.1, k + 1, int(f[0]), 0, 0, 0, f[1], 0.1)
        for k, (t, f) in enumerate(zip(truth, found, strict=True))
    ]
    objects += [Object(99, 30, 0, 0, 0, 0, NAN, NAN, NAN)] * missed
    lines += [Found("missed", gt_total=1.0)] * missed
    objects += [Object(None, None, *[NAN] * 7)] * invented
    lines += [Found("invented", found_area=30, found_total=1.0)] * invented
    return Row(image, "net", objects=tuple(objects), found=tuple(lines))


def agreements_of(rows: list[Row]) -> dict[str, Agreement]:
    tally, sums = Tally(["net", "gt"], select(["psnr"])), ObjectSums(["net", "gt"])
    for row in rows:
        tally.add(row)
        if row.status == "ok":
            sums.add(row, tally.scored[row.method] - 1)
    return {each.quantity: each for each in sums.agreements(tally)}


def some(seed: int, gain: float = 1.0, fields: int = 6, offset: float = 0.0) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(fields):
        n = int(rng.integers(8, 20))
        area = rng.integers(40, 200, n)
        level = rng.lognormal(3, 0.5, n)
        grown = area + rng.integers(-3, 4, n)
        own = gain * level * rng.lognormal(0, 0.02, n) + offset
        rows.append(
            row_of(
                f"{k}.tif",
                np.stack([area, area * level], 1),
                np.stack([grown, grown * own], 1),
                missed=int(rng.integers(0, 2)),
            )
        )
    return rows


def test_numbers_are_those_of_all_objects() -> None:
    rows = some(1, gain=1.3)
    rows.insert(2, Row("bad.tif", "net", status="failed", reason="x"))
    rows.insert(3, Row("none.tif", "net"))  # objects were not looked for
    found = agreements_of(rows)
    number = [sum(f.state == "matched" for f in row.found or ()) for row in rows]
    plane = np.repeat(np.arange(len(rows)), number)
    pairs = [
        (o.area, f.found_area, f.gt_total, f.found_total)
        for row in rows
        for o, f in zip(row.objects, row.found or (), strict=True)
        if f.state == "matched"
    ]
    area, own_area, total, own_total = np.array(pairs, float).T
    for quantity, truth, image in (
        ("area", area, own_area),
        ("total", total, own_total),
        ("mean", total / area, own_total / own_area),
    ):
        of, difference = found[quantity], image - truth
        reach = 1.96 * difference.std(ddof=1)
        line = stats.linregress(truth, image)
        count = np.bincount(plane)[plane]
        apart = [v - np.bincount(plane, v)[plane] / count for v in (truth, image)]
        expected = {
            "within": (apart[0] @ apart[1]) / (apart[0] @ apart[0]) * truth.mean() / image.mean(),
            "n": truth.size,
            "truth": truth.mean(),
            "relative": image.mean() / truth.mean() - 1,
            "bias": difference.mean(),
            "lower": difference.mean() - reach,
            "upper": difference.mean() + reach,
            "slope": line.slope,
            "r2": line.rvalue**2,
            "proportion": line.slope * truth.mean() / image.mean(),
        }
        for name, value in expected.items():
            # sums of squares lose some digits against deviations from the mean
            assert asdict(of)[name] == pytest.approx(value, rel=1e-9), (quantity, name)
    counts = found["count"]
    truths = [len(r.objects) for r in rows if r.found is not None]
    assert (counts.n, counts.fields, counts.missed) == (6, 6, sum(truths) - len(pairs))
    assert counts.relative == pytest.approx(len(pairs) / sum(truths) - 1)


def test_the_jackknife_of_a_mean_is_students_interval() -> None:
    values = np.random.default_rng(2).normal(5, 2, 9)
    sums = np.stack([np.ones(9), values], 1)
    low, high = jackknife_interval(lambda s: s[..., 1:] / s[..., :1], sums)
    expected = stats.t.interval(0.95, 8, values.mean(), stats.sem(values))
    assert (low[0], high[0]) == pytest.approx(expected)
    for few in (sums[:2], np.ones((5, 2))):
        assert np.isnan(jackknife_interval(lambda s: s[..., 1:] / s[..., :1], few)).all()


def test_intervals_are_of_fields_that_are_independent() -> None:
    rows = some(3, gain=1.2)
    alone = agreements_of(rows)["total"]
    twice = [
        Row(f"{r.image}#t{k}c0z0", "net", objects=r.objects, found=r.found)
        for r in rows
        for k in (0, 1)
    ]
    planes = agreements_of(twice)["total"]  # two planes of a file are one field
    assert (alone.fields, planes.fields, planes.n) == (6, 6, 2 * alone.n)
    assert planes.relative_low == pytest.approx(alone.relative_low)
    assert alone.relative_low < 0.2 < alone.relative_high


SAME = np.full((9, 2), 50.0)
NONE = np.zeros((0, 2))


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (
            some(4),
            "net: counts 4 % lower (4 % missed, 0 % invented), areas within 1 %, intensities",
        ),
        (some(5, 1.5), "intensities 49 % higher, in proportion: do not quantify intensities in it"),
        (some(5, gain=0.3, offset=20), "compressed to"),
        (
            [row_of(f"{k}", SAME, SAME, 3 + k % 2) for k in range(5)],
            "counts 27 % lower (27 % missed, 0 % invented), areas the same",
        ),
        (
            [row_of("a", SAME, SAME)],
            "areas the same, intensities the same (of 1 field, too few for intervals)",
        ),
        (
            [row_of("a", NONE, NONE, 0, 4)],
            "the ground truth has no objects, 4 invented: do not",
        ),
        ([row_of("a", NONE, NONE)], "net: the ground truth has no objects"),
        (
            [row_of("a", NONE, NONE, 4, 4)],
            "no object matched: do not quantify counts, areas and intensities in it",
        ),
    ],
)
def test_words(rows: list[Row], line: str) -> None:
    (verdict,) = verdicts(list(agreements_of(rows).values()))
    assert line in verdict.line


def test_what_is_levelled_within_images_alone_is_told() -> None:
    rows = some(6, fields=8)
    for k, row in enumerate(rows):
        level = 20 + 40 * k  # all objects of an image are as bright as their mean
        pairs = [(o.area, f.found_area) for o, f in zip(row.objects, row.found or (), strict=True)]
        kept = np.array([p for p in pairs if p[1]], float)
        spread = 1 + 0.4 * np.sin(np.arange(len(kept)))
        truth = np.stack([kept[:, 0], kept[:, 0] * level * spread], 1)
        rows[k] = row_of(f"{k}", truth, np.stack([kept[:, 1], kept[:, 1] * level], 1))
    of = agreements_of(rows)["mean"]
    assert of.within == pytest.approx(0, abs=0.01)
    assert of.proportion > 0.7
    (verdict,) = verdicts(list(agreements_of(rows).values()))
    assert "compressed to 0 %" in verdict.text
    assert "intensities" in verdict.spoilt


def test_counts_that_are_right_by_chance_are_not_kept() -> None:
    rows = [
        row_of(str(k), np.full((9, 2), 50.0 + k), np.full((9, 2), 50.0 + k), 2, 2) for k in range(4)
    ]
    (verdict,) = verdicts(list(agreements_of(rows).values()))
    assert verdict.text.startswith("counts the same (18 % missed, 18 % invented)")
    assert verdict.spoilt == ("counts",)
