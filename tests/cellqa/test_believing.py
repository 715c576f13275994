"""The proof of docs/explanation/believing.md, over some of its scenes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from believing import bias, rates, trial
from forgery import AMOUNTS, FORGED, HONEST, KINDS

from cellqa.metrics.detail import SHARES

LINEAR = ["raw image", "Wiener", "Gaussian, sigma 1", "mean, 3 x 3", "shifted half a pixel"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return trial(seeds=2)


def test_there_are_enough_methods_and_scenes(table: pd.DataFrame) -> None:
    assert table.groupby(["kind", "seed"]).ngroups == 2 * len(KINDS)
    assert len(HONEST) >= 9
    assert {(m, a) for m in FORGED for a in AMOUNTS} <= set(
        zip(table["method"], table["amount"], strict=True)
    )


def test_the_shares_add_up(table: pd.DataFrame) -> None:
    # each is cut at 0 and 1, where chance takes it beyond
    np.testing.assert_allclose(table[list(SHARES)].sum(axis=1), 1, atol=0.02)


def test_linear_methods_are_accused_of_nothing(table: pd.DataFrame) -> None:
    honest = table[table["method"].isin(LINEAR)]
    assert honest["invented"].max() < 0.02
    # as `overclaim` accused them
    filtered = honest[honest["method"].isin(LINEAR[2:])]
    assert (filtered["overclaim"] > 0.1).mean() > 0.9


def test_methods_that_are_not_linear_are_accused_of_little_where_there_is_light(
    table: pd.DataFrame,
) -> None:
    honest = table[(table["amount"] == 0) & (table["kind"] != "spots")]
    assert honest["invented"].max() < 0.12


def test_every_forgery_raises_what_is_invented_on_its_image(table: pd.DataFrame) -> None:
    found = rates(table)
    assert (found["invented: raised"] == 1).all()
    assert (found["unexplained: raised"] == 1).all()
    assert found["overclaim: raised"].mean() < 0.7


def test_strong_forgeries_stand_out_of_all_honest_methods(table: pd.DataFrame) -> None:
    found = rates(table)
    strong = found.loc[[f"{kind}, 1" for kind in FORGED]]
    assert (strong["invented: AUC"] > 0.9).all()
    assert (strong["unexplained: AUC"] > 0.9).all()
    quarter = found.loc[[f"{kind}, 0.25" for kind in ("fine", "coarse", "misplaced")]]
    assert (quarter[["invented: AUC", "unexplained: AUC"]].max(axis=1) > 0.75).all()
    # a quarter of a forgery looks like an honest filter to any threshold
    assert (quarter["invented: found"] < 0.5).all()


def test_decorrelation_reads_too_low_on_ideal_transfer_functions() -> None:
    found = bias((0.2, 0.5, 0.7), seeds=2)
    white = found.loc["white object, no noise"]
    assert white.between(-0.14, -0.07).all()
    few, many = (found.loc[f"filaments, {n}"] for n in ("100 photons", "no noise"))
    assert (few < many)[[0.5, 0.7]].all()
