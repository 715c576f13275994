"""What both commands say of themselves, and how forgiving they are about names and times."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from cellqa.cli import main as cellqa
from cellqa.cli.helping import STATUSES, example_words
from cellqa.cli.kinds import Seconds
from ciegan.cli import main as ciegan

LISTS = {"cellqa enhance", "cellqa sharpest"}  # show tables of code that computes
LISTS |= {f"ciegan {name}" for name in ("train", "export", "enhance", "watch")}


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = [*commands(cellqa, "cellqa"), *commands(ciegan, "ciegan")]


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_each_command_has_three_examples_that_can_be_typed(
    path: str, command: click.Command, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program, *rest = path.split()
    group = {"cellqa": cellqa, "ciegan": ciegan}[program]
    explained = group.explained[" ".join(rest)]
    assert len(explained.examples) == 3
    assert set(explained.exits) <= set(STATUSES)
    for line, what in explained.examples:
        assert line.startswith(f"{path}"), line
        assert len(line) <= 90
        assert what
        typed = line.partition(" | ")[0].partition(" > ")[0]
        words = example_words(typed)[len(rest) :]
        context = click.Context(group, info_name=program)
        for name in rest[:-1]:
            context = click.Context(group.commands[name], context, name)
        if "--help" not in words:
            # an unknown option or a wrong value would raise
            command.make_context(rest[-1], words, context).close()


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_help_shows_examples_and_statuses(path: str, command: click.Command) -> None:
    program, *rest = path.split()
    group = {"cellqa": cellqa, "ciegan": ciegan}[program]
    result = CliRunner().invoke(group, [*rest, "--help"], prog_name=program)
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert "Exit status:" in result.stdout
    assert "  130  interrupted" in result.stdout
    for line, _ in group.explained[" ".join(rest)].examples:
        assert line in result.stdout  # whole, to be copied


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_defaults_are_shown_as_they_are_typed(path: str, command: click.Command) -> None:
    program, *rest = path.split()
    group = {"cellqa": cellqa, "ciegan": ciegan}[program]
    text = CliRunner().invoke(group, [*rest, "--help"], prog_name=program).stdout
    shown = re.findall(r"\[default:\s+([^]]*)\]", text)
    assert not [word for word in shown if word in ('""', "None") or re.fullmatch("[A-Z]{4,}", word)]


def test_help_has_sections() -> None:
    text = CliRunner().invoke(cellqa, ["score", "--help"], prog_name="cellqa").stdout
    places = [text.index(f"{title}:\n") for title in ("Images", "Measures", "Results", "Running")]
    assert places == sorted(places)
    assert places[0] < text.index("--gt DIR") < places[1]
    assert "4    done, but a mean is worse than --fail-under allows" in text
    text = CliRunner().invoke(ciegan, ["train", "--help"], prog_name="ciegan").stdout
    assert "[default: (by preset)]" in text


def test_help_of_commands_loads_no_numpy() -> None:
    paths = [path.split() for path, _ in COMMANDS if path not in LISTS and "prepare" not in path]
    code = (
        "import sys\n"
        "from cellqa.cli import main as cellqa\n"
        "from ciegan.cli import main as ciegan\n"
        f"for program, *rest in {paths!r}:\n"
        "    try: {'cellqa': cellqa, 'ciegan': ciegan}[program]([*rest, '--help'])\n"
        "    except SystemExit: pass\n"
        "    if 'numpy' in sys.modules: sys.exit(f'{program} {rest}')\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("3min", 180),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1 hour 30 minutes", 5400),
        ("45", 45),
        ("1.5h", 5400),
        ("1d", 86400),
        (2.0, 2),
    ],
)
def test_times(text: object, seconds: float) -> None:
    assert Seconds().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "soon", "3 mins later", "-5s", "5 parsecs", "0s", "99999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Seconds().convert(text, None, None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("cellqa scroe", "Did you mean 'score'"),
        ("cellqa score --pred x --metrics psnrr", "did you mean psnr?"),
        ("cellqa score --pred x --fail-under ssmi=0.8", "did you mean ssim?"),
        ("cellqa enhance a b --method winer", "did you mean wiener?"),
        ("cellqa enhance a b --method te --set sigm=3", "did you mean sigma?"),
        ("cellqa score --pred x --engine dsk", "did you mean dask"),
        ("ciegan train a b --preset papr", "did you mean paper?"),
        ("ciegan train a b --monitor ssimm", "did you mean ssim?"),
        ("ciegan compare --data a --out b --methods papr", "did you mean paper?"),
        ("ciegan prepare task nucle out", "did you mean nuclei?"),
    ],
)
def test_a_name_that_is_nearly_right_is_told(line: str, told: str) -> None:
    program, *words = line.split()
    result = CliRunner().invoke({"cellqa": cellqa, "ciegan": ciegan}[program], words)
    assert result.exit_code in (1, 2)
    assert told in result.output, result.output


def test_names_are_taken_whatever_their_case() -> None:
    command = cellqa.commands["score"]
    words = ["--pred", "x", "--metrics", "SSIM,MS-SSIM, Psnr", "--fail-under", "SSIM=0.8"]
    params = command.make_context("score", words).params
    assert params["metrics"] == ["psnr", "ssim", "ms_ssim"]
    assert params["fail_under"] == {"ssim": 0.8}
    words = ["a", "b", "--monitor", "SSIM=2", "--preset", "PAPER"]
    params = ciegan.commands["train"].make_context("train", words).params
    assert (params["monitor"], params["preset"]) == ({"ssim": 2.0}, "paper")


@pytest.mark.parametrize(
    ("program", "words", "completed"),
    [
        ("cellqa", "cellqa sc", ["score"]),
        ("cellqa", "cellqa score --metrics psnr,ms_", ["psnr,ms_ssim", "psnr,ms_ssim_fit"]),
        ("cellqa", "cellqa enhance a b --method wi", ["wiener"]),
        ("ciegan", "ciegan train a b --preset pa", ["paper"]),
    ],
)
def test_the_shell_completes(program: str, words: str, completed: list[str]) -> None:
    environment = {
        **os.environ,
        f"_{program.upper()}_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    found = subprocess.run(
        [sys.executable, "-m", program], env=environment, capture_output=True, text=True, check=True
    )
    assert [line.partition(",")[2] for line in found.stdout.splitlines()] == completed
