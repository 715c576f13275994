"""A metric of the user's own, given in ScoreOptions and registered nowhere."""

import csv
import json
import math
from collections.abc import Mapping, Set
from pathlib import Path

import numpy as np
import pytest

import cellqa
from cellqa import Case, Metric, Role, ScoreOptions
from cellqa.engines.local import LocalEngine
from cellqa.io import write_tiff
from cellqa.metrics.registry import select
from cellqa.tables.summary import below


def measure(case: Case, names: Set[str]) -> Mapping[str, float]:
    return {
        "brightness": float(case.image.mean),
        "off": abs(float(case.image.mean - case.pair[0].mean)) if case.reference else math.nan,
    }


BRIGHTNESS = Metric(
    name="brightness", measure=measure, unit="e⁻", decimals=1, higher_is_better=True,
    range="0 up", measures="how bright", definition="mean",
)  # fmt: skip
OFF = Metric(
    name="off", measure=measure, needs=(Role.REFERENCE,), higher_is_better=False, leads=1,
    definition="difference of means",
)  # fmt: skip
OPTIONS = ScoreOptions((*select(["psnr"]), BRIGHTNESS, OFF))


@pytest.fixture
def pairing(tmp_path: Path) -> cellqa.Pairing:
    rng = np.random.default_rng(0)
    for name in "abcdefgh":
        image = rng.integers(0, 200, (64, 64), np.uint8)
        for folder, added in (("gt", 0), ("one", 5), ("two", 10)):
            write_tiff(tmp_path / folder / f"{name}.tif", image + np.uint8(added), None)
    return cellqa.pair_folders({n: tmp_path / n for n in ("one", "two")}, reference=tmp_path / "gt")


@pytest.mark.parametrize("jobs", [1, 2])
def test_it_reaches_every_table_the_page_and_the_figures(
    tmp_path: Path, pairing: cellqa.Pairing, jobs: int
) -> None:
    out = tmp_path / "results"
    finished = cellqa.score_to_folder(pairing, out, options=OPTIONS, engine=LocalEngine(jobs))
    with (out / "scores.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert float(row["off"]) == 5
    assert float(row["brightness"]) > 0
    for table in ("summary.csv", "comparisons.csv"):
        text = (out / table).read_text()
        assert "brightness" in text
        assert "off" in text
    facts = {m["name"]: m for m in json.loads((out / "run.json").read_text())["metrics"]}
    assert facts["brightness"]["unit"] == "e⁻"
    page = cellqa.report(out).read_text()
    assert "brightness" in page
    assert "how bright" in page
    assert cellqa.figures(out)
    limits = {"off": 7.0}
    missed = below(finished.tally, finished.summaries, limits, ("one", "two"))
    assert missed == ["off of two is 10, limit 7"]


def test_parts_with_it_are_joined(tmp_path: Path, pairing: cellqa.Pairing) -> None:
    whole = cellqa.score_to_folder(pairing, tmp_path / "whole", options=OPTIONS)
    parts = [tmp_path / f"part{k}" for k in (1, 2)]
    for k, part in enumerate(parts, 1):
        cellqa.score_to_folder(pairing, part, options=OPTIONS, shard=(k, 2))
    joined = cellqa.merge(parts, tmp_path / "joined")
    # as text: nan is not itself
    assert list(map(str, joined.summaries)) == list(map(str, whole.summaries))


def test_what_cannot_be_sent_to_a_worker_is_one_line(
    tmp_path: Path, pairing: cellqa.Pairing
) -> None:
    own = Metric(name="own", measure=lambda case, names: {"own": 1.0})
    options = ScoreOptions((own,))
    cellqa.score_to_folder(pairing, tmp_path / "out", options=options)
    with pytest.raises(
        cellqa.CellqaError, match=r"cannot be sent to other processes .*lambda.*jobs=1"
    ):
        cellqa.score_to_folder(pairing, tmp_path / "out2", options=options, engine=LocalEngine(2))


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ((BRIGHTNESS, BRIGHTNESS), "two metrics are called 'brightness'"),
        ((Metric(name="a b", measure=measure),), "'a b' is no name of a column"),
        ((Metric(name="status", measure=measure),), "'status' is a column of its own"),
        ((), "name at least one metric"),
    ],
)
def test_wrong_metrics_are_refused(metrics: tuple[Metric, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScoreOptions(metrics)


def test_a_metric_that_gives_no_value_says_so(tmp_path: Path, pairing: cellqa.Pairing) -> None:
    """Somebody else's family that forgets a name, or breaks: the rest of the row stays."""

    def forgets(case: Case, names: Set[str]) -> Mapping[str, float]:
        return {}

    def says(case: Case, names: Set[str]) -> Mapping[str, float]:
        return {"own": "high"}  # type: ignore[dict-item]

    def breaks(case: Case, names: Set[str]) -> Mapping[str, float]:
        raise ZeroDivisionError("division by zero")

    for family, reason in (
        (forgets, "own: its family gives no value"),
        (says, "own: its family gives no number (str)"),
        (breaks, "own: ZeroDivisionError: division by zero"),
    ):
        options = ScoreOptions((Metric(name="own", measure=family), *select(["entropy"])))
        rows = cellqa.score_pairing(pairing, options=options)
        assert {row.status for row in rows} == {"ok"}
        assert {row.reason for row in rows} == {reason}
        assert all(math.isnan(row.values["own"]) for row in rows)
        assert all(row.values["entropy"] > 0 for row in rows)
