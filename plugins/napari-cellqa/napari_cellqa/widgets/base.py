"""What the widgets have in common: boxes of layers, the plane shown, a button, work in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from magicgui.widgets import ComboBox
from napari.viewer import Viewer
from qtpy.QtWidgets import QCheckBox, QPushButton, QWidget

from napari_cellqa.widgets.choosing import refresh
from napari_cellqa.widgets.working import Working


class LayersWidget(QWidget):
    """A widget that works on layers.

    Parameters
    ----------
    viewer : Viewer
    action : str
        On the button that begins.

    Attributes
    ----------
    boxes : sequence of ComboBox
        In which layers are chosen.
    """

    def __init__(self, viewer: Viewer, action: str) -> None:
        super().__init__()
        self._viewer = viewer
        self.boxes: Sequence[ComboBox] = ()
        self.only_shown = QCheckBox("only the plane shown")
        self.run, self.working = QPushButton(action), Working()
        self.working.busy.connect(lambda busy: self.run.setEnabled(not busy))

    @property
    def point(self) -> tuple[float, ...] | None:
        """Where the viewer is, if only the plane shown there is taken."""
        return tuple(self._viewer.dims.point) if self.only_shown.isChecked() else None

    def reset_choices(self, event: Any = None) -> None:
        """Show the layers that there are now; napari calls it when they change."""
        refresh(self.boxes)
