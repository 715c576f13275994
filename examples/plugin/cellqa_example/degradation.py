"""A degradation: its settings are the fields of a dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Motion:
    """The stage moved while the image was taken: a mean along X.

    Attributes
    ----------
    length : (float, float)
        Shortest and longest movement, in pixels.
    """

    name: ClassVar[str] = "motion"
    unit: ClassVar[str] = "px"
    length: tuple[float, float] = (3.0, 9.0)

    def __post_init__(self) -> None:
        if not 1 <= self.length[0] <= self.length[1] <= 99:
            raise ValueError(f"`length` must be LOW to HIGH, 1 to 99 pixels, got {self.length}")

    def draw(self, rng: np.random.Generator) -> float:
        """Length of one movement."""
        return float(rng.uniform(*self.length))

    def apply(
        self, plane: npt.NDArray[Any], strength: float, pixel_size: float | None
    ) -> npt.NDArray[Any]:
        """Degrade a plane of floats, without noise."""
        side = 2 * int(np.ceil((strength - 1) / 2)) + 1
        kernel = np.ones((1, side), np.float64)
        kernel[0, [0, -1]] = 1 - (side - strength) / 2  # the ends are passed in part
        return np.asarray(cv2.filter2D(plane, -1, kernel / kernel.sum()))


MOTION = Motion()
