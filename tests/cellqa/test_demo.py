from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from cellqa.cli import main


def test_the_demo_ends_with_its_table(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = CliRunner().invoke(main, ["demo", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout.startswith("mean")
    with (out / "results" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 4
    assert {r["status"] for r in rows} == {"ok"}
    assert (out / "results" / "montage.png").stat().st_size > 10_000
    again = CliRunner().invoke(main, ["demo", str(out)], catch_exceptions=False)
    assert again.exit_code == 1
    assert "holds an earlier demo" in again.stderr


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    result = CliRunner().invoke(main, ["demo", str(tmp_path / "x")], catch_exceptions=False)
    assert result.exit_code == 1
    assert "is a file" in result.stderr


@pytest.mark.parametrize(
    "name", ["README.md", "docs/reference/metrics.md", "docs/reference/conventions.md"]
)
def test_code_in_the_docs_runs(name: str) -> None:
    import doctest

    path = Path(__file__).parents[2] / name
    found = doctest.testfile(str(path), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


def test_the_users_own_folder_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("x")
    result = CliRunner().invoke(
        main, ["demo", str(tmp_path), "--overwrite"], catch_exceptions=False
    )
    assert result.exit_code == 1
    assert (tmp_path / "data" / "mine.txt").exists()
