from __future__ import annotations

import json
import math
from pathlib import Path

from cellqa.tables.cells import cell
from cellqa.tables.files import write_json
from cellqa.terminal import align


def test_numbers_are_exact_and_missing_ones_empty() -> None:
    assert cell(1 / 3) == "0.3333333333333333"
    assert cell(None) == cell(float("nan")) == ""
    assert cell(-0.0) == "-0"
    assert float(cell(1e300)) == 1e300


def test_columns_line_up() -> None:
    assert align([["a", "b"], ["cc", "10"]]) == "a    b\ncc  10"
    assert align([["a", "b"], ["cc", "10"]], left=True) == "a   b\ncc  10"


def test_json_has_words_for_every_number(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"a": [math.nan, (math.inf, -math.inf)], "b": 1 / 3})
    assert json.loads(path.read_text()) == {"a": [None, ["inf", "-inf"]], "b": 1 / 3}
