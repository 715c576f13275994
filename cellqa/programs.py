"""Other programs: run without a shell, for a limited time, and never longer than who asked."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cellqa.errors import printable

_SHOWN = 160  # characters of what a program said last


def words_of(command: str, places: Mapping[str, str]) -> list[str]:
    """A command as words, each place in braces replaced by its text; no shell is asked.

    Raises
    ------
    ValueError
        A quotation mark is not closed, or there is no word.

    Examples
    --------
    >>> words_of("segment '{in}' --to={out} ; rm", {"in": "a b.tif", "out": "c.tif"})
    ['segment', 'a b.tif', '--to=c.tif', ';', 'rm']
    """
    words = shlex.split(command)
    if not words:
        raise ValueError("the command is empty")
    for name, text in places.items():
        words = [word.replace(f"{{{name}}}", text) for word in words]
    return words


def is_program(name: str) -> bool:
    """Whether there is a program of this name or path."""
    return shutil.which(name) is not None


def run_program(words: Sequence[str], *, seconds: float, log: Path) -> str:
    """Run a program; what came of it, as "ended with status 1", and "" where it succeeded.

    What it starts ends with it, at the end of its time, and with this process, however that ends:
    another process watches over it.

    Parameters
    ----------
    words : sequence of str
        The program and its arguments.
    seconds : float
        Its time.
    log : Path
        Takes what it says; the last line of it stands in the reason.
    """
    line = [sys.executable, "-P", "-m", __name__, str(seconds), *words]
    with (
        log.open("wb") as said,
        subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        ) as watching,
    ):
        assert watching.stdin is not None
        assert watching.stdout is not None
        try:
            reason = watching.stdout.read()
        finally:
            watching.stdin.close()  # which ends the program, if it is still there
    if reason == "done":
        return ""
    last = _last_line(log)
    return (reason or "lost its watcher") + (f": {last}" if last else "")


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [text.strip() for text in file.read().decode("utf-8", "replace").splitlines()]
    return printable(next((text for text in reversed(lines) if text), ""))[:_SHOWN]


def _watch(seconds: float, words: Sequence[str]) -> str:
    """Run a program until it ends, its time is over, or who asked is gone; what came of it."""
    try:
        program = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
        )
    except OSError as error:
        return f"cannot be started ({error.strerror})"

    def end() -> None:
        with suppress(OSError):  # all of it has ended
            os.killpg(program.pid, signal.SIGKILL)

    def follow() -> None:
        os.read(0, 1)  # ends when who asked closes it, or ends
        end()

    threading.Thread(target=follow, daemon=True).start()
    try:
        status = program.wait(seconds)
    except subprocess.TimeoutExpired:
        end()
        program.wait()
        return f"was ended after {seconds:g} s"
    end()  # what it left behind
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}" if status else "done"


if __name__ == "__main__":
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # who asked decides
        signal.signal(getattr(signal, name), lambda number, frame: None)
    sys.stdout.write(_watch(float(sys.argv[1]), sys.argv[2:]))
    sys.stdout.flush()
