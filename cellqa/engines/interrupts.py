"""Ctrl-C while other processes start: they must neither die of it nor print about it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def ignored() -> Iterator[None]:
    """Let an interrupt wait until the end of the block; processes started in it never see any."""
    if not hasattr(signal, "pthread_sigmask"):
        with _handled_by(signal.SIG_IGN):
            yield
        return
    # what is blocked stays so in children, and comes to this process when it is not any more
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def deferred() -> Iterator[None]:
    """Let an interrupt wait until the end of the block."""
    seen: list[int] = []
    with _handled_by(lambda number, frame: seen.append(number)):
        yield
    if seen:
        raise KeyboardInterrupt


@contextmanager
def _handled_by(handler: Callable[[int, Any], Any] | signal.Handlers) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
