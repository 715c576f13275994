"""What the commands share on the terminal."""

import click
import pytest
from click.testing import CliRunner

from cellqa.errors import CellqaError
from cellqa.terminal import Commands, align, progress_bar, report_failures


def command(error: BaseException) -> click.Group:
    @click.group(cls=Commands)
    def main() -> None:
        pass

    @main.command()
    def fail() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (CellqaError("one\nline\x1b[31m"), 1, "Error: one line\\x1b[31m\n"),
        (OSError(28, "No space left on device", "a.csv"), 1, "a.csv: No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_error_of_the_user_is_one_line(error: BaseException, status: int, said: str) -> None:
    found = CliRunner().invoke(command(error), ["fail"])
    assert found.exit_code == status
    assert said in found.stderr
    assert "Traceback" not in found.output


def test_an_error_of_ours_is_not_hidden() -> None:
    found = CliRunner().invoke(command(ZeroDivisionError("ours")), ["fail"])
    assert isinstance(found.exception, ZeroDivisionError)


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("Working") as progress:
        progress(1, 2)
        progress(2, 2)
    assert capsys.readouterr().err == ""


def test_failures_are_named_and_counted(
    capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    report_failures(3, [])
    failures = [(f"{k}.tif", "net", "gone") for k in range(12)]
    with pytest.raises(SystemExit) as end:
        report_failures(20, failures)
    assert end.value.code == 3
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 13
    assert said[-1] == "12 of 20 failed"


def test_columns_are_aligned() -> None:
    assert align([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc   d"
    assert align([["a", "bb"], ["ccc", "d"]], left=True) == "a    bb\nccc  d"
