"""Other programs: what they say, and that they end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cellqa.programs import is_program, run_program, words_of

HERE = sys.executable


def test_a_program_that_succeeds(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[1], 'w').write('there')"
    name = str(tmp_path / "a b; $(touch c) 'd'")
    assert run_program([HERE, "-c", code, name], seconds=30, log=tmp_path / "log") == ""
    assert Path(name).read_text() == "there"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit('no such\\x1b[31m model')", "ended with status 1: no such\\x1b[31m"),
        ("import os; os.kill(os.getpid(), 11)", "was ended by SIGSEGV"),
        ("import time; print('hm', flush=True); time.sleep(60)", "was ended after 1 s: hm"),
    ],
)
def test_a_program_that_fails_says_why(code: str, reason: str, tmp_path: Path) -> None:
    start = time.monotonic()
    assert run_program([HERE, "-c", code], seconds=1, log=tmp_path / "log").startswith(reason)
    assert time.monotonic() - start < 20


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    reason = run_program(["/no/such/program"], seconds=5, log=tmp_path / "log")
    assert reason == "cannot be started (No such file or directory)"
    assert not is_program("/no/such/program")
    assert is_program(HERE)


def test_words_are_no_shell() -> None:
    assert words_of("a {in} '{out} x' \"$HOME\"", {"in": "1 2", "out": "3"}) == [
        "a",
        "1 2",
        "3 x",
        "$HOME",
    ]
    for wrong in ("", "a 'b"):
        with pytest.raises(ValueError, match=r"empty|quotation"):
            words_of(wrong, {})


def test_nothing_outlives_who_asked(tmp_path: Path) -> None:
    # the program starts another, which would write on for a minute
    beat, log = tmp_path / "beat", tmp_path / "log"
    writer = f"import time\nwhile True: open({str(beat)!r}, 'w').write('x'); time.sleep(.05)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {writer!r}])"
    asking = (
        "import sys\nfrom pathlib import Path\nfrom cellqa.programs import run_program\n"
        f"run_program([sys.executable, '-c', {child!r}], seconds=60, log=Path({str(log)!r}))"
    )
    process = subprocess.Popen([HERE, "-c", asking])
    end = time.monotonic() + 30
    while not beat.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert beat.exists()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)
    last = beat.stat().st_mtime_ns
    time.sleep(0.5)
    assert beat.stat().st_mtime_ns == last
