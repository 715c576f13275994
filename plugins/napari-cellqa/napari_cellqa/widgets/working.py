"""Work in another thread, with its progress, a button that ends it, and its errors in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from cellqa.errors import CellqaError, Interrupted, printable
from cellqa.terminal import Progress

Job = Callable[[Progress], Any]


class _Failed(NamedTuple):
    """What went wrong, as the result of work: an error would be shown with its traceback."""

    line: str


# What a wrong file, layer or setting brings up. Anything else is a mistake of the program, which
# napari shows as such.
EXPECTED = (CellqaError, ValueError, TypeError, OSError, MemoryError)


def line_of(error: BaseException) -> str:
    """An error as one line."""
    if isinstance(error, MemoryError):
        return "not enough memory: crop the layer, or take the shown plane only"
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return printable(f"{name}{error.strerror}")
    return printable(" ".join(str(error).split()) or type(error).__name__)


class Working(QWidget):
    """Runs one job at a time in another thread.

    Attributes
    ----------
    busy : Signal(bool)
        Whether a job runs.
    """

    busy = Signal(bool)
    _advanced = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workers: list[Any] = []  # the one at work, or none
        workers = self._workers
        # without this widget in it, which is gone by then
        self.destroyed.connect(lambda: [worker.quit() for worker in workers])
        self._done: Callable[[Any], None] = lambda result: None
        self.bar, self.cancel = QProgressBar(), QPushButton("Cancel")
        self.cancel.setToolTip("Ends the work before the next plane")
        self.cancel.clicked.connect(self.stop)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        self._advanced.connect(self._show)
        self.hide()

    @property
    def running(self) -> bool:
        """Whether a job runs."""
        return bool(self._workers)

    def start(self, job: Job, done: Callable[[Any], None]) -> None:
        """Run a job; `done` gets its result in this thread, unless it failed or was ended.

        Parameters
        ----------
        job : callable
            Of a progress, which it calls with how much is done, and how much there is.
        done : callable
            Of what the job returns.
        """
        if self.running:
            show_error("still at work: wait, or cancel it")
            return
        self._done = done
        worker: Any = None

        def advance(number: int, total: int) -> None:
            if worker.abort_requested:  # asked first: the widget may be gone by now
                raise Interrupted(number, total)
            self._advanced.emit(number, total)

        def work() -> Any:
            try:
                return job(advance)
            except Interrupted:
                return None  # is not handed over, as the worker was asked to end
            except EXPECTED as error:
                return _Failed(line_of(error))

        worker = create_worker(work)
        self._workers.append(worker)
        worker.returned.connect(self._returned)
        worker.finished.connect(self._finished)
        self.bar.setRange(0, 0)  # until something is known
        self.cancel.setEnabled(True)
        self.show()
        self.busy.emit(True)
        worker.start()

    def stop(self) -> None:
        """Ask the job to end, which it does at its next step."""
        for worker in self._workers:
            worker.quit()
            self.cancel.setEnabled(False)
            show_info("ending after this plane")

    def _show(self, number: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(number)

    def _returned(self, result: Any) -> None:
        if isinstance(result, _Failed):
            show_error(result.line)
        else:
            self._done(result)

    def _finished(self) -> None:
        self._workers.clear()
        self.hide()
        self.busy.emit(False)


def attempt(action: Callable[[], Any]) -> Any:
    """What a quick action returns; None where it failed, which is shown in one line."""
    try:
        return action()
    except EXPECTED as error:
        show_error(line_of(error))
        return None
