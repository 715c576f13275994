"""Processes of this machine: what crashes, what cannot be sent, what they import."""

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cellqa.engines.local import ordered_map
from cellqa.errors import CellqaError


def crash_on_13(item: int) -> int:
    if item == 13:
        os.kill(os.getpid(), signal.SIGSEGV)
    return item * item


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_crash_in_a_library_takes_one_item(jobs: int) -> None:
    isolate = jobs == 1  # one process is this one, unless a format may crash
    results = ordered_map(
        crash_on_13, range(40), jobs, on_crash=lambda i, why: why, isolate=isolate
    )
    found = list(results)
    expected = [k * k for k in range(40)]
    expected[13] = "ended its process (SIGSEGV)"  # type: ignore[call-overload]
    assert found == expected


def test_a_script_without_a_guard_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from cellqa.engines.local import ordered_map\n"
        "print(list(ordered_map(abs, range(40), 2, on_crash=lambda i, why: why)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "worker processes cannot start" in done.stderr


def process_of(item: int) -> int:
    return os.getpid()


def test_one_process_is_this_one() -> None:
    def run(number: int, jobs: int, isolate: bool = False) -> set[int]:
        on_crash = functools.partial(lambda item, why: 0)
        found = ordered_map(process_of, range(number), jobs, on_crash=on_crash, isolate=isolate)
        return set(found)

    assert run(40, 1) == {os.getpid()}
    assert run(3, 2) == {os.getpid()}  # not worth starting others
    assert os.getpid() not in run(40, 2)
    assert os.getpid() not in run(3, 1, isolate=True)


def test_what_cannot_be_sent_is_one_line() -> None:
    work = ordered_map(lambda item: item, range(40), 2, on_crash=lambda item, why: item)
    with pytest.raises(CellqaError, match=r"cannot be sent to other processes .*jobs=1"):
        list(work)


def test_workers_import_nothing_from_the_current_folder(tmp_path: Path) -> None:
    """It may hold anything: a folder of images has come from somewhere."""
    for name in ("pebble", "numpy", "secrets", "cellqa"):
        (tmp_path / f"{name}.py").write_text("open('taken', 'w')")
    code = (
        "import sys; sys.path = [p for p in sys.path if p]\n"
        "from cellqa.engines.local import ordered_map\n"
        "if __name__ == '__main__':\n"
        "    print(sum(ordered_map(abs, range(40), 2, on_crash=lambda i, why: why)))\n"
    )
    script = tmp_path / "sub" / "script.py"
    script.parent.mkdir()
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("780\n", 0), done.stderr
    assert not (tmp_path / "taken").exists()
