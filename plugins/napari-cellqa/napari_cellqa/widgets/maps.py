"""The widget that adds maps as layers."""

from __future__ import annotations

from napari.utils.notifications import show_warning
from napari.viewer import Viewer
from qtpy.QtWidgets import QCheckBox, QFormLayout, QSpinBox, QVBoxLayout

from cellqa.metrics.local import TILE
from napari_cellqa.layers import MAP, NewLayer, picture_of
from napari_cellqa.maps import KINDS, make_maps
from napari_cellqa.widgets.base import LayersWidget
from napari_cellqa.widgets.choosing import layer_box, pixel_size_box
from napari_cellqa.widgets.working import Job, attempt

_USUAL = ("ssim", "error")


class MapsWidget(LayersWidget):
    """Adds maps of where a layer is right.

    Parameters
    ----------
    napari_viewer : Viewer
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, "Add maps")
        self.judged = layer_box(napari_viewer, "What is judged")
        self.truth = layer_box(napari_viewer, "What it should be", optional=True)
        self.raw = layer_box(napari_viewer, "What it was made from", optional=True)
        self.boxes = (self.judged, self.truth, self.raw)
        self.kinds = {name: QCheckBox(kind.title) for name, kind in KINDS.items()}
        for name, tick in self.kinds.items():
            tick.setToolTip(KINDS[name].tip)
            tick.setChecked(name in _USUAL)
        self.tile = QSpinBox()
        self.tile.setRange(41, 1024)
        self.tile.setValue(TILE)
        self.tile.setToolTip("Of local resolution, in pixels; small tiles read too fine")
        self.pixel_size = pixel_size_box()
        form = QFormLayout()
        form.addRow("Layer judged", self.judged.native)
        form.addRow("Ground truth", self.truth.native)
        form.addRow("Raw image", self.raw.native)
        for k, tick in enumerate(self.kinds.values()):
            form.addRow("" if k else "Maps", tick)
        form.addRow("Tile", self.tile)
        form.addRow("Pixel size", self.pixel_size)
        form.addRow("Stacks", self.only_shown)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.run)
        column.addWidget(self.working)
        column.addStretch()
        self.run.clicked.connect(self.make)

    def job(self) -> Job:
        """What is chosen, as it is now.

        Raises
        ------
        CellqaError
            A layer that was chosen is no image of grey levels.
        """
        point = self.point
        judged = picture_of(self.judged.value, point)
        truth, raw = (
            picture_of(box.value, point) if box.value else None for box in (self.truth, self.raw)
        )
        kinds = [name for name, tick in self.kinds.items() if tick.isChecked()]
        size, tile = self.pixel_size.value() or None, self.tile.value()
        return lambda progress: make_maps(
            judged, truth, raw, kinds, pixel_size=size, tile=tile, progress=progress
        )

    def make(self) -> None:
        """Make the maps that are ticked, in another thread."""
        job = attempt(self.job)
        if job is not None:
            self.working.start(job, self._add)

    def _add(self, made: tuple[list[NewLayer], list[str]]) -> None:
        layers, notes = made
        for data, options in layers:
            name = options["name"]
            # made again, a map takes the place of the earlier one
            if name in self._viewer.layers and MAP in self._viewer.layers[name].metadata:
                self._viewer.layers.remove(name)
            self._viewer.add_image(data, **options)
        if notes:
            show_warning("\n".join(notes[:10]))
