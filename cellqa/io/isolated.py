"""Reading in another process, which a damaged file may bring down without harm to this one."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from cellqa.errors import CellqaError, ImageError
from cellqa.io import Acquisition, ImageFile, PlaneIndex, may_crash, open_image
from cellqa.planes import Array

_SECONDS = 600.0  # without an answer, after which the reader is ended


def open_safely(path: Path) -> ImageFile:
    """Open, in another process where the format's reader may crash.

    Raises
    ------
    ImageError
        As `open_isolated`.
    """
    return open_isolated(path) if may_crash(path) else open_image(path)


def open_isolated(path: Path) -> ImageFile:
    """As `cellqa.io.open_image`, but the reader's crash is an error of the image.

    The process that reads stays for the next file.

    Raises
    ------
    ImageError
        As `open_image`, or the reader crashed or gave no answer.
    """
    reader = _Reader.get()
    number, about = reader.ask("open", path, None)
    parts = about.decode_rows is not None

    def load(index: PlaneIndex) -> Array:
        pixels: Array = reader.ask("load", path, number, index)
        return pixels

    def load_rows(index: PlaneIndex, start: int, stop: int) -> Array:
        pixels: Array = reader.ask("load_rows", path, number, index, start, stop)
        return pixels

    def acquisition() -> Acquisition:
        known: Acquisition = reader.ask("acquired", path, number)
        return known

    def close() -> None:
        with contextlib.suppress(CellqaError):  # it has crashed, and so is closed
            reader.ask("close", path, number)

    opened: ImageFile = replace(
        about,
        decode=load,
        decode_rows=load_rows if parts else None,
        on_close=close,
        acquisition=acquisition,
    )
    return opened


class _Reader:
    """The process, and what is asked of it; one for each thread."""

    _of_thread = threading.local()

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what C libraries print of damaged files
        )
        self.lock = threading.Lock()
        atexit.register(self.end)

    @classmethod
    def get(cls) -> _Reader:
        """The thread's own process, started again where it has ended."""
        reader: _Reader | None = getattr(cls._of_thread, "reader", None)
        if reader is None or reader.process.poll() is not None:
            reader = cls._of_thread.reader = cls()
        return reader

    def ask(self, what: str, path: Path, number: int | None, *more: Any) -> Any:
        """The answer to a question about a file; its number is known once it is open.

        Raises
        ------
        CellqaError
            What the reader raised; or it crashed, or gave no answer.
        """
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        with self.lock:
            try:
                pickle.dump((what, path, number, *more), process.stdin)
                process.stdin.flush()
                if not select.select([process.stdout], [], [], _SECONDS)[0]:
                    self.end()
                    raise ImageError(f"{path.name}: its reader gave no answer and was ended")
                error, answer = pickle.load(process.stdout)
            except (OSError, EOFError, pickle.UnpicklingError):
                code = process.wait()
                why = signal.Signals(-code).name if code < 0 else f"exit status {code}"
                raise ImageError(
                    f"{path.name}: damaged, its reader crashed on it ({why})"
                ) from None
        if error:
            raise error
        return answer

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # what was not sent yet
                assert pipe is not None
                pipe.close()
        atexit.unregister(self.end)


def _serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the questions end, as they do when the asking process does."""
    files: dict[int, ImageFile] = {}
    numbers = itertools.count()
    while True:
        try:
            what, path, number, *more = pickle.load(questions)
        except EOFError:
            return
        error: Exception | None = None
        answer: Any = None
        try:
            if what == "open":
                number = next(numbers)
                file = files[number] = open_image(path)
                parts: Any = None if file.decode_rows is None else str
                # what cannot be sent is put in place by the one who asks
                nothing: Any = str
                about = replace(
                    file, decode=nothing, decode_rows=parts, on_close=nothing, acquisition=nothing
                )
                answer = (number, about)
            elif what == "close":
                files.pop(number).on_close()
            else:
                answer = getattr(files[number], what)(*more)
        except CellqaError as raised:
            error = raised
        except Exception as raised:
            error = ImageError(f"{path.name}: {raised}")
        pickle.dump((error, answer), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks decides
    # answers have a descriptor of their own: libraries may print to standard output
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    _main()
