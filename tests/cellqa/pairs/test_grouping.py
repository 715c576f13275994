"""Which images belong together, by their names or by a table."""

from pathlib import Path

import pytest

from cellqa.errors import CellqaError
from cellqa.pairs.grouping import Grouping, TileWatch


def test_groups_by_name() -> None:
    wells = Grouping.parse(r"([A-H])(\d+)_s\d")
    assert wells.group("x/B3_s1.tif#t0c0z2") == "B/3"
    assert wells.code("A1_s1.tif") == wells.code("A1_s2.tif") != wells.code("A2_s1.tif")
    assert wells.code("odd.tif") != wells.code("even.tif")
    assert (wells.matched, wells.unmatched) == (2, 2)
    assert Grouping.parse("well").group("a/well/b.tif") == "well"


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        ([f"scan{k}_r{r}_c{c}.png" for k in range(2) for r in range(3) for c in range(3)], 2),
        ([f"{k:04d}.png" for k in range(30)], 0),
        ([f"i{k:04d}.png" for k in range(30)], 0),
        ([f"x{k}y{j}.png" for k in range(4) for j in range(4)], 1),
        ([f"w{k}/img_x{x}-y{y}.tif" for k in "abc" for x in range(2) for y in range(4)], 3),
        ([f"{name}.png" for name in "abcdefghij"], 0),
        (["a1.png", "a2.png"], 0),
    ],
)
def test_names_that_look_like_tiles(names: list[str], fields: int) -> None:
    watch = TileWatch()
    for name in names:
        watch.add(name)
    warning = watch.warning()
    assert (f"{len(names)} tiles of {fields} field" in warning) == bool(fields), warning


def test_a_number_sign_in_a_name_is_part_of_it() -> None:
    assert Grouping.parse(r"f#(\d)").group("f#3_a.png#t0c0z2") == "3"


def test_named_groups_go_before_numbered_ones() -> None:
    assert Grouping.parse(r"(x)(?P<well>[A-H]\d+)").group("xB03.tif") == "B03"
    assert Grouping.parse(r"(a)?b").group("b.tif") == ""


def test_groups_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("image,group,more\na.tif,one,1\nsub/b.tif,one,2\nc.tif#t1c0z0,two,3\n")
    grouping = Grouping.parse(path)
    assert grouping.group("a.tif#t0c0z1") == grouping.group("sub/b.tif") == "one"
    assert grouping.group("c.tif#t1c0z0") == "two"
    assert grouping.group("d.tif") is None


@pytest.mark.parametrize("text", ["", "(", "none.csv"])
def test_what_is_no_grouping_is_one_line(text: str) -> None:
    with pytest.raises(CellqaError, match="--group"):
        Grouping.parse(text)
