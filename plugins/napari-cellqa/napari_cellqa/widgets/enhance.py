"""The widget that enhances a layer by a classical method or a network."""

from __future__ import annotations

from functools import partial

from magicgui.widgets import FileEdit
from napari.utils.notifications import show_error, show_warning
from napari.viewer import Viewer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
)

from cellqa.enhance import ENHANCERS
from napari_cellqa import enhancing
from napari_cellqa.layers import NewLayer, picture_of
from napari_cellqa.widgets.base import LayersWidget
from napari_cellqa.widgets.choosing import layer_box
from napari_cellqa.widgets.working import Job, attempt

RUN = "run folder…"
_NETWORK = "network: "


class EnhanceWidget(LayersWidget):
    """Adds a layer that is enhanced.

    Parameters
    ----------
    napari_viewer : Viewer
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, "Enhance")
        self.layer = layer_box(napari_viewer, "What is enhanced")
        self.boxes = (self.layer,)
        self.method = QComboBox()
        self.method.addItems([f"{_NETWORK}{name}" for name in (*enhancing.networks(), RUN)])
        self.method.addItems(list(ENHANCERS))
        self.folder = FileEdit(mode="d", tooltip="The folder of `ciegan train`")
        self.together = QCheckBox("one black and white for the whole stack")
        self.together.setChecked(True)
        self.together.setToolTip("So that frames do not flicker; otherwise each plane has its own")
        self.settings: dict[str, QLineEdit] = {}
        self.missing = QLabel(enhancing.absent(), wordWrap=True)
        self._form, self._fields = QFormLayout(), QFormLayout()
        self._form.addRow("Layer", self.layer.native)
        self._form.addRow("Method", self.method)
        self._form.addRow("Run", self.folder.native)
        self._form.addRow("Stacks", self.only_shown)
        self._form.addRow("", self.together)
        column = QVBoxLayout(self)
        column.addLayout(self._form)
        column.addLayout(self._fields)
        for widget in (self.missing, self.run, self.working):
            column.addWidget(widget)
        column.addStretch()
        self.method.currentTextChanged.connect(self._show_settings)
        self.run.clicked.connect(self.enhance)
        self._show_settings(self.method.currentText())

    def _show_settings(self, method: str) -> None:
        """Fields for the settings of a classical method; the folder of a run for a network."""
        while self._fields.rowCount():
            self._fields.removeRow(0)
        self.settings = {}
        network = method.startswith(_NETWORK)
        self._form.setRowVisible(self.folder.native, method == _NETWORK + RUN)
        self._form.setRowVisible(self.together, network)
        self.missing.setVisible(network and bool(self.missing.text()))
        if network:
            return
        for name, value in enhancing.defaults(method).items():
            self.settings[name] = QLineEdit(placeholderText=value or "none")
            self._fields.addRow(name, self.settings[name])

    def job(self) -> Job:
        """What is chosen, as it is now.

        Raises
        ------
        CellqaError
            The layer cannot be enhanced.
        """
        picture = picture_of(self.layer.value, self.point)
        method = self.method.currentText()
        if not method.startswith(_NETWORK):
            settings = {name: field.text() for name, field in self.settings.items()}
            return partial(enhancing.enhance_classically, picture, method, settings)
        weights = method.removeprefix(_NETWORK)
        chosen = self.folder.value if weights == RUN else weights
        together = self.together.isChecked()
        return lambda progress: enhancing.enhance_by_network(
            picture, chosen, together=together, progress=progress
        )

    def enhance(self) -> None:
        """Enhance the layer, in another thread."""
        method = self.method.currentText()
        if method.startswith(_NETWORK) and (line := enhancing.absent()):
            show_error(line)
            return
        job = attempt(self.job)
        if job is not None:
            self.working.start(job, self._add)

    def _add(self, made: tuple[NewLayer, list[str]]) -> None:
        layer, notes = made
        self._viewer.add_image(layer.data, **layer.options)
        if notes:
            show_warning("\n".join(notes))
