from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cellqa.errors import CellqaError
from cellqa.lines import Lines
from cellqa.scoring.journal import FORMAT, Journal
from cellqa.tables.rows import Row


def begun(folder: Path, header: dict[str, Any], *, resume: bool) -> Journal:
    return Journal.begin(folder / "j", header, resume=resume)[0]


ROWS = [Row("a.png", "net", 0.5, 255, {"psnr": float("inf"), "ssim": 1 / 3}, notes=("x",))]


def test_rows_survive_exactly(tmp_path: Path) -> None:
    journal = begun(tmp_path, {"a": 1}, resume=False)
    journal.add("a.png", {"net": [[5, 6]]}, ROWS)
    assert journal.get("a.png") == ({"net": [[5, 6]]}, ROWS)
    assert journal.get("b.png") is None
    journal.close()


@pytest.mark.parametrize("lost", [1, 5, 40])
def test_a_line_cut_short_is_dropped(tmp_path: Path, lost: int) -> None:
    journal = begun(tmp_path, {}, resume=False)
    journal.add("a", {}, ROWS)
    journal.add("b", {}, ROWS)
    journal.close()
    data = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(data[:-lost])
    again = begun(tmp_path, {}, resume=True)
    assert (again.get("a") is not None, again.get("b")) == (True, None)
    again.add("b", {}, ROWS)
    again.close()
    assert (tmp_path / "j").read_bytes() == data


def test_a_damaged_line_is_dropped(tmp_path: Path) -> None:
    journal = begun(tmp_path, {}, resume=False)
    for name in "abc":
        journal.add(name, {}, ROWS)
    journal.close()
    data = bytearray((tmp_path / "j").read_bytes())
    data[data.index(b'"image":"b"') + 30] ^= 1
    (tmp_path / "j").write_bytes(data)
    again = begun(tmp_path, {}, resume=True)
    assert [again.get(name) is not None for name in "abc"] == [True, False, True]
    again.close()


def test_another_header_starts_afresh(tmp_path: Path) -> None:
    journal = begun(tmp_path, {"range": "auto"}, resume=False)
    journal.add("a", {}, ROWS)
    journal.close()
    again, given_up = Journal.begin(tmp_path / "j", {"range": "dtype"}, resume=True)
    assert "settings or versions differ" in given_up
    assert len(again) == 0
    assert (tmp_path / "j.old").exists()
    again.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begun(tmp_path, {}, resume=False)
    journal.add("a", {}, ROWS)
    kept = (tmp_path / "j").read_bytes()
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), journal._lines._file.fileno())
    with pytest.raises(CellqaError, match=r"No space left.*1 images.*are kept.*--resume"):
        journal.add("b", {}, ROWS)
    with pytest.raises(CellqaError):
        journal.close()
    assert (tmp_path / "j").read_bytes() == kept


def test_images_that_are_gone_are_dropped(tmp_path: Path) -> None:
    journal = begun(tmp_path, {}, resume=False)
    for name in "abc":
        journal.add(name, {}, ROWS)
    journal.keep_only(["a", "c"])
    journal.add("d", {}, ROWS)
    journal.close()
    assert Journal.read(tmp_path / "j").images() == ["a", "c", "d"]


# What versions before 0.2 wrote: the header without a number, rows by their place.
OLD = (
    {"folders": {}, "versions": {"cellqa": "0.1.0"}},
    ["a.png", {"net": [[5, 6]]}, [["a.png", "net", None, 255.0, {}, "ok", "", [], None, []]]],
)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (OLD, "settings or versions differ"),
        (({"format": FORMAT + 1, "header": {}},), "settings or versions differ"),
        (([1, 2],), "damaged or of another program"),
    ],
)
def test_an_old_or_foreign_journal_is_one_line_and_a_fresh_start(
    tmp_path: Path, lines: tuple[Any, ...], why: str
) -> None:
    foreign = Lines(tmp_path / "j")
    for line in lines:
        foreign.append(line)
    foreign.close()
    content = (tmp_path / "j").read_bytes()
    journal, given_up = Journal.begin(tmp_path / "j", OLD[0], resume=True)
    assert why in given_up
    assert len(journal) == 0
    journal.add("a", {}, ROWS)
    journal.close()
    assert (tmp_path / "j.old").read_bytes() == content
    assert len(Journal.read(tmp_path / "j")) == 1


def test_another_format_is_no_journal_to_merge(tmp_path: Path) -> None:
    foreign = Lines(tmp_path / "j")
    foreign.append(OLD[0])
    foreign.close()
    with pytest.raises(CellqaError, match=r"another version of cellqa \(format 1, not 2\)"):
        Journal.read(tmp_path / "j")


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.pop("method"),
        lambda row: row.update(surprise=1),
        lambda row: row.update(objects={"label": [1]}),
        lambda row: row.update(limits=3),
    ],
)
def test_rows_of_other_columns_are_scored_again(tmp_path: Path, change: Any) -> None:
    journal = begun(tmp_path, {}, resume=False)
    row = ROWS[0].to_json()
    change(row)
    journal._places["a"] = journal._lines.append({"image": "a", "states": {}, "rows": [row]})
    assert journal.get("a") is None
    journal.close()
