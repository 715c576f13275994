"""Layers and scenes that the tests share."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image
from napari.utils.notifications import NotificationSeverity, notification_manager

from napari_cellqa import samples
from napari_cellqa.layers import picture_of


@pytest.fixture(scope="session")
def arrays() -> dict[str, np.ndarray]:
    """`blurred`, `te` and `sharp` of one simulated scene, (384, 384), uint16."""
    return {options["name"]: pixels for pixels, options, _ in samples.filaments()}


@pytest.fixture
def pictures(arrays):
    """The same, as taken of layers with pixels of 0.1625 µm."""
    place = {"scale": (0.1625, 0.1625), "units": ("um", "um")}
    return {name: picture_of(Image(a, name=name, **place)) for name, a in arrays.items()}


@pytest.fixture
def stack(arrays) -> dict[str, np.ndarray]:
    """Three planes of 192 pixels a side of each."""
    corners = [(0, 0), (0, 192), (192, 0)]
    return {
        name: np.stack([a[y : y + 192, x : x + 192] for y, x in corners])
        for name, a in arrays.items()
    }


@pytest.fixture
def viewer(make_napari_viewer):
    """A viewer with the layers of the sample."""
    viewer = make_napari_viewer()
    for pixels, options, _ in samples.filaments():
        viewer.add_image(pixels, **options)
    return viewer


class Said:
    """What napari showed."""

    def __init__(self) -> None:
        self.notifications = []

    @property
    def errors(self) -> list[str]:
        """Errors, in one line each; one with a traceback would be an ErrorNotification."""
        kinds = [type(each).__name__ for each in self.notifications]
        assert "ErrorNotification" not in kinds
        wrong = [n for n in self.notifications if n.severity == NotificationSeverity.ERROR]
        found = [each.message for each in wrong]
        assert all("\n" not in message for message in found)
        return found


@pytest.fixture
def said():
    said = Said()
    notification_manager.notification_ready.connect(said.notifications.append)
    yield said
    notification_manager.notification_ready.disconnect(said.notifications.append)
