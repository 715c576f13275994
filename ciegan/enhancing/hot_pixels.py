"""Hot pixels of images that are enhanced: networks make stars of them."""

from __future__ import annotations

import numpy as np

from cellqa.planes import Array
from cellqa.planes.impulses import impulses, without_impulses

_HOT = 2e-3  # of the pixels that may be hot


def cleaned(pixels: Array) -> tuple[Array, int]:
    """An image without hot pixels, each channel by itself, and how many there were."""
    colours = pixels if pixels.ndim == 3 else pixels[..., None]
    made, hot = [], 0
    for k in range(colours.shape[2]):
        plane = colours[..., k]
        places, around = impulses(plane)
        if len(places) > _HOT * plane.size:  # photons that are counted
            places, around = places[:0], around[:0]
        hot += len(places)
        made.append(without_impulses(plane, places, around))
    if not hot:
        return pixels, 0
    return np.stack(made, axis=-1) if pixels.ndim == 3 else made[0], hot
