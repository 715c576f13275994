"""The proof of docs/believing.md, over the same 36 scenes."""

from __future__ import annotations

import pandas as pd
import pytest
from believing import bias, rates, trial


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return trial()


def by_image(table: pd.DataFrame, column: str) -> dict[str, pd.Series]:
    return {name: part[column].reset_index(drop=True) for name, part in table.groupby("image")}


def test_there_are_enough_scenes(table: pd.DataFrame) -> None:
    assert table.groupby(["kind", "seed"]).ngroups == 36


def test_restoring_improves_both_resolutions_and_claims_nothing(table: pd.DataFrame) -> None:
    claimed, supported = by_image(table, "resolution"), by_image(table, "frc_resolution")
    assert (claimed["restored"] < claimed["input"]).mean() > 0.7
    assert claimed["restored"].median() < claimed["input"].median()
    assert supported["restored"].median() < supported["input"].median()
    assert (by_image(table, "overclaim")["restored"] <= 0.1).all()


def test_inventing_looks_better_to_measures_without_reference(table: pd.DataFrame) -> None:
    for column, sign in (("resolution", -1), ("entropy", 1), ("gradient", 1)):
        found = by_image(table, column)
        assert (sign * (found["invented"] - found["restored"]) > 0).mean() > 0.75, column
        assert sign * (found["invented"].median() - found["restored"].median()) > 0


def test_it_is_caught_by_overclaim_and_rsp(table: pd.DataFrame) -> None:
    found = rates(table)
    assert found.loc["invented", "overclaim > 0.1"] > 0.9
    assert found.loc["invented", "rsp below restored"] > 0.9
    assert found.loc["restored", "overclaim > 0.1"] < 0.05
    # detail that the raw image could have shown is misplaced: only it can tell
    assert found.loc["misplaced", "overclaim > 0.1"] < 0.1
    assert found.loc["misplaced", "rsp below restored"] > 0.9


def test_stretching_costs_psnr_and_not_psnr_fit(table: pd.DataFrame) -> None:
    plain, fitted = by_image(table, "psnr"), by_image(table, "psnr_fit")
    assert (plain["restored"] - plain["stretched"] > 3).all()
    # rounding to grey levels moves it
    assert (fitted["restored"] - fitted["stretched"]).abs().max() < 0.05


def test_decorrelation_reads_too_low_on_ideal_transfer_functions() -> None:
    found = bias((0.2, 0.5, 0.7), seeds=2)
    white = found.loc["white object, no noise"]
    assert white.between(-0.14, -0.07).all()
    few, many = (found.loc[f"filaments, {n}"] for n in ("100 photons", "no noise"))
    assert (few < many)[[0.5, 0.7]].all()
