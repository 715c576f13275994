"""Rows, to JSON and back."""

import json
import math

import pytest

from cellqa.metrics.foreground import Object
from cellqa.tables.rows import Row, failed

OBJECTS = tuple(Object(k, 5, 1.5, 2.5, 3.0, 4.0, float("inf"), 0.1, 0.5) for k in (3, 7))
ROWS = [
    Row("a", "net"),
    Row("a\udcff", "net", 0.1, 255.0, {"psnr": 0.1 + 0.2, "ssim": math.inf}, notes=("x", "y")),
    Row("a", "gt", limits=(-1.5, 2e300), objects=OBJECTS, reason="psnr: constant"),
    failed("a", "net", "damaged\nor cut"),
]


@pytest.mark.parametrize("row", ROWS)
def test_rows_survive_exactly(row: Row) -> None:
    again = Row.from_json(json.loads(json.dumps(row.to_json())))
    assert again == row
    assert list(again.values) == list(row.values)


def test_what_is_undefined_survives() -> None:
    row = Row("a", "net", values={"psnr": math.nan})
    again = Row.from_json(json.loads(json.dumps(row.to_json())))
    assert math.isnan(again.values["psnr"])


def test_what_is_as_usual_is_not_written() -> None:
    known = {"image", "method", "pixel_size", "data_range", "values"}
    assert Row("a", "net").to_json().keys() <= known


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"image": "a"},
        {"image": "a", "method": "b", "surprise": 1},
        {"image": "a", "method": "b", "limits": 3},
        {"image": "a", "method": "b", "objects": {"label": [1]}},
    ],
)
def test_what_is_no_row_is_refused(content: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Row.from_json(content)


def test_a_reason_is_one_line() -> None:
    assert ROWS[3].reason == "damaged or cut"
    assert ROWS[3].status == "failed"
