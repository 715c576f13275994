"""Boxes to choose layers in, which follow what the viewer has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from magicgui.widgets import ComboBox
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtWidgets import QDoubleSpinBox

ALL = "all shown image layers"
FROM_LAYERS = "from the layers"


def layer_box(
    viewer: Viewer, tip: str, *, optional: bool = False, several: bool = False
) -> ComboBox:
    """A box of the viewer's image layers.

    Parameters
    ----------
    viewer : Viewer
    tip : str
    optional : bool
        Whether none may be chosen.
    several : bool
        Whether `ALL` may be.
    """

    def choices(_: Any) -> list[tuple[str, Any]]:
        every: list[tuple[str, Any]] = [(ALL, ALL)] if several else []
        return every + [(x.name, x) for x in viewer.layers if isinstance(x, Image)]

    return ComboBox(choices=choices, nullable=optional, tooltip=tip)


def refresh(boxes: Sequence[ComboBox]) -> None:
    """Show the layers that there are now; what was chosen stays chosen while it is there."""
    for box in boxes:
        box.reset_choices()


def pixel_size_box() -> QDoubleSpinBox:
    """A field for a pixel size in micrometres; at its lowest, the layers' own is taken."""
    box = QDoubleSpinBox()
    box.setDecimals(4)
    box.setRange(0.0, 1000.0)
    box.setSingleStep(0.01)
    box.setSpecialValueText(FROM_LAYERS)
    box.setSuffix(" µm")
    box.setToolTip("Side of a pixel in µm, where scale and units of the layers do not say it")
    return box
