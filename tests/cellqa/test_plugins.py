"""Tables by name, and settings from text."""

import sys
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType
from typing import Any

import pytest

from cellqa import plugins
from cellqa.errors import CellqaError
from cellqa.io.formats import Format, _wrong
from cellqa.plugins import Registry, instance_of, settings_of, take_problems, with_settings

POINTS = {
    "good": "test_plugins_of_others:TWO",
    "several": "test_plugins_of_others:SEVERAL",
    "gone": "no_such_module:ENTRY",
    "taken": "test_plugins_of_others:TAKEN",
    "wrong": "test_plugins_of_others:WRONG",
    "breaks": "test_plugins_of_others:BREAKS",
}


@dataclass(frozen=True)
class Entry:
    name: str


class Others(ModuleType):
    """A module of somebody else."""

    TWO = Entry("two")
    SEVERAL = (Entry("three"), Entry("four"))
    TAKEN = Entry("one")
    WRONG = 3

    @property
    def BREAKS(self) -> Any:  # noqa: N802
        raise RuntimeError("out of order")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Registry[Entry]:
    monkeypatch.setitem(sys.modules, "test_plugins_of_others", Others("others"))
    points = EntryPoints(EntryPoint(name, value, "test.entries") for name, value in POINTS.items())
    monkeypatch.setattr(plugins, "entry_points", lambda group: points.select(group=group))
    take_problems()
    return Registry("test.entries", [Entry("one")], wrong=instance_of(Entry))


def test_others_join_once_and_what_is_wrong_is_told(table: Registry[Entry]) -> None:
    assert table["one"] == Entry("one")
    assert not take_problems()  # nobody else's was asked for
    assert list(table) == ["one", "two", "three", "four"]
    assert len(table) == 4
    assert table["four"] == Entry("four")
    assert table.package_of("one") == "cellqa"
    said = " | ".join(take_problems())
    for name, why in (
        ("gone", "ModuleNotFoundError"),
        ("taken", "'one' is the name of another, of cellqa"),
        ("wrong", "3 is no Entry"),
        ("breaks", "RuntimeError: out of order"),
    ):
        assert f"{name!r} is left out ({why}" in said
    assert list(table)
    assert not take_problems()


def test_a_name_that_is_not_there(table: Registry[Entry]) -> None:
    assert "five" not in table
    with pytest.raises(KeyError):
        table["five"]
    with pytest.raises(CellqaError, match="--it must be one of one, two, three, four, got 'five'"):
        table.find("five", "--it")


@dataclass(frozen=True)
class Lens:
    na: float = 0.5
    name: str = "lens"


@dataclass(frozen=True)
class Settings:
    sides: int = 3
    span: tuple[float, float] = (1.0, 2.0)
    file: str | None = None
    sharp: bool = False
    lens: Lens = field(default_factory=Lens)
    name: str = "it"

    def __post_init__(self) -> None:
        if self.sides < 3:
            raise ValueError("`sides` must be 3 or more")


def test_settings_are_the_fields() -> None:
    known = settings_of(Settings())
    assert known == {
        "sides": 3, "span": (1.0, 2.0), "file": None, "sharp": False, "lens.na": 0.5,
    }  # fmt: skip


def test_settings_from_text() -> None:
    given = {"sides": "4", "span": "1:3", "file": "a.tif", "sharp": "true", "lens.na": "0.9"}
    assert with_settings(Settings(), given) == Settings(4, (1, 3), "a.tif", True, Lens(0.9))
    assert with_settings(Settings(), {"span": "2", "sharp": "false"}).span == (2, 2)
    assert with_settings(Settings(), {"sides": 5, "span": (0.0, 1.0)}).sides == 5


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"side": "3"}, "it has no setting 'side'; it has sides, span"),
        ({"lens.name": "x"}, "it has no setting 'lens.name'"),
        ({"sides": "3.5"}, "it: sides must be a whole number, got '3.5'"),
        ({"span": "1:2:3"}, "it: span must be LOW:HIGH"),
        ({"sharp": "yes"}, "it: sharp must be true or false"),
        ({"lens.na": "high"}, "lens: na must be a number"),
    ],
)
def test_wrong_settings_are_one_line(given: dict[str, str], problem: str) -> None:
    with pytest.raises(CellqaError, match=problem):
        with_settings(Settings(), given)
    with pytest.raises(ValueError, match="3 or more"):
        with_settings(Settings(), {"sides": "2"})


def test_a_list_that_names_one_thing_twice_adds_none_of_it(
    monkeypatch: pytest.MonkeyPatch, table: Registry[Entry]
) -> None:
    monkeypatch.setattr(Others, "SEVERAL", (Entry("three"), Entry("three")))
    assert "three" not in table
    assert any("'three' is there twice" in line for line in take_problems())


def test_a_module_that_exits_is_left_out(
    monkeypatch: pytest.MonkeyPatch, table: Registry[Entry]
) -> None:
    def leave(self: Others) -> None:
        raise SystemExit(7)

    monkeypatch.setattr(Others, "BREAKS", property(leave))
    assert "two" in table
    assert any("'breaks' is left out" in line for line in take_problems())


def test_a_format_cannot_take_a_suffix() -> None:
    assert ".png is read as PNG" in _wrong(Format("PNGplus", (".png",), "reader"))
    assert not _wrong(Format("other", (".other",), "reader"))
