"""Signals that ask a command to end: Ctrl-C (INT), clusters (TERM), a closed terminal (HUP)."""

from __future__ import annotations

import _thread
import atexit
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_OFTEN = 3  # signals, of which the last ends at once
_AGAIN = 0.05  # seconds until one that was lost, or came too early, is sent again
_IMPORT = "<frozen importlib._bootstrap>"  # the file of Python's own frames of an import

_seen: list[int] = []
_again: list[int] = []  # what this process sends itself, and has not come yet
_hooks: list[Callable[[sys.UnraisableHookArgs], Any]] = []  # what stood there before


def numbers() -> list[signal.Signals]:
    """Those that there are here; without SIGHUP under `nohup`, which has it ignored."""
    there = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    return [n for n in there if n == signal.SIGINT or signal.getsignal(n) is not signal.SIG_IGN]


def take() -> None:
    """Let each of them raise KeyboardInterrupt: the first; a second is ignored, a third ends.

    What comes while a module is imported waits for the module's end: an exception there is turned
    into another (`RuntimeError` of `__set_name__`, before Python 3.12), or is taken for a library
    that is missing.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may say what a signal does
    _seen.clear()
    _again.clear()
    for number in numbers():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    if sys.unraisablehook is not _send_again:
        _hooks.append(sys.unraisablehook)
        sys.unraisablehook = _send_again


def _send_again(lost: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception Python had to drop.

    Python prints and forgets what is raised where an object is deleted or where C calls Python.
    A run that was told to end there would go on.
    """
    if lost.exc_type is KeyboardInterrupt and _seen:
        _send_later(_seen[0])
    else:
        _hooks[-1](lost)


def _send_later(number: int) -> None:
    """Send a signal from another thread, after a moment."""
    # not `threading.Timer`: the main thread may hold a lock that starting one takes
    _thread.start_new_thread(_send, (number,))


def _send(number: int) -> None:
    """Send a signal to the main thread, which may be waiting."""
    time.sleep(_AGAIN)
    _again.append(number)
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def _stop(number: int, frame: FrameType | None) -> None:
    own = number in _again
    if own:
        _again.remove(number)
    else:
        _seen.append(number)
    if len(_seen) >= _OFTEN:
        end()
    if own or len(_seen) == 1:
        if _imports(frame):
            _send_later(number)
        else:
            raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported there."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT:
            return True
        frame = frame.f_back
    return False


def ignore() -> None:
    """Take no notice any more: all is done, and Python is ending."""
    for number in numbers():
        signal.signal(number, signal.SIG_IGN)


def seen() -> bool:
    """Whether one came, whatever became of the exception: some libraries swallow it."""
    return bool(_seen)


def status() -> int:
    """Exit status of what was interrupted, as shells have it: 130, 143 or 129."""
    return 128 + (_seen[0] if _seen else signal.SIGINT)


def end() -> None:
    """End this process now, with a line."""
    os.write(2, b"\ninterrupted\n")
    os._exit(status())


def leave(code: object) -> None:
    """End this process with a status, after what has to be done at the end of one.

    Not as Python ends: its own end turns an interrupt that C code saw into another status, and
    threads of libraries that still compute bring it down.
    """
    ignore()
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code if isinstance(code, int) else 1)


def run(package: str) -> None:
    """Run the command of a package; a signal ends it in order, also while it is being imported."""
    take()
    try:
        importlib.import_module(f"{package}.cli").main(prog_name=package)
    except KeyboardInterrupt:
        end()
    except SystemExit as stop:
        if seen():
            leave(stop.code)
        raise
    finally:
        ignore()


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Within the block, where nothing is lost, a signal ends the process: no exception is raised.

    Compilers call Python from C, where an exception is printed and forgotten.
    """

    def stop(number: int, frame: object) -> None:
        _seen.append(number)
        end()

    with _handled_by(stop):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """Let signals wait until the end of the block."""
    waiting: list[int] = []
    with _handled_by(lambda number, frame: waiting.append(number)):
        yield
    if waiting:
        _seen.extend(waiting)
        _again.clear()
        raise KeyboardInterrupt


@contextmanager
def _handled_by(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # what this program does not handle stays as it is
    before = {n: signal.getsignal(n) for n in numbers() if callable(signal.getsignal(n))}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def blocked() -> Iterator[None]:
    """Let signals wait until the end of the block; processes started in it do not see any.

    They neither die of one while they start, nor print about it; `follow` says what they do then.
    """
    with deferred():  # another thread may get it, in which it is not blocked
        if not hasattr(signal, "pthread_sigmask"):
            yield
            return
        # what is blocked stays so in children, and comes to this process when it is not any more
        before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers())
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def starting() -> Iterator[None]:
    """As `blocked`, for a block that starts processes of `multiprocessing`."""
    if os.name == "posix":
        with blocked():
            resource_tracker.ensure_running()  # at its end, it lets some signals through
    with blocked():
        yield


def follow() -> None:
    """In a process that works for another: whoever started it decides what a signal means.

    SIGTERM ends it, as that is how it is told to end.
    """
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers())
