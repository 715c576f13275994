from __future__ import annotations

from pathlib import Path

import pytest

from cellqa.errors import CellqaError
from cellqa.tables import align, number, prepare_folder


def test_numbers_are_exact_and_missing_ones_empty() -> None:
    assert number(1 / 3) == "0.3333333333333333"
    assert number(None) == number(float("nan")) == ""
    assert number(-0.0) == "-0"
    assert float(number(1e300)) == 1e300


def test_earlier_runs_are_not_replaced(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "new" / "deep", overwrite=False)
    (tmp_path / "scores.csv").write_text("x")
    with pytest.raises(CellqaError, match="holds an earlier run"):
        prepare_folder(tmp_path, overwrite=False)
    prepare_folder(tmp_path, overwrite=True)
    with pytest.raises(CellqaError, match="is a file"):
        prepare_folder(tmp_path / "scores.csv", overwrite=True)


def test_columns_line_up() -> None:
    assert align([["a", "b"], ["cc", "10"]]) == "a    b\ncc  10"
    assert align([["a", "b"], ["cc", "10"]], left=True) == "a   b\ncc  10"
