"""An enhancer: its settings are the fields of a dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Gamma:
    """Brighter where it is dark: the image's range to the power of `gamma`.

    Attributes
    ----------
    gamma : float
    name : str
    """

    gamma: float = 0.7
    name: str = "gamma"

    def __post_init__(self) -> None:
        if not 0 < self.gamma < 10:
            raise ValueError(f"`gamma` must be above 0 and below 10, got {self.gamma}")

    def describe(self) -> str:
        """One line for metadata and the terminal."""
        return f"gamma {self.gamma:g}"

    def __call__(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Enhance a plane; type and range are kept."""
        low, high = float(pixels.min()), float(pixels.max())
        if low == high:
            return pixels
        values = low + (high - low) * ((pixels - low) / (high - low)) ** self.gamma
        if np.issubdtype(pixels.dtype, np.integer):
            values = np.rint(values)
        return np.asarray(values.astype(pixels.dtype))


GAMMA = Gamma()
