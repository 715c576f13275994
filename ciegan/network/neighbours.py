"""A plane with its neighbours in time or focus, as a network sees it: their channels in a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellqa.planes import Array
from ciegan.models import Generator
from ciegan.network.normalisation import channels_of


def stacked(planes: Sequence[Array]) -> Array:
    """Planes (Y, X) or (Y, X, C) as one image (Y, X, planes * C); a plane alone stays as it is.

    Examples
    --------
    >>> import numpy as np
    >>> stacked([np.zeros((4, 5)), np.ones((4, 5))]).shape
    (4, 5, 2)
    """
    if len(planes) == 1:
        return planes[0]
    return np.concatenate([p if p.ndim == 3 else p[:, :, None] for p in planes], axis=2)


def repeated(plane: Array, generator: Generator) -> Array:
    """A plane that has no neighbours, as a network sees it: itself in their place."""
    return stacked([plane] * generator.planes)


def is_colour(pixels: Array, generator: Generator) -> bool:
    """Whether what a network makes of pixels is (Y, X, C), not (Y, X)."""
    return pixels.ndim == 3 if generator.planes == 1 else generator.channels > 1


def middle(pixels: Array, channels: int) -> Array:
    """The plane of so many channels that is enhanced, of those that are seen.

    Examples
    --------
    >>> import numpy as np
    >>> seen = stacked([np.zeros((4, 5)), np.ones((4, 5))])
    >>> middle(seen, 1).shape, middle(seen, 2).shape
    ((4, 5), (4, 5, 2))
    """
    if channels_of(pixels.shape) == channels:
        return pixels
    return pixels[:, :, 0] if channels == 1 else pixels[:, :, :channels]
