"""The widget that scores layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info
from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from napari_cellqa import scoring
from napari_cellqa.layers import MAP, picture_of, pixel_size_of
from napari_cellqa.scoring import Judged, Request
from napari_cellqa.table import Table, table_of
from napari_cellqa.widgets.base import LayersWidget
from napari_cellqa.widgets.choosing import ALL, layer_box, pixel_size_box
from napari_cellqa.widgets.working import attempt

_CHECKED, _UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked


class ScoreWidget(LayersWidget):
    """Scores layers, and shows the table.

    Parameters
    ----------
    napari_viewer : Viewer
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, "Score")
        self._judged: Judged | None = None
        self._scored: list[Any] = []  # layers
        self.table_shown: Table | None = None
        self.judged = layer_box(napari_viewer, "What is judged", several=True)
        self.truth = layer_box(
            napari_viewer, "What it should be; without it, fewer metrics", optional=True
        )
        self.raw = layer_box(
            napari_viewer, "What it was made from; says whether detail is invented", optional=True
        )
        self.boxes = (self.judged, self.truth, self.raw)
        self.metrics = _metrics_list()
        self.only_shown.setToolTip("Of a stack; otherwise all planes are scored, one by one")
        self.pixel_size = pixel_size_box()
        self.taken = _wrapped()
        self.table = QTableWidget()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.notes = QPlainTextEdit(readOnly=True)
        self.notes.setPlaceholderText("What came of it, what to distrust, what is missing and why")
        self.outdated = _wrapped()
        self.copy, self.save = QPushButton("Copy table"), QPushButton("Save CSV…")
        self.report = QPushButton("Write report…")
        self.report.setToolTip("One page with figures, to mail; all tables and images beside it")
        self._lay_out()
        self.run.clicked.connect(self.score)
        self.copy.clicked.connect(self.copy_table)
        self.save.clicked.connect(self._ask_and_save)
        self.report.clicked.connect(self._ask_and_report)
        self.working.busy.connect(self._set_busy)
        for box in self.boxes:
            box.changed.connect(self._say_pixel_size)
        self.pixel_size.valueChanged.connect(self._say_pixel_size)
        self._set_busy(False)
        self._say_pixel_size()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Layer judged", self.judged.native)
        form.addRow("Ground truth", self.truth.native)
        form.addRow("Raw image", self.raw.native)
        form.addRow("Metrics", self.metrics)
        form.addRow("Pixel size", self.pixel_size)
        form.addRow("", self.taken)
        form.addRow("Stacks", self.only_shown)
        buttons = QHBoxLayout()
        for button in (self.copy, self.save, self.report):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.addLayout(form)
        for widget in (self.run, self.working, self.outdated):
            column.addWidget(widget)
        column.addWidget(self.table, 2)
        column.addWidget(self.notes, 1)
        column.addLayout(buttons)

    def reset_choices(self, event: Any = None) -> None:
        """Show the layers that there are now; napari calls it when they change."""
        super().reset_choices(event)
        self._say_pixel_size()

    def chosen_metrics(self) -> list[str] | None:
        """Names of the metrics that are ticked; None where they are the usual ones."""
        items = [self.metrics.item(k) for k in range(self.metrics.count())]
        ticked = {item.text() for item in items if item.checkState() == _CHECKED}
        if ticked == {m.name for m in scoring.offered() if scoring.usual(m)}:
            return None
        return [item.text() for item in items if item.text() in ticked]

    def request(self) -> Request:
        """What is chosen, as it is now.

        Raises
        ------
        CellqaError
            A layer that was chosen cannot be scored.
        """
        take = partial(picture_of, point=self.point)
        truth, raw = (take(b.value) if b.value else None for b in (self.truth, self.raw))
        notes: list[str] = []
        if self.judged.value == ALL:
            pictures, notes = scoring.gather(self._shown(), take)
        else:
            pictures = [take(self.judged.value)]
        metrics = self.chosen_metrics()
        size = self.pixel_size.value() or None
        return Request(pictures, truth, raw, metrics, size, notes)

    def _chosen(self) -> list[Any]:
        """Layers that take part: ground truth and raw image, then those that are judged."""
        judged = self._shown() if self.judged.value == ALL else [self.judged.value]
        return [layer for layer in (self.truth.value, self.raw.value, *judged) if layer]

    def _shown(self) -> list[Any]:
        """Visible layers that are judged: none of the others chosen, and no maps."""
        others = [box.value for box in (self.truth, self.raw) if box.value]
        return [
            layer
            for layer in self.layers()
            if layer.visible and MAP not in layer.metadata and layer not in others
        ]

    def layers(self) -> list[Any]:
        """Image layers of the viewer."""
        return [value for value in self.judged.choices if value != ALL]

    def score(self) -> None:
        """Score what is chosen, in another thread."""
        request = attempt(self.request)
        if request is None:
            return
        self.outdated.setText("")
        self._scored = self._chosen()
        for layer in self._scored:  # one that is connected already is not connected twice
            layer.events.data.connect(self._set_outdated)
        self.working.start(partial(scoring.score, request), self.show_scores)

    def show_scores(self, judged: Judged) -> None:
        """Show a table and its notes."""
        self._judged, self.table_shown = judged, table_of(judged)
        _fill(self.table, self.table_shown)
        self.notes.setPlainText("\n".join(self.table_shown.notes))
        self._set_busy(False)

    def copy_table(self) -> None:
        """Put the table on the clipboard, as spreadsheets paste it."""
        if self.table_shown is not None:
            QApplication.clipboard().setText(self.table_shown.as_tabs())
            show_info("the table is on the clipboard")

    def save_table(self, path: str) -> None:
        """Write the table as CSV."""
        table = self.table_shown
        if table is not None and (saved := attempt(lambda: table.save(Path(path)))):
            show_info(f"saved {saved}")

    def write_report(self, folder: str) -> None:
        """Write the page into a new folder there, in another thread."""
        judged = self._judged
        if judged is not None:
            job: Callable[[Any], Path] = lambda _: scoring.report(judged, Path(folder))  # noqa: E731
            self.working.start(job, lambda page: show_info(f"the report: {page}"))

    def _ask_and_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the table", "scores.csv", "*.csv")
        if path:
            self.save_table(path)

    def _ask_and_report(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Where the folder of the report goes")
        if folder:
            self.write_report(folder)

    def _say_pixel_size(self, event: Any = None) -> None:
        """Say which pixel size is taken, and from which layer."""
        if self.pixel_size.value():
            self.taken.setText(f"{self.pixel_size.value():g} µm, as given")
            return
        # of the raw image alone it is not taken
        layers = [layer for layer in self._chosen() if layer != self.raw.value]
        said = f"{layers[0].name}: {pixel_size_of(layers[0]).said}" if layers else ""
        self.taken.setText(said)

    def _set_outdated(self, event: Any) -> None:
        if self._judged is not None and event.source in self._scored:
            self.outdated.setText(f"{event.source.name} has changed: score again")

    def _set_busy(self, busy: bool) -> None:
        for button in (self.copy, self.save, self.report):
            button.setEnabled(not busy and self._judged is not None)


def _wrapped() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    return label


def _metrics_list() -> QListWidget:
    """Metrics with what they measure; those of every run are ticked."""
    box = QListWidget()
    box.setMaximumHeight(110)
    for metric in scoring.offered():
        item = QListWidgetItem(metric.name)
        item.setToolTip(f"{metric.measures} {metric.arrow}: {metric.definition}")
        item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
        item.setCheckState(_CHECKED if scoring.usual(metric) else _UNCHECKED)
        box.addItem(item)
    return box


def _fill(widget: QTableWidget, table: Table) -> None:
    """Show a table: cells of undefined values are empty, and say why when they are pointed at."""
    titles = ["planes", *(column.title for column in table.columns)]
    widget.clear()
    widget.setRowCount(len(table.lines))
    widget.setColumnCount(len(titles))
    widget.setHorizontalHeaderLabels(titles)
    widget.setVerticalHeaderLabels([line.layer for line in table.lines])
    for k, column in enumerate(table.columns, 1):
        widget.horizontalHeaderItem(k).setToolTip(column.tip)
    for row, line in enumerate(table.lines):
        texts = [(str(line.planes), line.reason), *((c.text, c.tip) for c in line.cells)]
        for k, (text, tip) in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(tip)
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            widget.setItem(row, k, item)
    widget.resizeColumnsToContents()
