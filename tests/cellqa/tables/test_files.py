from __future__ import annotations

from cellqa.tables.files import align, number


def test_numbers_are_exact_and_missing_ones_empty() -> None:
    assert number(1 / 3) == "0.3333333333333333"
    assert number(None) == number(float("nan")) == ""
    assert number(-0.0) == "-0"
    assert float(number(1e300)) == 1e300


def test_columns_line_up() -> None:
    assert align([["a", "b"], ["cc", "10"]]) == "a    b\ncc  10"
    assert align([["a", "b"], ["cc", "10"]], left=True) == "a   b\ncc  10"
