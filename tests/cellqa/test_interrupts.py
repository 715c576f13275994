"""Signals that ask a command to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellqa import interrupts

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    hook = sys.unraisablehook
    yield
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)
    interrupts._seen.clear()
    interrupts._again.clear()


@pytest.mark.parametrize("number", NUMBERS)
def test_each_is_an_interrupt_with_its_own_status(number: signal.Signals) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    interrupts.take()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert interrupts.status() == 128 + number
    os.kill(os.getpid(), signal.SIGINT)  # a second one does not disturb the first
    assert interrupts.status() == 128 + number


def test_nohup_is_obeyed() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts.take()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    os.kill(os.getpid(), signal.SIGHUP)
    assert not interrupts.seen()


def test_what_waits_comes_at_the_end() -> None:
    interrupts.take()
    for wait in (interrupts.deferred, interrupts.blocked, interrupts.starting):
        interrupts._seen.clear()
        reached: list[object] = []

        def work(wait: object = wait, reached: list[object] = reached) -> None:
            with wait():  # type: ignore[operator]
                os.kill(os.getpid(), signal.SIGTERM)
                reached.append(wait)

        with pytest.raises(KeyboardInterrupt):
            work()
        assert reached
        assert interrupts.status() == 143


def test_a_library_leaves_signals_alone() -> None:
    """Without `take`, what a program does with SIGTERM is its own matter."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with interrupts.deferred():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("times", "said"), [(1, "interrupted"), (3, "interrupted")], ids=["once", "impatient"]
)
def test_the_process_ends_with_a_line(times: int, said: str) -> None:
    code = f"""
import os, signal, time
from cellqa import interrupts
interrupts.take()
def stop():
    for _ in range({times}):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
try:
    stop()
except KeyboardInterrupt:
    for _ in range({times} - 1):
        os.kill(os.getpid(), signal.SIGTERM)
    interrupts.end()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 143
    assert done.stderr.strip() == said


def test_compiling_ends_at_once() -> None:
    """An exception would be lost where a compiler calls Python."""
    code = """
import ctypes, os, signal
from cellqa import interrupts
interrupts.take()
call = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGINT))
with interrupts.ends_at_once():
    call()
print("swallowed")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\ninterrupted\n")


LOST = {
    "where an object is deleted": """
class Loader:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
Loader()
""",
    "where C calls Python": """
ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGTERM))()
""",
}


@pytest.mark.parametrize("lost", LOST.values(), ids=list(LOST))
def test_none_is_lost(lost: str) -> None:
    """Python cannot raise an exception there, prints it, and forgets it."""
    code = f"""
import ctypes, os, signal, time
from cellqa import interrupts
interrupts.take()
try:
    {"    ".join(lost.strip().splitlines(keepends=True))}
    time.sleep(60)
except KeyboardInterrupt:
    interrupts.end()
print("swallowed")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "\ninterrupted\n")


IMPORTED = {
    "where a class is made": """
import os, signal
class Field:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGTERM)
class Asked:
    done = Field()
""",
    "where a library may be missing": """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGTERM)
    found = True
except:
    found = False
""",
}


RUN = """
import sys, time
from cellqa import interrupts
sys.path.insert(0, {path!r})
interrupts.take()
try:
    import torn
    print("whole" if getattr(torn, "found", True) else "torn", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    interrupts.end()
"""


def ended(path: Path, module: str) -> tuple[int, str, str]:
    """How a command ends that imports this module."""
    (path / "torn.py").write_text(module)
    line = [sys.executable, "-c", RUN.format(path=str(path))]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("module", IMPORTED.values(), ids=list(IMPORTED))
def test_an_import_is_not_torn(tmp_path: Path, module: str) -> None:
    """What is raised there comes out as another error, or as a library that is missing."""
    assert ended(tmp_path, module) == (143, "whole\n", "\ninterrupted\n")


def test_a_third_signal_does_not_wait_for_an_import(tmp_path: Path) -> None:
    module = """
import os, signal, time
for _ in range(3):
    os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""
    assert ended(tmp_path, module) == (143, "", "\ninterrupted\n")


def test_what_else_cannot_be_raised_is_printed_as_before() -> None:
    code = """
from cellqa import interrupts
interrupts.take()
interrupts.take()
class Broken:
    def __del__(self):
        raise ValueError("mine")
Broken()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.count("ValueError: mine") == 1
