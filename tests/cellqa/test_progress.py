"""What a long command tells while it works."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cellqa.cli.helping import FAILED, Explained, Group
from cellqa.progress import Stage, outlet
from cellqa.terminal import progress_bar, report_failures, warn


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def work(clock: Clock, stage: Stage, items: int, seconds: float) -> None:
    for done in range(1, items + 1):
        clock.now += seconds
        stage(done, items)


def test_off_a_terminal_a_line_a_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    work(clock, Stage("Scoring", clock=clock), 18, 10.0)
    said = [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert said == [
        "Scoring: 6 of 18 (33%), 6/min, 2 min left",
        "Scoring: 12 of 18 (67%), 6/min, 60 s left",
        "Scoring: 18 of 18 (100%), 6/min, 0 s left",
    ]


def test_short_work_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    work(clock, Stage("Scoring", clock=clock), 50, 1.0)
    assert capsys.readouterr().err == ""


def test_what_comes_after_counts(clock: Clock) -> None:
    stage = Stage("Scoring", more=24, clock=clock)
    stage(0, 100)
    clock.now += 100
    stage(50, 100)
    assert stage.left(clock.now) == pytest.approx((50 + 24) * 2)


def test_what_was_done_before_took_no_time(clock: Clock) -> None:
    stage = Stage("Scoring", clock=clock)
    stage(900, 1000)  # of an earlier run
    clock.now += 50
    stage(950, 1000)
    assert stage.left(clock.now) == pytest.approx(50)


@pytest.mark.parametrize("mode", ["bar", "plain", "json", "none"])
def test_modes(
    mode: str, clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlet, "mode", mode)
    stage = Stage("Scoring", clock=clock)
    work(clock, stage, 13, 10.0)
    stage.end()
    said = capsys.readouterr().err
    if mode == "bar":
        assert "13 of 13" in said
        assert "12 of 13  10 s left" in said
        assert said.endswith("\n")
    elif mode == "json":
        first = json.loads(said.splitlines()[0])
        assert (first["stage"], first["done"], first["total"]) == ("Scoring", 6, 13)
        assert (first["per_second"], first["left"]) == (0.1, 70.0)
    else:
        assert len(said.splitlines()) == (3 if mode == "plain" else 0)


@pytest.fixture
def program() -> Group:
    @click.group(cls=Group, explained={"work": Explained((), (FAILED,))})
    def main() -> None:
        pass

    @main.command()
    def work() -> None:
        with progress_bar("Working") as progress:
            progress(1, 2)
        warn(["a thing"])
        report_failures(20, [("a.tif", "net", "gone"), ("b.tif", "net", "gone")])

    return main


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        (None, 3),
        ("1", 3),
        ("2", 0),
        ("0.1", 0),
        ("10%", 0),
        ("0.09", 3),
        ("0", 3),
        ("many", 2),
        ("-1", 2),
        ("150%", 2),
        ("nan", 2),
    ],
)
def test_failures_that_are_allowed(program: Group, allowed: str | None, status: int) -> None:
    options = [] if allowed is None else ["--allow-failures", allowed]
    found = CliRunner().invoke(program, ["work", *options])
    assert found.exit_code == status, found.output
    if status != 2:
        assert "failed: a.tif (net): gone" in found.stderr  # told in any case
        assert "2 of 20 failed" in found.stderr


def test_the_log_has_what_was_told(program: Group, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    for _ in range(2):
        CliRunner().invoke(program, ["work", "--log", str(log), "--progress", "none"])
    said = log.read_text()
    assert said.count("begin: ") == 2  # it is added to
    assert said.count("warning: a thing") == 2
    assert said.count("Working: 1 of 2 in 0 s") == 2
    assert said.count("failed: a.tif (net): gone") == 2
    assert outlet.log is None
    assert outlet.mode is None
    found = CliRunner().invoke(program, ["work", "--log", str(tmp_path / "no" / "run.log")])
    assert found.exit_code == 2
    assert "cannot be written" in found.stderr
