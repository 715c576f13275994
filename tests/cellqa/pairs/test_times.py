"""Time series by the names of their images."""

import pytest

from cellqa.errors import CellqaError
from cellqa.pairs.pairing import Image
from cellqa.pairs.times import Times


def images(*names: str) -> list[Image]:
    return [Image(name, {"net": (name,)}) for name in names]


def test_times_are_numbers_not_text() -> None:
    found = Times.parse(r"_t(\d+)").series(images("a_t10.tif", "a_t9.tif", "b_t1.tif", "notes.tif"))
    assert {name: [time for time, _ in steps] for name, steps in found.items()} == {
        "a_t*.tif": [9.0, 10.0],
        "b_t*.tif": [1.0],
    }
    assert [image.name for _, image in found["a_t*.tif"]] == ["a_t9.tif", "a_t10.tif"]


@pytest.mark.parametrize(
    ("expression", "name", "place"),
    [
        (r"(?P<time>\d+)min", "x/7min.tif", ("x/*min.tif", 7.0)),
        (r"w(\d)_(?P<t>[\d.]+)s", "w1_0.5s.tif", ("w1_*s.tif", 0.5)),
        (r"(?P<w>w\d)_.*_(?P<t>\d+)_(?P<c>c\d)", "w1_day_03_c2.tif", ("w1/c2", 3.0)),
        (r"_t(\d+)", "none.tif", None),
    ],
)
def test_which_group_is_the_time(
    expression: str, name: str, place: tuple[str, float] | None
) -> None:
    assert Times.parse(expression).of(name) == place


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("t(", "is no regular expression"),
        (r"t\d+", "has no group"),
        (r"^(\w)", "'a' in 'a_t1.tif' is no number"),
        (r"frame(\d+)", "matches no image \\(there are a_t1.tif, b_t1.tif"),
        (r"[ab](?P<s>_)t(?P<t>\d)", "are both time 1 of '_'"),
    ],
)
def test_what_is_wrong_is_told(expression: str, words: str) -> None:
    with pytest.raises(CellqaError, match=words):
        Times.parse(expression).series(images("a_t1.tif", "b_t1.tif"))
