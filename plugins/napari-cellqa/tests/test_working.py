"""Work in another thread: how far it is, that it ends, and what its errors become."""

import threading

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

import cellqa
from napari_cellqa.widgets.working import Working, line_of


def test_work_can_be_ended(qtbot, said):
    begun, go, done, busy = threading.Event(), threading.Event(), [], []

    def slow(progress):
        begun.set()
        go.wait(30)
        progress(1, 2)
        raise AssertionError("it went on")

    widget = Working()
    qtbot.addWidget(widget)
    widget.busy.connect(busy.append)
    widget.start(slow, done.append)
    qtbot.waitUntil(begun.is_set, timeout=10_000)  # this thread goes on meanwhile
    widget.start(lambda progress: None, done.append)
    assert said.errors == ["still at work: wait, or cancel it"]
    widget.cancel.click()
    go.set()
    qtbot.waitUntil(lambda: not widget.running, timeout=10_000)
    assert done == []
    assert busy == [True, False]
    assert len(said.errors) == 1


def test_work_ends_with_its_widget(qtbot, said):
    begun, go, ended, done = threading.Event(), threading.Event(), threading.Event(), []

    def slow(progress):
        begun.set()
        go.wait(30)
        try:
            progress(1, 2)
        finally:
            ended.set()

    widget = Working()
    widget.start(slow, done.append)
    qtbot.waitUntil(begun.is_set, timeout=10_000)
    widget.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    go.set()
    qtbot.waitUntil(ended.is_set, timeout=10_000)
    qtbot.wait(100)
    assert done == []
    assert said.errors == []


def test_progress_is_shown(qtbot):
    widget = Working()
    qtbot.addWidget(widget)
    shown = []
    widget.bar.valueChanged.connect(shown.append)
    widget.start(lambda progress: [progress(k, 3) for k in (1, 2, 3)], lambda result: None)
    qtbot.waitUntil(lambda: not widget.running, timeout=10_000)
    assert shown[-1] == 3


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "not enough memory: crop the layer, or take the shown plane only"),
        (OSError(28, "No space left on device", "/x/y"), "/x/y: No space left on device"),
        (cellqa.CellqaError("two\nlines"), "two lines"),
        (ValueError(), "ValueError"),
    ],
)
def test_errors_are_one_line(error, line):
    assert line_of(error) == line
