"""Where on a plate an image is of."""

import pytest

from cellqa.pairs.grouping import sample_of
from cellqa.pairs.wells import Well, well_of


@pytest.mark.parametrize(
    ("name", "well"),
    [
        ("A/1/0", Well("", "A", 1, 0)),
        ("A/01/12", Well("", "A", 1, 12)),
        ("AF/48/3", Well("", "AF", 48, 3)),
        ("plate1.zarr/H/12/0#t0c1z3", Well("plate1.zarr", "H", 12, 0)),
        ("day 2/p1.zarr/B/2/0#s0t0c0z0", Well("day 2/p1.zarr", "B", 2, 0)),
        ("A/1/0.tif", Well("", "A", 1, 0)),
        ("p/A/1/0.ome.tif#red", Well("p", "A", 1, 0)),
    ],
)
def test_names_of_wells(name: str, well: Well) -> None:
    assert well_of(name) == well


@pytest.mark.parametrize(
    "name",
    [
        *("a/1/0", "A/0/0", "A/001/0", "A/1/f0", "A/1", "ABC/1/0", "xA/1/0", "", "A1_s2.tif"),
        *("A/1/0.txt", "A/1/0.5.tif", "A/1/0/b.tif", "QC/12/3.png", "A/73/0"),
    ],
)
def test_names_of_no_well(name: str) -> None:
    assert well_of(name) is None
    assert sample_of(name) == name


def test_places_count_from_the_corner() -> None:
    names = ("A/1/0", "H/12/0", "Z/1/0", "AA/1/0", "AV/72/0")
    places = [well.place for name in names if (well := well_of(name))]
    assert places == [(0, 0), (7, 11), (25, 0), (26, 0), (47, 71)]


def test_fields_of_a_well_are_one_sample() -> None:
    assert sample_of("p/B/3/0") == sample_of("p/B/03/1.tif#t0c0z0") != sample_of("q/B/3/0")
    assert sample_of("A/11/0") != sample_of("A/1/10")
